#include "plan/example.h"

// The build says where the file is: HOLDFAST_EXAMPLE_PLAN.
asm(".pushsection .rodata\n"
    "holdfast_example_begin: .incbin \"" HOLDFAST_EXAMPLE_PLAN
    "\"\n"
    "holdfast_example_end:\n"
    ".popsection\n");
extern char const example_begin[] asm("holdfast_example_begin");
extern char const example_end[] asm("holdfast_example_end");

namespace holdfast::plan {

std::string_view example() {
    return {example_begin, static_cast<std::size_t>(example_end - example_begin)};
}

}  // namespace holdfast::plan
