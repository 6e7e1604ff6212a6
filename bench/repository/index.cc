// What an index of many chunks costs: memory for each chunk, and the time of a look-up.
//
//     bench_index [million chunks] [directory] [chunks in a pack] [chunks in a frame]
//
// Large chunks lie in frames of their own, which is dearest (some 83 bytes on disk); small ones share theirs.
//
// Segments are generated, opened as a refresh would have opened them, and put into an index whose files lie in a
// directory of its own below `directory` (/var/tmp), which is removed. Each figure of memory is of a process that
// did nothing else: anonymous memory, since the pages of files that the kernel caches are not the process's.

#include <chrono>
#include <cstdlib>
#include <fmt/format.h>
#include <fstream>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "repo/index.h"
#include "repo/test_world.h"
#include "store/memory_store.h"

using namespace holdfast;

namespace {

constexpr std::size_t kPacksPerSegment = 64;

double cpu_seconds() {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    auto seconds = [](timeval t) { return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6; };
    return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

// Bytes that this process has in memory.
std::size_t resident_bytes() {
    std::ifstream status("/proc/self/statm");
    std::size_t size = 0, resident = 0;
    status >> size >> resident;
    return resident * static_cast<std::size_t>(getpagesize());
}

ChunkId chunk_number(std::uint64_t number) {
    ChunkId id;
    for (std::size_t at = 0; at < id.bytes.size(); at += 8) {
        auto word = (number * 4 + at / 8 + 1) * 0x9e3779b97f4a7c15u;
        word = (word ^ word >> 30) * 0xbf58476d1ce4e5b9u;
        word = (word ^ word >> 27) * 0x94d049bb133111ebu;
        word ^= word >> 31;
        std::memcpy(id.bytes.data() + at, &word, 8);
    }
    return id;
}

SegmentGroup segment_number(std::uint64_t number, BundleId const& writer, std::uint32_t chunks_per_pack, std::uint32_t chunks_per_frame) {
    auto const length = (1u << 20) / chunks_per_frame;
    SegmentGroup group{writer, {}};
    for (std::uint64_t p = 0; p < kPacksPerSegment; ++p) {
        PackSummary pack;
        auto first = (number * kPacksPerSegment + p) * chunks_per_pack;
        pack.id = PackId::from_bytes(chunk_number(first + (std::uint64_t{1} << 50)).view());
        pack.bytes = 40u << 20;
        for (std::uint32_t c = 0; c < chunks_per_pack; ++c) {
            pack.directory.chunks.push_back({chunk_number(first + c), length});
            if (c % chunks_per_frame != 0) continue;
            auto const chunks = std::min(chunks_per_frame, chunks_per_pack - c);
            pack.directory.frames.push_back({.codec = Codec::raw, .kind = ChunkKind::data, .stored = chunks * length + 16,
                                             .chunks = chunks, .raw = chunks * length});
        }
        group.packs.push_back(std::move(pack));
    }
    return group;
}

std::string segment_name(std::uint64_t number) {
    return "index/" + to_hex(sha256(as_bytes(std::to_string(number))));
}

void must(auto const& result) {
    if (result) return;
    fmt::print(stderr, "{}\n", result.error().message);
    std::exit(1);
}

struct Bench {
    std::uint64_t segments;
    std::uint32_t chunks_per_pack, chunks_per_frame;
    std::filesystem::path directory;

    MemoryStore store{system_clock()};
    SeededRandom random{7};
    std::unique_ptr<Executor> executor = make_thread_executor(2);
    KeyBundle keys = generate_first_bundle(random, "bench");
    TestRepository repository{store, *executor, random, keys.clone(), std::make_shared<TestRepository::Certificates>(),
                              directory};

    std::uint64_t chunks() const { return segments * kPacksPerSegment * chunks_per_pack; }
    double share(std::size_t bytes) const { return static_cast<double>(bytes) / static_cast<double>(chunks()); }

    template <typename Work>
    void in_process(Work const& work) {
        std::fflush(stdout);
        auto child = fork();
        if (child == 0) {
            work();
            std::fflush(stdout);
            _exit(0);
        }
        int status = 0;
        waitpid(child, &status, 0);
        if (status != 0) std::exit(1);
    }

    std::unique_ptr<Index> cached() {
        auto index = std::make_unique<Index>(keys.id, IndexCache::of(repository));
        std::set<std::string> names;
        for (std::uint64_t i = 0; i < segments; ++i) names.insert(segment_name(i));
        index->take_cached(names);
        return index;
    }

    void build() {
        auto start = cpu_seconds();
        auto resident = resident_bytes();
        Index index(keys.id, IndexCache::of(repository));
        std::size_t most = 0;
        for (std::uint64_t i = 0; i < segments; ++i) {
            auto group = segment_number(i, keys.id, chunks_per_pack, chunks_per_frame);
            index.add_segment(segment_name(i), {&group, 1});
            most = std::max(most, resident_bytes());
        }
        index.settle();
        fmt::print("made of segments:        {:6.2f} CPU µs a chunk, {:5.2f} bytes resident a chunk at most\n",
                   (cpu_seconds() - start) * 1e6 / static_cast<double>(chunks()), share(most - resident));
    }

    void back_up() {
        auto index = cached();
        auto resident = resident_bytes();
        auto start = cpu_seconds();
        std::map<PackId, std::uint64_t> none;
        must(index->choose_reusable(none, [](IndexPack const&) { return true; }));
        auto loaded = cpu_seconds();
        std::size_t found = 0;
        std::vector<DataKeyId> const data_keys{DataKeyId{}};  // as segment_number() has it
        constexpr std::uint64_t kLooks = 300'000;
        for (std::uint64_t i = 0; i < kLooks; ++i) found += index->may_reuse(chunk_number(chunks() + i), data_keys) ? 1 : 0;
        auto missed = cpu_seconds();
        for (std::uint64_t i = 0; i < kLooks; ++i) {
            found += index->find(chunk_number(i * 0x9e3779b97f4a7c15u % chunks()))->size();
        }
        auto hit = cpu_seconds();
        if (found < kLooks) std::exit(1);
        fmt::print("a writer's process:      {:6.2f} CPU s to open, {:5.2f} µs a new chunk, {:5.2f} µs a known one,\n"
                   "                         {:5.2f} bytes resident a chunk\n",
                   loaded - start, (missed - loaded) * 1e6 / kLooks, (hit - missed) * 1e6 / kLooks,
                   share(resident_bytes() - resident));
    }

    void restore_one() {
        auto resident = resident_bytes();
        auto start = cpu_seconds();
        auto index = cached();
        auto listed = resident_bytes();
        for (std::uint64_t i = 0; i < 100; ++i) must(index->find(chunk_number(i * chunks() / 100)));
        fmt::print("a reader of 100 chunks:  {:6.2f} CPU s, {:5.2f} bytes resident a chunk "
                   "(the names of the segments {:4.2f})\n",
                   cpu_seconds() - start, share(resident_bytes() - resident), share(listed - resident));
    }

    void in_memory() {
        auto resident = resident_bytes();
        Index index(keys.id);
        for (std::uint64_t i = 0; i < segments; ++i) {
            auto group = segment_number(i, keys.id, chunks_per_pack, chunks_per_frame);
            index.add_segment(segment_name(i), {&group, 1});
        }
        fmt::print("without files:           {:5.2f} bytes resident a chunk\n", share(resident_bytes() - resident));
    }
};

}  // namespace

int main(int argc, char** argv) {
    auto millions = argc > 1 ? std::strtod(argv[1], nullptr) : 10;
    std::string pattern = std::string(argc > 2 ? argv[2] : "/var/tmp") + "/bench-index-XXXXXX";
    auto per_pack = argc > 3 ? static_cast<std::uint32_t>(std::strtoul(argv[3], nullptr, 10)) : 32u;
    auto per_frame = argc > 4 ? static_cast<std::uint32_t>(std::strtoul(argv[4], nullptr, 10)) : 1u;
    if (mkdtemp(pattern.data()) == nullptr) {
        perror(pattern.c_str());
        return 1;
    }
    auto segments = static_cast<std::uint64_t>(millions * 1e6) / (kPacksPerSegment * per_pack) + 1;
    Bench bench{.segments = segments, .chunks_per_pack = per_pack, .chunks_per_frame = per_frame, .directory = pattern};
    fmt::print("{:.1f} million chunks in {} segments\n", static_cast<double>(bench.chunks()) / 1e6, segments);
    bench.in_process([&] { bench.build(); });
    std::uintmax_t bytes = 0;
    for (auto const& entry : std::filesystem::recursive_directory_iterator(pattern)) {
        if (entry.is_regular_file()) bytes += entry.file_size();
    }
    fmt::print("files:                   {:5.1f} bytes a chunk\n", bench.share(bytes));
    bench.in_process([&] { bench.back_up(); });
    bench.in_process([&] { bench.restore_one(); });
    if (millions <= 10) bench.in_process([&] { bench.in_memory(); });
    std::filesystem::remove_all(pattern);
    return 0;
}
