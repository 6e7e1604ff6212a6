#pragma once

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <string>

#include "base/bytes.h"

namespace holdfast {

// A file of tests/fixtures; fails the test when it is not there.
inline Bytes read_fixture(std::string const& name) {
    std::ifstream file(std::string(HOLDFAST_FIXTURES) + "/" + name, std::ios::binary);
    EXPECT_TRUE(file) << "no fixture " << name;
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

}  // namespace holdfast
