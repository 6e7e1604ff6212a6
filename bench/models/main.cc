// What the codec for numbers makes of weights, beside zstd and memcpy in the same run.
//
//     bench_models DIRECTORY [MiB]
//
// DIRECTORY holds *.f32, *.f16, *.bf16 as `prepare` makes them; of each at most so many MiB are taken (64).
// Bytes are coded as a repository does it, in slices of 1 MiB. Rates are by this thread's CPU time, the
// best of five passes: other work on the machine disturbs them less than it disturbs wall time.

#include <fmt/format.h>
#include <time.h>
#include <zstd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>

#include "codec/planes.h"

using namespace holdfast;

namespace {

constexpr std::size_t kSlice = 1u << 20;

double cpu_seconds() {
    timespec now{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}

double best_of_five(std::function<void()> const& pass) {
    double best = 1e9;
    for (int i = 0; i < 5; ++i) {
        auto start = cpu_seconds();
        pass();
        best = std::min(best, cpu_seconds() - start);
    }
    return best;
}

Bytes read(std::filesystem::path const& path, std::size_t bytes_max) {
    Bytes bytes(std::min<std::uintmax_t>(std::filesystem::file_size(path), bytes_max));
    std::ifstream file(path, std::ios::binary);
    file.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    return bytes;
}

struct Sliced {
    std::vector<Bytes> slices;
    std::size_t bytes = 0;
};
using Encode = std::function<std::size_t(ByteView raw, ByteSpan out)>;
using Decode = std::function<bool(ByteView stored, ByteSpan raw)>;

void measure(std::string_view what, Bytes const& raw, double memcpy_rate, Encode const& encode, Decode const& decode) {
    Bytes out(std::max(planes_bytes_max(kSlice), ZSTD_compressBound(kSlice)));
    Bytes back(raw.size());
    Sliced sliced;
    auto each = [&](auto const& body) {
        for (std::size_t at = 0, i = 0; at < raw.size(); at += kSlice, ++i) body(at, std::min(kSlice, raw.size() - at), i);
    };
    auto rate = [&](double seconds) { return static_cast<double>(raw.size()) / seconds / 1e9; };
    auto encoding = best_of_five([&] {
        each([&](std::size_t at, std::size_t size, std::size_t) { encode(ByteView(raw).subspan(at, size), out); });
    });
    each([&](std::size_t at, std::size_t size, std::size_t) {
        auto stored = encode(ByteView(raw).subspan(at, size), out);
        sliced.slices.emplace_back(out.begin(), out.begin() + static_cast<std::ptrdiff_t>(stored));
        sliced.bytes += stored;
    });
    bool whole = true;
    auto decoding = best_of_five([&] {
        each([&](std::size_t at, std::size_t size, std::size_t i) {
            whole = decode(sliced.slices[i], ByteSpan(back).subspan(at, size)) && whole;
        });
    });
    if (!whole || back != raw) {
        fmt::print(stderr, "{}: what was decoded is not what was encoded\n", what);
        std::exit(1);
    }
    fmt::print("  {:<10} ratio {:7.4f}   encode {:6.2f} GB/s ({:.3f} memcpy)   decode {:6.2f} GB/s ({:.3f} memcpy)\n", what,
               static_cast<double>(raw.size()) / static_cast<double>(sliced.bytes), rate(encoding),
               rate(encoding) / memcpy_rate, rate(decoding), rate(decoding) / memcpy_rate);
    std::fflush(stdout);
}

Encode zstd(int level) {
    return [level](ByteView raw, ByteSpan out) { return ZSTD_compress(out.data(), out.size(), raw.data(), raw.size(), level); };
}
bool unzstd(ByteView stored, ByteSpan raw) {
    return ZSTD_decompress(raw.data(), raw.size(), stored.data(), stored.size()) == raw.size();
}

}  // namespace

int main(int argc, char** argv) {
    if (argc < 2) {
        fmt::print(stderr, "usage: bench_models DIRECTORY [MiB]\n");
        return 2;
    }
    auto bytes_max = (argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 64) << 20;
    std::vector<std::filesystem::path> files;
    for (auto const& entry : std::filesystem::directory_iterator(argv[1])) {
        auto type = entry.path().extension();
        if (type == ".f32" || type == ".f16" || type == ".bf16") files.push_back(entry.path());
    }
    std::ranges::sort(files);
    for (auto const& path : files) {
        auto raw = read(path, bytes_max);
        if (raw.empty()) continue;
        Bytes copy(raw.size());
        auto copying = best_of_five([&] { std::memcpy(copy.data(), raw.data(), raw.size()); });
        auto memcpy_rate = static_cast<double>(raw.size()) / copying / 1e9;
        fmt::print("{} ({:.1f} MB), memcpy {:.2f} GB/s\n", path.filename().string(), static_cast<double>(raw.size()) / 1e6,
                   memcpy_rate);
        auto element = path.extension() == ".f32" ? Element::float32 : Element::float16;
        measure("planes", raw, memcpy_rate,
                [&](ByteView from, ByteSpan out) { return encode_planes(from, element, out); },
                [](ByteView stored, ByteSpan to) { return decode_planes(stored, to).has_value(); });
        measure("zstd -1", raw, memcpy_rate, zstd(1), unzstd);
        measure("zstd -3", raw, memcpy_rate, zstd(3), unzstd);
    }
}
