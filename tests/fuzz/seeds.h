#pragma once

#include <vector>

#include "base/bytes.h"

// Inputs that are right, as the program itself writes them: what changed copies are made of. Empty where the
// corpus is files.
std::vector<holdfast::Bytes> seeds();
