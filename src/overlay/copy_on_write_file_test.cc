#include "overlay/copy_on_write_file.h"

#include <random>
#include <set>

#include <gtest/gtest.h>

#include "os/simulated_file_system.h"

namespace holdfast {
namespace {

constexpr std::size_t kPage = 4096;  // what a disk writes whole
Bytes const kPointsIdentity(32, 9);

// The machine: goes off after so many operations of its disk.
struct Power {
    std::uint64_t left = UINT64_MAX;
    std::uint64_t used = 0;
    bool off = false;
    bool next() {
        ++used;
        off = off || left-- == 0;
        return !off;
    }
};

// A file whose unsynced pages, and size, survive or don't.
class SimulatedFile : public LocalFile {
  public:
    struct Disk {
        Bytes durable, seen;
    };
    SimulatedFile(Disk& disk, Power& power) : disk_(disk), power_(power) {}
    Result<std::uint64_t> size() override { return disk_.seen.size(); }
    Result<std::size_t> read(std::uint64_t offset, ByteSpan to) override {
        if (offset >= disk_.seen.size()) return std::size_t{0};
        auto count = std::min<std::size_t>(to.size(), disk_.seen.size() - offset);
        std::copy_n(disk_.seen.begin() + static_cast<std::ptrdiff_t>(offset), count, to.begin());
        return count;
    }
    Result<void> write(std::uint64_t offset, ByteView bytes) override {
        if (!power_.next()) return fail(ErrorKind::io, "off");
        if (disk_.seen.size() < offset + bytes.size()) disk_.seen.resize(offset + bytes.size());
        std::ranges::copy(bytes, disk_.seen.begin() + static_cast<std::ptrdiff_t>(offset));
        return {};
    }
    Result<void> truncate(std::uint64_t size) override {
        if (!power_.next()) return fail(ErrorKind::io, "off");
        disk_.seen.resize(size);
        return {};
    }
    Result<void> allocate(std::uint64_t offset, std::uint64_t length, Growth growth) override {
        if (growth == Growth::grow && disk_.seen.size() < offset + length) disk_.seen.resize(offset + length);
        return {};
    }
    Result<void> sync() override {
        if (!power_.next()) return fail(ErrorKind::io, "off");
        disk_.durable = disk_.seen;
        return {};
    }
    // The power went and is back.
    static void settle(Disk& disk, std::mt19937_64& random) {
        auto now = disk.durable;
        if (random() % 2 == 0) now.resize(disk.seen.size());
        for (std::size_t at = 0; at < now.size(); at += kPage) {
            if (at >= disk.seen.size() || random() % 2 == 0) continue;
            auto length = std::min({kPage, now.size() - at, disk.seen.size() - at});
            std::copy_n(disk.seen.begin() + static_cast<std::ptrdiff_t>(at), length, now.begin() + static_cast<std::ptrdiff_t>(at));
        }
        disk.seen = disk.durable = now;
    }

  private:
    Disk& disk_;
    Power& power_;
};

// What may be read after the power went: of each page what it was at the last sync, and what it became since.
class Expected {
  public:
    explicit Expected(Bytes content) : now_(std::move(content)) { synced(); }
    Bytes const& now() const { return now_; }
    void write(std::uint64_t offset, ByteView bytes) {
        if (now_.size() < offset + bytes.size()) now_.resize(offset + bytes.size());
        std::ranges::copy(bytes, now_.begin() + static_cast<std::ptrdiff_t>(offset));
        sizes_.insert(now_.size());
        note();
    }
    void synced() {
        pages_.clear();
        sizes_ = {now_.size()};
        note();
    }
    // A cut that came back without an error holds; one that did not holds or doesn't.
    enum class Cut { done, unknown };
    void truncate(std::uint64_t size, Cut cut) {
        bool shorter = size < now_.size();
        now_.resize(size);
        if (cut == Cut::done && shorter) {
            std::set<std::size_t> sizes;
            for (auto one : sizes_) sizes.insert(std::min<std::size_t>(one, size));
            sizes_ = sizes;
            pages_.resize(std::min(pages_.size(), (size + kPage - 1) / kPage));
            if (size % kPage != 0 && pages_.size() * kPage > size) {
                std::set<Bytes> cut_pages;
                for (auto page : pages_.back()) {
                    std::fill(page.begin() + static_cast<std::ptrdiff_t>(size % kPage), page.end(), 0);
                    cut_pages.insert(page);
                }
                pages_.back() = cut_pages;
            }
        }
        sizes_.insert(size);
        note();
    }
    // Why it may not be; empty when it may.
    std::string fault(Bytes const& found) const {
        if (!sizes_.contains(found.size())) return fmt::format("size {}", found.size());
        for (std::size_t at = 0, number = 0; at < found.size(); at += kPage, ++number) {
            auto length = std::min(kPage, found.size() - at);
            auto same = [&](Bytes const& page) {
                return std::equal(page.begin(), page.begin() + static_cast<std::ptrdiff_t>(length),
                                  found.begin() + static_cast<std::ptrdiff_t>(at));
            };
            bool const zeros = number >= pages_.size();
            if (zeros ? !same(Bytes(kPage)) : !std::ranges::any_of(pages_[number], same))
                return fmt::format("page {} of {}", number, (found.size() + kPage - 1) / kPage);
        }
        return {};
    }

  private:
    void note() {
        for (std::size_t at = 0, number = 0; at < now_.size(); at += kPage, ++number) {
            // A page that comes to be at the end may be there without its bytes.
            if (number == pages_.size()) pages_.push_back(sizes_.size() > 1 ? std::set<Bytes>{Bytes(kPage)} : std::set<Bytes>{});
            Bytes page(kPage);
            std::copy_n(now_.begin() + static_cast<std::ptrdiff_t>(at), std::min(kPage, now_.size() - at), page.begin());
            pages_[number].insert(std::move(page));
        }
    }

    Bytes now_;
    std::vector<std::set<Bytes>> pages_;
    std::set<std::size_t> sizes_;
};

Bytes random_bytes(std::mt19937_64& random, std::size_t size) {
    Bytes bytes(size);
    for (auto& byte : bytes) byte = static_cast<std::uint8_t>(random() | 1);
    return bytes;
}

struct World {
    explicit World(std::uint64_t seed) : random(seed), files(seed), point(random_bytes(random, 5 * kBlockBytes + 3000)) {
        std::uint64_t const size = point.size();
        EXPECT_TRUE(HomeMap::create(files, "/map", kPointsIdentity, {&size, 1}));
        disk.durable = disk.seen = Bytes(size);
        files.set_hook([this](std::uint64_t number, std::string const&) {
            if (!power.next()) files.crash_at(number);
        });
    }
    Result<std::unique_ptr<CopyOnWriteFile>> open() {
        std::uint64_t const size = point.size();
        map = TRY(HomeMap::open(files, "/map", kPointsIdentity, {&size, 1}));
        return CopyOnWriteFile::open(0, std::make_unique<SimulatedFile>(disk, power), *map, map->loaded()[0],
                                     [this](std::uint64_t offset, ByteSpan to) -> Result<void> {
                                         EXPECT_LE(offset + to.size(), point.size());
                                         std::copy_n(point.begin() + static_cast<std::ptrdiff_t>(offset), to.size(), to.begin());
                                         return {};
                                     });
    }
    std::mt19937_64 random;
    SimulatedFileSystem files;
    Bytes const point;
    Power power;
    SimulatedFile::Disk disk;
    std::unique_ptr<HomeMap> map;
};

Bytes all_of(CopyOnWriteFile& file) {
    Bytes bytes(20 * kBlockBytes);
    auto count = file.read(0, bytes);
    EXPECT_TRUE(count);
    bytes.resize(*count);
    return bytes;
}

// One operation on both.
Result<void> step(World& world, CopyOnWriteFile& file, Expected& expected) {
    auto& random = world.random;
    switch (random() % 8) {
        case 0: {
            TRY(file.sync());
            expected.synced();
            return {};
        }
        case 1: {
            auto size = random() % (8 * kBlockBytes);
            auto done = file.truncate(size);
            expected.truncate(size, done ? Expected::Cut::done : Expected::Cut::unknown);
            return done;
        }
        case 2: {
            auto block = random() % 6;
            auto from = block * kBlockBytes;
            auto length = std::min<std::uint64_t>(world.point.size() - from, kBlockBytes * (1 + random() % 3) + random() % 100);
            return file.bring(from, ByteView(world.point).subspan(from, length));
        }
        default: {
            bool whole = random() % 2 == 0;
            auto offset = whole ? random() % 7 * kBlockBytes : random() % (7 * kBlockBytes);
            auto bytes = random_bytes(random, whole ? kBlockBytes : 1 + random() % 12000);
            auto done = file.write(offset, bytes);
            // One that failed may have come in all the same.
            expected.write(offset, bytes);
            return done;
        }
    }
}

TEST(CopyOnWriteFile, IsAnOrdinaryFileToWhoReadsAndWrites) {
    for (std::uint64_t seed = 1; seed <= 60; ++seed) {
        World world(seed);
        auto file = world.open().value();
        Expected expected(world.point);
        for (int i = 0; i < 60; ++i) {
            ASSERT_TRUE(step(world, *file, expected));
            ASSERT_EQ(all_of(*file), expected.now()) << "seed " << seed << ", step " << i;
        }
        ASSERT_TRUE(file->sync());
        auto again = world.open().value();
        ASSERT_EQ(all_of(*again), expected.now()) << "opened again, seed " << seed;
        while (again->missing() > 0) {
            auto run = again->next_missing(0, 2);
            auto from = run.first * kBlockBytes;
            auto length = std::min<std::uint64_t>(run.count * kBlockBytes, world.point.size() - from);
            ASSERT_TRUE(again->bring(from, ByteView(world.point).subspan(from, length)));
        }
        ASSERT_EQ(world.disk.seen, expected.now()) << "all home: the local file is the file, seed " << seed;
    }
}

TEST(CopyOnWriteFile, WhatWasSyncedSurvivesThePowerGoingAtEveryOperation) {
    std::uint64_t cuts = 0;
    for (std::uint64_t seed = 1; seed <= 12; ++seed) {
        std::uint64_t operations = 1000;
        for (std::uint64_t off_at = 0; off_at < operations; ++off_at) {
            World world(seed);
            Expected expected(world.point);
            world.power.left = off_at;
            auto work = [&]() -> Result<void> {
                auto file = TRY(world.open());
                for (int i = 0; i < 25; ++i) TRY(step(world, *file, expected));
                return {};
            };
            if (work()) {
                operations = off_at;
                break;
            }
            ++cuts;
            world.power = {};
            world.files.set_hook({});
            world.files.lose_power({Unsynced::partial, Unsynced::partial});
            std::mt19937_64 random(off_at);
            SimulatedFile::settle(world.disk, random);
            auto file = world.open();
            ASSERT_TRUE(file) << file.error().message;
            ASSERT_EQ(expected.fault(all_of(**file)), "") << "seed " << seed << ", off at operation " << off_at;
        }
    }
    EXPECT_GT(cuts, 300u);
}

TEST(CopyOnWriteFile, NothingIsTakenForDurableAfterASyncThatFailed) {
    World world(1);
    auto file = world.open().value();
    ASSERT_TRUE(file->write(0, Bytes(kBlockBytes, 1)));
    world.power.left = 0;
    EXPECT_FALSE(file->sync());
    world.power = {};
    world.files.set_hook({});
    EXPECT_FALSE(file->sync());
}

TEST(CopyOnWriteFile, WhatIsBroughtNeverTakesThePlaceOfWhatWasWritten) {
    World world(1);
    auto file = world.open().value();
    ASSERT_TRUE(file->write(kBlockBytes, Bytes(kBlockBytes, 1)));
    ASSERT_TRUE(file->bring(0, world.point));
    EXPECT_EQ(file->missing(), 0u);
    auto bytes = all_of(*file);
    EXPECT_EQ(bytes[kBlockBytes], 1);
    EXPECT_EQ(bytes[0], world.point[0]);
}

}  // namespace
}  // namespace holdfast
