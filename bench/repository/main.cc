// How fast bytes go into a repository and come out, and what that costs.
//
//     bench_repository [MiB] [threads] [directory or -] [parity in per cent]
//
// Without a directory the store is memory that keeps nothing but what is read back.

#include <fmt/format.h>
#include <sys/resource.h>

#include <chrono>
#include <cstdlib>

#include "repo/test_world.h"
#include "store/memory_store.h"

using namespace holdfast;

namespace {

double cpu_seconds() {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    auto seconds = [](timeval t) { return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6; };
    return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

long peak_mebibytes() {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss / 1024;
}

class Measurement {
  public:
    void report(std::string_view what, double bytes) const {
        auto cpu = cpu_seconds() - cpu_;
        std::chrono::duration<double> wall = std::chrono::steady_clock::now() - start_;
        auto gib = bytes / (1 << 30);
        fmt::print("{:<28} {:6.2f} GiB/s  {:5.2f} CPU s a GiB  peak {} MiB\n", what, gib / wall.count(),
                   cpu / gib, peak_mebibytes());
        std::fflush(stdout);
    }

  private:
    double cpu_ = cpu_seconds();
    std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

void must(auto const& result) {
    if (result) return;
    fmt::print(stderr, "{}\n", result.error().message);
    std::exit(1);
}

// Bytes are made a megabyte at a time, before they are measured.
void run(TestRepository& repository, std::string_view name, std::size_t mebibytes, unsigned parity,
         Bytes const& pattern) {
    IngestStatistics statistics;
    Content content;
    {
        Measurement measurement;
        auto ingest = repository.begin_ingest({.parity_percent = parity}, {});
        must(ingest);
        auto stream = (*ingest)->open_stream(ChunkKind::data, {});
        Bytes piece(pattern);
        for (std::size_t i = 0; i < mebibytes; ++i) {
            // Each megabyte is another one, at the price of a pass over it.
            auto key = (i + 1) * 0x9e3779b97f4a7c15u;
            for (std::size_t at = 0; at + 8 <= piece.size(); at += 4096) {
                std::memcpy(piece.data() + at, &key, 8);
                key = key * 6364136223846793005u + 1;
            }
            must(stream->append(piece));
        }
        auto finished = stream->finish();
        must(finished);
        content = *finished;
        must((*ingest)->flush());
        statistics = (*ingest)->statistics();
        measurement.report(fmt::format("ingest, {}", name), static_cast<double>(statistics.bytes_in));
    }
    fmt::print("    {} chunks new, {} known, {} packs, stored {:.1f} % of the new bytes\n",
               statistics.chunks_new, statistics.chunks_known, statistics.packs,
               100.0 * static_cast<double>(statistics.bytes_stored) /
                   static_cast<double>(std::max<std::uint64_t>(1, statistics.bytes_new)));
    auto fetch = repository.begin_fetch({}, {});
    must(fetch);
    std::vector<ChunkId> wants;
    must((*fetch)->extents(
        content,
        [&](std::span<Extent const> run) -> Result<void> {
            for (auto const& extent : run) wants.push_back(*extent.chunk);
            return {};
        },
        {}));
    Measurement measurement;
    must((*fetch)->chunks(
        wants, [](std::size_t, Result<ByteView> const& bytes) -> Result<void> {
            if (!bytes) return fail(bytes.error());
            return {};
        },
        {}));
    measurement.report(fmt::format("fetch, {}", name), static_cast<double>(content.size));
}

}  // namespace

int main(int argc, char** argv) {
    std::size_t mebibytes = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 1024;
    unsigned threads = argc > 2 ? static_cast<unsigned>(std::strtoul(argv[2], nullptr, 10)) : 2;
    std::unique_ptr<Store> store = std::make_unique<MemoryStore>();
    if (argc > 3 && std::string_view(argv[3]) != "-") {
        auto opened = open_store(argv[3], {.create = true});
        must(opened);
        store = std::move(*opened);
    }
    auto parity = argc > 4 ? static_cast<unsigned>(std::strtoul(argv[4], nullptr, 10)) : kParityPercentDefault;
    auto executor = make_thread_executor(threads);
    TestRepository repository(*store, *executor, system_random(), generate_first_bundle(system_random(), "bench"));
    run(repository, "random", mebibytes, parity, noise(1 << 20, 1));
    run(repository, "compressible", mebibytes, parity, prose(1 << 20, 1));
}
