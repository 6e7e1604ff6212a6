// The plan file: whatever it holds, faults are named, and what is rendered of them ends.
#include <cstdlib>

#include "plan/example.h"
#include "plan/load.h"
#include "seeds.h"

using namespace holdfast;

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    auto loaded = plan::parse(std::string(reinterpret_cast<char const*>(data), size), "p.yaml");
    auto text = plan::render(loaded.faults);
    if (!loaded.ok() && text.empty()) std::abort();
    return 0;
}

std::vector<Bytes> seeds() {
    return {to_bytes("holdfast: 1\nname: tiny\n"),
            to_bytes("holdfast: 1\nname: t\nobjectives: { data: { critical: 1h } }\nrepositories:\n  primary: { url: /srv/r, "
                     "lock: 30d }\ndatasets:\n  d: { kind: files, paths: [/etc], exclude: \"*.tmp\", tier: critical, every: 1d }\n"
                     "retention:\n  critical: { within: 2d, last: 3, daily: 14 }\n"),
            to_bytes("holdfast: 1\na: &a [x, x]\nb: *a\n"), to_bytes(plan::example())};
}
