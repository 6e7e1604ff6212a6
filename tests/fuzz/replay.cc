// Runs a fuzz target without libFuzzer: every file of the directories that are named, and copies of each with
// bytes changed, the same ones every time.
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size);

int main(int argc, char** argv) {
    std::mt19937 random(1);
    std::size_t inputs = 0;
    for (int i = 1; i < argc; ++i) {
        for (auto const& entry : std::filesystem::directory_iterator(argv[i])) {
            std::ifstream file(entry.path(), std::ios::binary);
            std::vector<std::uint8_t> const content(std::istreambuf_iterator<char>(file), {});
            for (int round = 0; round < 200; ++round) {
                // The first two bytes tell the target what follows.
                std::vector<std::uint8_t> input = {static_cast<std::uint8_t>(round), static_cast<std::uint8_t>(round / 2)};
                if (round % 4 >= 2) input.pop_back();
                input.insert(input.end(), content.begin(), content.end());
                for (int flip = 0; flip < round / 8; ++flip) {
                    input[random() % input.size()] = static_cast<std::uint8_t>(random());
                }
                if (round % 5 == 4) input.resize(1 + random() % input.size());
                LLVMFuzzerTestOneInput(input.data(), input.size());
                ++inputs;
            }
        }
    }
    std::printf("%zu inputs\n", inputs);
    return inputs > 0 ? 0 : 1;
}
