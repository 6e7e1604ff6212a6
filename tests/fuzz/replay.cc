// Runs a fuzz target without libFuzzer: what the target itself makes, every file of the directories that are named,
// and copies of each with bytes changed, the same ones every time.
//
//     replay_NAME [DIRECTORY…]
//     replay_NAME --write DIRECTORY    writes what the target makes there, for libFuzzer to begin with
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <vector>

#include "seeds.h"

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size);

namespace {

using holdfast::Bytes;

constexpr int kRounds = 200;

std::mt19937 random_(1);
std::size_t inputs = 0;

std::size_t below(std::size_t bound) { return random_() % bound; }

void run(Bytes const& input) {
    LLVMFuzzerTestOneInput(input.data(), input.size());
    ++inputs;
}

// The first two bytes of these tell the target what follows.
void run_file(Bytes const& content) {
    for (int round = 0; round < kRounds; ++round) {
        Bytes input = {static_cast<std::uint8_t>(round), static_cast<std::uint8_t>(round / 2)};
        if (round % 4 >= 2) input.pop_back();
        input.insert(input.end(), content.begin(), content.end());
        for (int flip = 0; flip < round / 8; ++flip) input[below(input.size())] = static_cast<std::uint8_t>(random_());
        if (round % 5 == 4) input.resize(1 + below(input.size()));
        run(input);
    }
}

// One change behind the first byte, which chooses what the rest is: a byte, a number that is too large, a piece that is
// missing, doubled or from elsewhere in it.
void change(Bytes& input) {
    if (input.size() < 2) input.resize(2);
    auto place = [&] { return input.begin() + static_cast<std::ptrdiff_t>(1 + below(input.size() - 1)); };
    auto begin = place();
    auto left = static_cast<std::size_t>(input.end() - begin);
    auto end = begin + static_cast<std::ptrdiff_t>(1 + below(std::min<std::size_t>(left, 40)));
    switch (below(6)) {
        case 0: *begin ^= static_cast<std::uint8_t>(1u << below(8)); break;
        case 1: *begin = static_cast<std::uint8_t>(random_()); break;
        case 2: std::fill(begin, left > 8 ? begin + 8 : end, below(2) == 0 ? std::uint8_t{0xff} : std::uint8_t{0}); break;
        case 3: input.erase(begin, end); break;
        case 4: {
            auto to = place();
            Bytes changed(input.begin(), to);
            changed.insert(changed.end(), begin, end);
            changed.insert(changed.end(), to, input.end());
            input.swap(changed);
            break;
        }
        default: input.erase(end, input.end());
    }
}

void run_seed(Bytes const& seed) {
    run(seed);
    Bytes input;
    for (int round = 0; round < 2 * kRounds; ++round) {
        input = seed;
        for (int i = 0; i <= round / 50; ++i) change(input);
        run(input);
    }
}

void write_seeds(std::filesystem::path const& directory) {
    std::size_t number = 0;
    for (auto const& seed : seeds()) {
        std::ofstream file(directory / ("seed-" + std::to_string(number++)), std::ios::binary);
        file.write(reinterpret_cast<char const*>(seed.data()), static_cast<std::streamsize>(seed.size()));
    }
}

}  // namespace

int main(int argc, char** argv) {
    if (argc == 3 && std::strcmp(argv[1], "--write") == 0) {
        write_seeds(argv[2]);
        return 0;
    }
    for (auto const& seed : seeds()) run_seed(seed);
    for (int i = 1; i < argc; ++i) {
        for (auto const& entry : std::filesystem::directory_iterator(argv[i])) {
            std::ifstream file(entry.path(), std::ios::binary);
            run_file({std::istreambuf_iterator<char>(file), {}});
        }
    }
    std::printf("%zu inputs\n", inputs);
    return inputs > 0 ? 0 : 1;
}
