#include "store/local_store.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <map>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "os/process.h"
#include "os/simulated_file_system.h"
#include "store/test_directory.h"

namespace holdfast {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::IsEmpty;

std::vector<std::string> keys_of(Store& store) {
    std::vector<std::string> keys;
    auto listed = store.list("",
                             [&](ObjectInfo const& object) -> Result<void> {
                                 keys.push_back(object.key.text());
                                 return {};
                             },
                             {});
    EXPECT_TRUE(listed) << listed.error().message;
    return keys;
}

std::vector<std::string> names_in(FileSystem& files, std::string const& path) {
    std::vector<std::string> names;
    auto entries = files.list(path);
    if (!entries)
        return names;
    for (auto const& entry : *entries)
        names.push_back(entry.name);
    return names;
}

std::unique_ptr<LocalStore> open_simulated(FileSystem& files, std::string owner = "us",
                                           bool others_live = false) {
    auto store = LocalStore::open(
        "/store", {.files = files,
                   .owner = std::move(owner),
                   .owner_may_live = [others_live](std::string_view) { return others_live; },
                   .create = true});
    EXPECT_TRUE(store) << store.error().message;
    return store ? std::move(*store) : nullptr;
}

unsigned mode_of(std::string const& path) {
    struct stat stat {};
    EXPECT_EQ(::stat(path.c_str(), &stat), 0) << path;
    return stat.st_mode & 07777;
}

// What a small repository does: objects in old and new directories, one of them twice, one removed.
struct Action {
    std::string key;
    std::size_t size = 0;
    bool remove = false;
};
std::vector<Action> const kActions = {{"holdfast.json", 700},    {"packs/0a/one", 3000},
                                      {"packs/0a/two", 0},       {"packs/0a/one", 3000},
                                      {"packs/0b/one", 1500},    {"log/w1/000001", 100},
                                      {"packs/0a/two", 0, true}, {"index/x", 2000}};

Bytes content_of(std::string const& key, std::size_t size) {
    Bytes bytes(size);
    std::uint8_t value = 1;
    for (char c : key)
        value = static_cast<std::uint8_t>(value * 31 + c);
    for (auto& byte : bytes)
        byte = ++value | 1;  // never zero: a hole would show
    return bytes;
}

// What a caller was told about a key.
struct Told {
    bool may_be_there = false;
    bool must_be_there = false;
};
using Model = std::map<std::string, Told>;

void act(Store& store, Model& model) {
    for (auto const& action : kActions) {
        ObjectKey key(action.key);
        auto& told = model[action.key];
        if (action.remove) {
            auto removed = store.remove(key, {});
            told.must_be_there = false;
            if (removed)
                told.may_be_there = false;
        } else {
            auto put = store.put(key, content_of(action.key, action.size), {});
            told.may_be_there = true;
            if (put)
                told.must_be_there = true;
        }
    }
}

std::size_t size_of(std::string const& key) {
    for (auto const& action : kActions) {
        if (action.key == key)
            return action.size;
    }
    return 0;
}

// Every acknowledged object is whole, every other one is whole or absent, nothing else shows.
void check_promises(Store& store, Model const& model, std::string const& scene) {
    SCOPED_TRACE(scene);
    for (auto const& [key, told] : model) {
        auto got = store.get(ObjectKey(key), {});
        if (got) {
            EXPECT_TRUE(told.may_be_there) << key;
            EXPECT_EQ(*got, content_of(key, size_of(key))) << key;
        } else {
            EXPECT_EQ(got.error().kind, ErrorKind::not_found) << key << got.error().message;
            EXPECT_FALSE(told.must_be_there) << key;
        }
    }
    for (auto const& key : keys_of(store))
        EXPECT_TRUE(model.contains(key)) << key;
}

constexpr Unsynced kUnsynced[] = {Unsynced::lost, Unsynced::kept, Unsynced::partial};

std::uint64_t operations_of_all_actions() {
    SimulatedFileSystem files(1);
    Model model;
    auto store = open_simulated(files);
    act(*store, model);
    return files.operations();
}

TEST(LocalStoreCrash, PowerLossAtEveryOperationKeepsThePromises) {
    auto operations = operations_of_all_actions();
    ASSERT_GT(operations, 50U);
    for (std::uint64_t at = 0; at <= operations; ++at) {
        for (auto data : kUnsynced) {
            for (auto names : kUnsynced) {
                bool random = data == Unsynced::partial || names == Unsynced::partial;
                for (std::uint64_t seed = 1; seed <= (random ? 5U : 1U); ++seed) {
                    auto scene = fmt::format("operation {}, data {}, names {}, seed {}", at,
                                             static_cast<int>(data), static_cast<int>(names), seed);
                    SimulatedFileSystem files(seed);
                    files.set_short_io(seed % 2 == 0);
                    files.crash_at(at);
                    Model model;
                    auto store = LocalStore::open(
                        "/store", {.files = files, .owner = "dead", .create = true});
                    if (store)
                        act(**store, model);
                    files.lose_power({.data = data, .names = names});

                    auto after = open_simulated(files);
                    ASSERT_TRUE(after);
                    check_promises(*after, model, scene);
                    EXPECT_THAT(names_in(files, "/store/.tmp"), IsEmpty()) << scene;
                    // Life goes on: the same again succeeds.
                    Model again;
                    act(*after, again);
                    for (auto& [key, told] : again) {
                        EXPECT_EQ(told.must_be_there, told.may_be_there) << scene << ' ' << key;
                    }
                    check_promises(*after, again, scene + ", again");
                    if (testing::Test::HasFailure())
                        return;
                }
            }
        }
    }
}

// The object is always the old one or the new one, and the new one once that was said.
TEST(LocalStoreCrash, PowerLossWithinAReplaceLeavesTheOldObjectOrTheNewOne) {
    ObjectKey key("packs/0a/one");
    auto const before = content_of("before", 3000);
    auto const after = content_of("after", 3000);
    for (std::uint64_t at = 0, replaced = 0; replaced < 2; ++at) {
        for (auto data : kUnsynced) {
            for (auto names : kUnsynced) {
                auto scene = fmt::format("operation {}, data {}, names {}", at, static_cast<int>(data),
                                         static_cast<int>(names));
                SimulatedFileSystem files(at);
                auto store = open_simulated(files, "dead");
                ASSERT_TRUE(store->put(key, before, {}));
                files.crash_at(files.operations() + at);
                auto done = store->replace(key, after, {});
                files.lose_power({.data = data, .names = names});
                auto again = open_simulated(files);
                auto got = again->get(key, {});
                ASSERT_TRUE(got) << scene << ": " << got.error().message;
                EXPECT_TRUE(*got == after || (!done && *got == before)) << scene;
                EXPECT_THAT(names_in(files, "/store/.tmp"), IsEmpty()) << scene;
                if (done)
                    replaced = 2;
            }
        }
    }
}

TEST(LocalStoreCrash, EveryFailingOperationIsToldAndLeavesNoHalf) {
    auto operations = operations_of_all_actions();
    for (std::uint64_t at = 0; at < operations; ++at) {
        for (auto kind : {ErrorKind::io, ErrorKind::no_space}) {
            auto scene = fmt::format("operation {} fails with {}", at, name(kind));
            SimulatedFileSystem files(1);
            std::string failed;
            files.set_hook([&](std::uint64_t number, std::string const& what) {
                if (number == at)
                    failed = what;
            });
            files.fail_operation(at, kind);
            Model model;
            auto store = LocalStore::open("/store", {.files = files, .create = true});
            if (!store) {
                EXPECT_EQ(store.error().kind, kind) << scene;
                continue;
            }
            act(**store, model);
            check_promises(**store, model, scene + ": " + failed);
            // Nothing stays behind, unless removing was what failed.
            auto left = names_in(files, "/store/.tmp");
            if (failed.starts_with("remove '/store/.tmp")) {
                EXPECT_EQ(left.size(), 1U) << scene;
            } else {
                EXPECT_THAT(left, IsEmpty()) << scene << ": " << failed;
            }
            files.lose_power({});
            check_promises(*open_simulated(files), model, scene + ", then power loss");
            if (testing::Test::HasFailure())
                return;
        }
    }
}

TEST(LocalStoreCrash, ADirectoryThatAnotherWriterDidNotSyncIsSynced) {
    SimulatedFileSystem files(1);
    auto first = open_simulated(files, "first");
    // The other writer makes packs/ and dies of an error before it is durable.
    bool armed = true;
    files.set_hook([&](std::uint64_t number, std::string const& what) {
        if (armed && what == "make directory '/store/packs'") {
            armed = false;
            files.crash_at(number + 1);
        }
    });
    EXPECT_FALSE(first->put(ObjectKey("packs/0a/one"), as_bytes("1"), {}));
    files.crash_at(~std::uint64_t{0});
    auto second = open_simulated(files, "second");
    ASSERT_TRUE(second->put(ObjectKey("packs/0a/two"), as_bytes("2"), {}));
    files.lose_power({});
    EXPECT_EQ(open_simulated(files)->get(ObjectKey("packs/0a/two"), {}), to_bytes("2"));
}

TEST(LocalStoreCrash, AnObjectThatAnotherWriterDidNotSyncIsSyncedBeforeItCounts) {
    SimulatedFileSystem files(1);
    auto first = open_simulated(files, "first");
    ASSERT_TRUE(first->put(ObjectKey("packs/x"), as_bytes("x"), {}));
    // It publishes the name and fails to make it durable.
    files.set_hook([&](std::uint64_t number, std::string const& what) {
        if (what == "sync directory '/store/packs'")
            files.fail_operation(number, ErrorKind::io);
    });
    ASSERT_FALSE(first->put(ObjectKey("packs/one"), as_bytes("1"), {}));
    files.set_hook({});
    // Somebody else stores the same bytes and is told that they are safe.
    auto second = open_simulated(files, "second");
    ASSERT_TRUE(second->put(ObjectKey("packs/one"), as_bytes("1"), {}));
    files.lose_power({});
    EXPECT_EQ(open_simulated(files)->get(ObjectKey("packs/one"), {}), to_bytes("1"));
}

TEST(LocalStoreCrash, ARemovedObjectStaysRemoved) {
    SimulatedFileSystem files(1);
    auto store = open_simulated(files);
    ASSERT_TRUE(store->put(ObjectKey("a/b"), as_bytes("1"), {}));
    ASSERT_TRUE(store->remove(ObjectKey("a/b"), {}));
    files.lose_power({});
    EXPECT_THAT(keys_of(*open_simulated(files)), IsEmpty());

    // Also when the first attempt fell between removing and syncing.
    store = open_simulated(files);
    ASSERT_TRUE(store->put(ObjectKey("a/b"), as_bytes("1"), {}));
    files.fail_operation(files.operations() + 1, ErrorKind::io);
    ASSERT_FALSE(store->remove(ObjectKey("a/b"), {}));
    ASSERT_TRUE(store->remove(ObjectKey("a/b"), {}));
    files.lose_power({});
    EXPECT_THAT(keys_of(*open_simulated(files)), IsEmpty());
}

TEST(LocalStoreCrash, ADiscardedObjectCostsNoSync) {
    SimulatedFileSystem files(1);
    auto store = open_simulated(files);
    ASSERT_TRUE(store->put(ObjectKey("a/b"), as_bytes("1"), {}));
    auto before = files.operations();
    ASSERT_TRUE(store->discard(ObjectKey("a/b"), {}));
    EXPECT_EQ(files.operations(), before + 1);
    EXPECT_THAT(keys_of(*store), IsEmpty());
    files.lose_power({});
    auto back = open_simulated(files)->get(ObjectKey("a/b"), {});
    EXPECT_TRUE(!back || *back == to_bytes("1"));
}

TEST(LocalStore, FullDiskIsSaidAndLeavesNothing) {
    SimulatedFileSystem files(1);
    auto store = open_simulated(files);
    ASSERT_TRUE(store->put(ObjectKey("a"), Bytes(1000, 1), {}));
    files.set_capacity(3000);
    auto put = store->put(ObjectKey("b"), Bytes(5000, 2), {});
    ASSERT_FALSE(put);
    EXPECT_EQ(put.error().kind, ErrorKind::no_space);
    EXPECT_THAT(put.error().message, HasSubstr("put object 'b'"));
    EXPECT_THAT(put.error().hint, HasSubstr("/store"));
    EXPECT_THAT(names_in(files, "/store/.tmp"), IsEmpty());
    EXPECT_EQ(keys_of(*store), std::vector<std::string>{"a"});
    // What fits still fits.
    EXPECT_TRUE(store->put(ObjectKey("b"), Bytes(2000, 2), {}));
}

// A file system of its own that holds one megabyte.
class SmallDisk : public testing::Test {
  protected:
    void SetUp() override {
        mounted_ = mount("holdfast-test", directory_.path().c_str(), "tmpfs", 0, "size=1m") == 0;
        if (!mounted_)
            GTEST_SKIP() << "cannot mount a tmpfs: " << strerror(errno);
    }
    void TearDown() override {
        if (mounted_)
            umount2(directory_.path().c_str(), MNT_DETACH);
    }
    TestDirectory directory_;
    bool mounted_ = false;
};

TEST_F(SmallDisk, FullDiskIsSaidAndLeavesNothing) {
    auto store = open_store(directory_.path() + "/store", {.create = true});
    ASSERT_TRUE(store) << store.error().message;
    ASSERT_TRUE((*store)->put(ObjectKey("packs/0a/one"), Bytes(300'000, 1), {}));
    auto put = (*store)->put(ObjectKey("packs/0b/two"), Bytes(900'000, 2), {});
    ASSERT_FALSE(put);
    EXPECT_EQ(put.error().kind, ErrorKind::no_space);
    EXPECT_THAT(names_in(system_files(), directory_.path() + "/store/.tmp"), IsEmpty());
    EXPECT_EQ(keys_of(**store), std::vector<std::string>{"packs/0a/one"});
    ASSERT_TRUE((*store)->put(ObjectKey("packs/0b/two"), Bytes(500'000, 2), {}));
    EXPECT_EQ((*store)->get(ObjectKey("packs/0b/two"), {}), Bytes(500'000, 2));
}

TEST_F(SmallDisk, ADiskThatIsGoneIsNotAnEmptyStore) {
    auto path = directory_.path() + "/store";
    auto store = open_store(path, {.create = true});
    ASSERT_TRUE(store);
    ASSERT_TRUE((*store)->put(ObjectKey("a"), as_bytes("1"), {}));
    ASSERT_EQ(umount2(directory_.path().c_str(), MNT_DETACH), 0);
    mounted_ = false;
    auto listed = (*store)->list("", [](auto const&) -> Result<void> { return {}; }, {});
    EXPECT_FALSE(listed);
    EXPECT_FALSE((*store)->put(ObjectKey("b"), as_bytes("2"), {}));
    EXPECT_THAT(names_in(system_files(), directory_.path()), IsEmpty());
}

TEST(LocalStore, OnlyTheOwnerCanReadAndNobodyCanWrite) {
    TestDirectory directory;
    auto root = directory.path() + "/store";
    umask(0);
    auto store = open_store(root, {.create = true});
    ASSERT_TRUE((*store)->put(ObjectKey("packs/0a/one"), as_bytes("1"), {}));
    umask(022);
    EXPECT_EQ(mode_of(root), 0700U);
    EXPECT_EQ(mode_of(root + "/packs"), 0700U);
    EXPECT_EQ(mode_of(root + "/packs/0a"), 0700U);
    EXPECT_EQ(mode_of(root + "/.tmp"), 0700U);
    EXPECT_EQ(mode_of(root + "/packs/0a/one"), 0400U);
    EXPECT_THAT(names_in(system_files(), root + "/.tmp"), IsEmpty());
}

TEST(LocalStore, WhatIsNoObjectDoesNotShow) {
    TestDirectory directory;
    auto store = open_store(directory.path(), {});
    ASSERT_TRUE((*store)->put(ObjectKey("packs/one"), as_bytes("1"), {}));
    directory.write(".tmp/somebody.7", "half");
    directory.write("lost+found/x", "x");
    directory.write("packs/.hidden", "x");
    directory.write("packs/one~", "x");
    ASSERT_EQ(mkfifo((directory.path() + "/packs/fifo").c_str(), 0600), 0);
    EXPECT_EQ(keys_of(**store), std::vector<std::string>{"packs/one"});
    // And a FIFO under a key does not hang the reader.
    EXPECT_EQ((*store)->get(ObjectKey("packs/fifo"), {}).error().kind, ErrorKind::not_found);
    EXPECT_EQ((*store)->head(ObjectKey("packs/fifo"), {}).error().kind, ErrorKind::not_found);
}

TEST(LocalStore, SweepsWhatDeadProcessesLeftBehind) {
    TestDirectory directory;
    auto root = directory.path();
    // A process that dies in the middle of a put: a file that grows beyond the limit ends it.
    pid_t pid = fork();
    if (pid == 0) {
        rlimit limit{100'000, 100'000};
        setrlimit(RLIMIT_FSIZE, &limit);
        rlimit no_core{0, 0};
        setrlimit(RLIMIT_CORE, &no_core);
        auto store = open_store(root, {});
        (void)(*store)->put(ObjectKey("victim"), Bytes(300'000), {});
        _exit(0);
    }
    int status = 0;
    waitpid(pid, &status, 0);
    ASSERT_TRUE(WIFSIGNALED(status));
    ASSERT_EQ(names_in(system_files(), root + "/.tmp").size(), 1U);
    directory.write(".tmp/" + process_name() + ".998", "ours, being written");
    directory.write(".tmp/0123456789abcdef-4026531836-7-7.1", "of another machine");
    directory.write(".tmp/README", "not ours");
    ASSERT_EQ(names_in(system_files(), root + "/.tmp").size(), 4U);

    ASSERT_TRUE(open_store(root, {}));
    EXPECT_THAT(names_in(system_files(), root + "/.tmp"),
                testing::UnorderedElementsAre(process_name() + ".998",
                                              "0123456789abcdef-4026531836-7-7.1", "README"));
    EXPECT_THAT(keys_of(**open_store(root, {})), IsEmpty());
}

TEST(LocalStore, SweepsWhatNobodyCanWaitForAnyMore) {
    ManualClock clock(Time(1000h));
    SimulatedFileSystem files(1, clock);
    LocalStoreOptions options{.files = files,
                              .clock = clock,
                              .owner = "far",
                              .owner_may_live = [](std::string_view) { return true; },
                              .create = true};
    ASSERT_TRUE(LocalStore::open("/store", options));
    ASSERT_TRUE(files.make_directory("/store/.tmp", 0700));
    ASSERT_TRUE(files.create("/store/.tmp/far.1", 0400));
    clock.advance(23h);
    ASSERT_TRUE(LocalStore::open("/store", options));
    EXPECT_EQ(names_in(files, "/store/.tmp").size(), 1U);
    clock.advance(2h);
    ASSERT_TRUE(LocalStore::open("/store", options));
    EXPECT_THAT(names_in(files, "/store/.tmp"), IsEmpty());
}

TEST(LocalStore, APutWhoseTemporaryFileWasSweptStillSucceeds) {
    SimulatedFileSystem files(1);
    auto store = open_simulated(files);
    bool armed = true;
    files.set_hook([&](std::uint64_t, std::string const& what) {
        if (!armed || what != "publish '/store/a/b'")
            return;
        armed = false;
        auto names = names_in(files, "/store/.tmp");
        ASSERT_EQ(names.size(), 1U);
        ASSERT_TRUE(files.remove("/store/.tmp/" + names[0]));
    });
    EXPECT_TRUE(store->put(ObjectKey("a/b"), as_bytes("1"), {}));
    EXPECT_FALSE(armed);
    EXPECT_EQ(store->get(ObjectKey("a/b"), {}), to_bytes("1"));
}

TEST(LocalStore, APutThatComesSecondLooksAtWhatCameFirst) {
    for (bool same : {true, false}) {
        SimulatedFileSystem files(1);
        auto store = open_simulated(files);
        auto rival = open_simulated(files, "rival");
        bool armed = true;
        files.set_hook([&](std::uint64_t, std::string const& what) {
            if (!armed || what != "publish '/store/a/b'")
                return;
            armed = false;
            ASSERT_TRUE(rival->put(ObjectKey("a/b"), as_bytes(same ? "1" : "2"), {}));
        });
        auto put = store->put(ObjectKey("a/b"), as_bytes("1"), {});
        EXPECT_FALSE(armed);
        EXPECT_EQ(put.has_value(), same);
        if (!same) {
            EXPECT_EQ(put.error().kind, ErrorKind::exists);
        }
        EXPECT_EQ(store->get(ObjectKey("a/b"), {}), to_bytes(same ? "1" : "2"));
        EXPECT_THAT(names_in(files, "/store/.tmp"), IsEmpty());
    }
}

TEST(LocalStore, StopDuringAPutLeavesNothing) {
    SimulatedFileSystem files(1);
    auto store = open_simulated(files);
    std::stop_source source;
    files.set_hook([&](std::uint64_t, std::string const& what) {
        if (what.starts_with("write '/store/.tmp/"))
            source.request_stop();
    });
    auto put = store->put(ObjectKey("a/b"), Bytes(9 << 20), source.get_token());
    ASSERT_FALSE(put);
    EXPECT_EQ(put.error().kind, ErrorKind::cancelled);
    files.set_hook({});
    EXPECT_THAT(names_in(files, "/store/.tmp"), IsEmpty());
    EXPECT_THAT(keys_of(*store), IsEmpty());
}

TEST(LocalStore, AFileThatShrinksWhileItIsReadIsDamage) {
    TestDirectory directory;
    auto store = open_store(directory.path(), {});
    ASSERT_TRUE((*store)->put(ObjectKey("a"), Bytes(1000, 1), {}));
    ASSERT_EQ(truncate((directory.path() + "/a").c_str(), 400), 0);
    EXPECT_EQ((*store)->get(ObjectKey("a"), {})->size(),
              400U);  // only a reader who knows better can tell
    EXPECT_EQ((*store)->get_range(ObjectKey("a"), 300, 200, {}).error().kind, ErrorKind::damaged);
    EXPECT_EQ((*store)->put(ObjectKey("a"), Bytes(1000, 1), {}).error().kind, ErrorKind::exists);
    // Absurd sizes are not allocated.
    ASSERT_EQ(truncate((directory.path() + "/a").c_str(), off_t{1} << 40), 0);
    EXPECT_EQ((*store)->get(ObjectKey("a"), {}).error().kind, ErrorKind::damaged);
    EXPECT_EQ((*store)->get_range(ObjectKey("a"), 0, 1ULL << 39, {}).error().kind,
              ErrorKind::damaged);
}

TEST(LocalStore, WorksWhereThereAreNoHardLinks) {
    auto have = run({.argv = {"strace", "-V"}}, {});
    if (!have || !have->success())
        GTEST_SKIP() << "needs strace";
    auto self = std::filesystem::read_symlink("/proc/self/exe").string();
    auto traced = run({.argv = {"strace", "-f", "-qq", "-e", "trace=link,linkat", "-e",
                                "inject=link,linkat:error=EPERM", self,
                                "--gtest_filter=Stores/StoreConformance.*/local"}},
                      {});
    ASSERT_TRUE(traced);
    if (traced->err.find("ptrace") != std::string::npos)
        GTEST_SKIP() << "may not trace";
    EXPECT_THAT(traced->err, HasSubstr("INJECTED"));
    EXPECT_EQ(traced->exit_code, 0) << traced->out;
}

}  // namespace
}  // namespace holdfast
