#include "past.h"

#include "repo/prune.h"
#include "repo/reserve.h"
#include "repo/test_world.h"

namespace holdfast::simulation {
namespace {

using namespace std::chrono_literals;

TestOrigin const& origin() {
    static auto const made = make_test_origin(2);
    return made;
}

Bytes const& pool(std::size_t file) {
    static auto const made = [] {
        std::vector<Bytes> files;
        for (std::size_t i = 0; i < kPool; ++i) {
            files.push_back(i % 3 == 0 ? prose(600 + 300 * i, i) : noise(400 + 250 * i, i));
        }
        return files;
    }();
    return made[file];
}

Past live_through(std::uint64_t seed) {
    std::mt19937_64 random(seed);
    SeededRandom stream(seed);
    ManualClock clock(*parse_rfc3339("2026-01-02T00:00:00Z"));
    auto executor = make_seeded_executor(seed);
    Past past{origin().objects, {}, {}, {}};
    SimulatedStore store(past.objects, clock);
    auto open = [&](KeyBundle const& bundle) {
        return open_repository(store, bundle.clone(), {clock, stream, *executor, {}, {}}, {}, {}).value();
    };
    auto back_up = [&] {
        Capture capture{{}, "d" + std::to_string(random() % 2)};
        for (auto i = 1 + random() % 4; i > 0; --i) capture.files.push_back(random() % kPool);
        auto who = random() % 3;
        auto repository = open(who == 2 ? keys().admin : keys().writers[who]);
        auto ingest = repository->begin_ingest({.pack_bytes = kPackBytes, .parity_percent = 0}, {}).value();
        auto point = capture_test_files(*ingest, files_of(capture), capture.dataset).value();
        point.time = clock.now();
        auto info = repository->publish(*ingest, std::move(point), {}).value();
        past.promises[info.id] = capture;
        past.captures.push_back(std::move(capture));
    };
    auto forget = [&] {
        auto repository = open(keys().admin);
        auto list = repository->points({}).value();
        if (list.points.empty()) return;
        auto const& info = list.points[random() % list.points.size()];
        PointKey key{dataset_tag(keys().admin, info.point.dataset), info.point.time, info.id};
        (void)repository->drop({&key, 1}, {}).value();
        past.promises.erase(info.id);
    };
    back_up();
    for (auto i = 1 + random() % 5; i > 0; --i) {
        constexpr Duration pauses[] = {1min, 2h, 30h, std::chrono::days(20)};
        clock.advance(pauses[random() % std::size(pauses)]);
        switch (random() % 8) {
            case 0:
            case 1:
            case 2: back_up(); break;
            case 3:
            case 4: forget(); break;
            case 5: {
                auto repository = open(keys().admin);
                (void)verify_repository(*repository, {.data = true}, walk_test_files, {}, {}).value();
                break;
            }
            default: {
                auto repository = open(keys().admin);
                PruneOptions options{.limits = {.unused_max = random() % 2 == 0 ? 0 : 0.3},
                                     .shape = {.bytes = kPackBytes, .parity_percent = 0}};
                (void)prune_repository(*repository, options, walk_test_files, {}, {}).value();
            }
        }
    }
    // Room that was kept: a small one, since making it costs as much as ten histories.
    (void)store.put(ObjectKey(std::string(kReservePrefix) + "0000000000000000"), as_bytes("room"), {}).value();
    // They have been there for long when the history's clock begins.
    for (auto& [key, object] : past.objects.objects) object.since = -24h;
    past.end = clock.now();
    return past;
}

}  // namespace

TestFiles files_of(Capture const& capture) {
    TestFiles files;
    for (auto file : capture.files) files.push_back(pool(file));
    return files;
}

Keys const& keys() {
    static auto const made = [] {
        Keys all{origin().admin.clone(), {}};
        for (auto const& writer : origin().writers) all.writers.push_back(writer.clone());
        return all;
    }();
    return made;
}

Remembered const& remembered(std::size_t file) {
    static auto const made = [] {
        auto objects = origin().objects;
        ManualClock clock(*parse_rfc3339("2026-01-02T00:00:00Z"));
        SeededRandom random(1);
        auto executor = make_seeded_executor(1);
        SimulatedStore store(objects, clock);
        auto repository = open_repository(store, keys().admin.clone(), {clock, random, *executor, {}, {}}, {}, {}).value();
        auto ingest = repository->begin_ingest({.pack_bytes = kPackBytes, .parity_percent = 0}, {}).value();
        std::vector<Remembered> all;
        for (std::size_t i = 0; i < kPool; ++i) {
            auto stream = ingest->open_stream(ChunkKind::data, {});
            (void)stream->append(pool(i)).value();
            auto content = stream->finish().value();
            all.push_back({std::move(content), {stream->chunks().begin(), stream->chunks().end()}});
        }
        return all;
    }();
    return made[file];
}

Past const& past(std::size_t number) {
    static auto const made = [] {
        std::vector<Past> all;
        for (std::size_t i = 0; i < kPasts; ++i) all.push_back(live_through(i));
        return all;
    }();
    return made[number];
}

}  // namespace holdfast::simulation
