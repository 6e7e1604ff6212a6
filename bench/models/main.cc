// What the codec for numbers makes of weights, beside zstd and memcpy in the same run.
//
//     bench_models DIRECTORY [MiB]
//
// DIRECTORY holds *.f32, *.f16, *.bf16 as `prepare` makes them; of each at most so many MiB are taken (64). Where
// X.base lies beside X, it is an earlier state of the same numbers: then the differences are measured, too, and in the
// end what a series (series-*) takes in all, each file in what does best on it.
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

#include "codec/delta.h"
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
// `at`: where the slice lies in the file.
using Encode = std::function<std::size_t(ByteView raw, ByteSpan out, std::size_t at)>;
using Decode = std::function<bool(ByteView stored, ByteSpan raw, std::size_t at)>;

// Returns the bytes that all takes.
std::size_t measure(std::string_view what, Bytes const& raw, double memcpy_rate, Encode const& encode, Decode const& decode) {
    Bytes out(std::max(delta_bytes_max(kSlice), ZSTD_compressBound(kSlice)));
    Bytes back(raw.size());
    Sliced sliced;
    auto each = [&](auto const& body) {
        for (std::size_t at = 0, i = 0; at < raw.size(); at += kSlice, ++i) body(at, std::min(kSlice, raw.size() - at), i);
    };
    auto rate = [&](double seconds) { return static_cast<double>(raw.size()) / seconds / 1e9; };
    auto encoding = best_of_five([&] {
        each([&](std::size_t at, std::size_t size, std::size_t) { encode(ByteView(raw).subspan(at, size), out, at); });
    });
    each([&](std::size_t at, std::size_t size, std::size_t) {
        auto stored = encode(ByteView(raw).subspan(at, size), out, at);
        sliced.slices.emplace_back(out.begin(), out.begin() + static_cast<std::ptrdiff_t>(stored));
        sliced.bytes += stored;
    });
    bool whole = true;
    auto decoding = best_of_five([&] {
        each([&](std::size_t at, std::size_t size, std::size_t i) {
            whole = decode(sliced.slices[i], ByteSpan(back).subspan(at, size), at) && whole;
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
    return sliced.bytes;
}

Encode zstd(int level) {
    return [level](ByteView raw, ByteSpan out, std::size_t) { return ZSTD_compress(out.data(), out.size(), raw.data(), raw.size(), level); };
}
bool unzstd(ByteView stored, ByteSpan raw, std::size_t) {
    return ZSTD_decompress(raw.data(), raw.size(), stored.data(), stored.size()) == raw.size();
}

// What others do: zstd -3 of the byte planes of what differs.
Encode xor_zstd(Bytes const& base, std::size_t width) {
    return [&base, width](ByteView raw, ByteSpan out, std::size_t at) {
        Bytes planes(raw.size());
        auto count = raw.size() / width;
        for (std::size_t i = 0; i < count * width; ++i) planes[i % width * count + i / width] = raw[i] ^ base[at + i];
        for (auto i = count * width; i < raw.size(); ++i) planes[i] = raw[i] ^ base[at + i];
        return ZSTD_compress(out.data(), out.size(), planes.data(), planes.size(), 3);
    };
}
Decode un_xor_zstd(Bytes const& base, std::size_t width) {
    return [&base, width](ByteView stored, ByteSpan raw, std::size_t at) {
        Bytes planes(raw.size());
        if (!unzstd(stored, planes, at)) return false;
        auto count = raw.size() / width;
        for (std::size_t i = 0; i < count * width; ++i) raw[i] = planes[i % width * count + i / width] ^ base[at + i];
        for (auto i = count * width; i < raw.size(); ++i) raw[i] = planes[i] ^ base[at + i];
        return true;
    };
}

struct Total {
    std::size_t raw = 0, best = 0, xor_zstd = 0, planes = 0;
};
double ratio(std::size_t raw, std::size_t stored) { return static_cast<double>(raw) / static_cast<double>(stored); }

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
    Total series;
    for (auto const& path : files) {
        auto raw = read(path, bytes_max);
        if (raw.empty()) continue;
        Bytes copy(raw.size());
        auto copying = best_of_five([&] { std::memcpy(copy.data(), raw.data(), raw.size()); });
        auto memcpy_rate = static_cast<double>(raw.size()) / copying / 1e9;
        fmt::print("{} ({:.1f} MB), memcpy {:.2f} GB/s\n", path.filename().string(), static_cast<double>(raw.size()) / 1e6,
                   memcpy_rate);
        auto element = path.extension() == ".f32" ? Element::float32 : Element::float16;
        auto planes = measure(
            "planes", raw, memcpy_rate,
            [&](ByteView from, ByteSpan out, std::size_t) { return encode_planes(from, element, out); },
            [](ByteView stored, ByteSpan to, std::size_t) { return decode_planes(stored, to).has_value(); });
        measure("zstd -1", raw, memcpy_rate, zstd(1), unzstd);
        measure("zstd -3", raw, memcpy_rate, zstd(3), unzstd);
        auto before = path.string() + ".base";
        if (!std::filesystem::exists(before)) continue;
        auto base = read(before, bytes_max);
        if (base.size() != raw.size()) continue;
        auto delta = measure(
            "delta", raw, memcpy_rate,
            [&](ByteView from, ByteSpan out, std::size_t at) {
                return encode_delta(from, ByteView(base).subspan(at, from.size()), element, out);
            },
            [&](ByteView stored, ByteSpan to, std::size_t at) {
                return decode_delta(stored, ByteView(base).subspan(at, to.size()), to).has_value();
            });
        auto width = form_of(element).width;
        auto other = measure("xor zstd", raw, memcpy_rate, xor_zstd(base, width), un_xor_zstd(base, width));
        if (!path.filename().string().starts_with("series-")) continue;
        series.raw += raw.size();
        series.best += std::min(planes, delta);
        series.planes += planes;
        series.xor_zstd += other;
    }
    if (series.raw > 0) {
        fmt::print("series: delta or planes {:.4f}, planes {:.4f}, xor zstd {:.4f}\n", ratio(series.raw, series.best),
                   ratio(series.raw, series.planes), ratio(series.raw, series.xor_zstd));
    }
}
