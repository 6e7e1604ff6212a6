#include "cli/command.h"

int main(int argc, char** argv) { return holdfast::cli::run(argc, argv); }
