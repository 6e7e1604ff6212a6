// RcloneStore over a real rclone: a directory of this machine, and the same through rclone's own sftp server.

#include "store/rclone_store.h"

#include <csignal>
#include <cstdlib>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "os/file.h"
#include "store/conformance.h"
#include "store/test_directory.h"

namespace holdfast {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::Not;

bool has_rclone() { return run({.argv = {"rclone", "version"}}, {}).has_value(); }

Result<std::unique_ptr<RcloneStore>> try_open(std::string const& place, bool create = true) {
    return RcloneStore::open({.address = {place}, .create = create, .give_up_after = 20s}, {});
}
std::unique_ptr<RcloneStore> open(std::string const& place) {
    auto store = try_open(place);
    EXPECT_TRUE(store) << store.error().message;
    return store ? std::move(*store) : nullptr;
}

MadeStore make_local() {
    auto place = std::make_shared<TestDirectory>();
    return {open(place->path() + "/a store"), place};
}

// rclone's own sftp server over a directory: another machine, as far as the store can tell.
struct SftpServer {
    TestDirectory directory;
    std::unique_ptr<ChildProcess> child;
    int port = 0;

    static std::shared_ptr<SftpServer> start() {
        auto server = std::make_shared<SftpServer>();
        auto child = ChildProcess::start({.argv = {"rclone", "serve", "sftp", server->directory.path(), "--addr",
                                                   "127.0.0.1:0", "--user", "u", "--pass", "p", "-v"},
                                          .environment = {{"HOME", server->directory.path()}}});
        if (!child) return nullptr;
        server->child = std::move(*child);
        for (int i = 0; i < 600 && server->port == 0; ++i) {
            auto said = server->child->output_tail();
            auto at = said.find("listening on 127.0.0.1:");
            if (at != said.npos) server->port = std::atoi(said.c_str() + at + 23);
            if (server->child->wait(50ms)) break;
        }
        return server->port == 0 ? nullptr : server;
    }
};

MadeStore make_sftp() {
    auto server = SftpServer::start();
    if (!server) return {};
    // A remote of its own, as the environment can configure one.
    static int count = 0;
    auto name = fmt::format("HOLDFAST{}", ++count);
    static std::string const password = run({.argv = {"rclone", "obscure", "p"}}, {}).value().out;
    auto set = [&](std::string const& option, std::string const& value) {
        setenv(("RCLONE_CONFIG_" + name + "_" + option).c_str(), value.c_str(), 1);
    };
    set("TYPE", "sftp");
    set("HOST", "127.0.0.1");
    set("PORT", std::to_string(server->port));
    set("USER", "u");
    set("PASS", password.substr(0, password.find('\n')));
    set("SHELL_TYPE", "none");
    return {open(name + ":store"), server};
}

INSTANTIATE_TEST_SUITE_P(Rclone, StoreConformance,
                         testing::Values(StoreMaker{"local", make_local}, StoreMaker{"sftp", make_sftp}),
                         [](auto const& info) { return info.param.name; });

TEST(RcloneStore, ARcloneThatIsKilledIsStartedAgain) {
    TestDirectory directory;
    auto store = open(directory.path() + "/s");
    ASSERT_TRUE(store->put(ObjectKey("a"), as_bytes("one"), {}));
    auto first = store->pid();
    ASSERT_EQ(kill(first, SIGKILL), 0);
    EXPECT_EQ(store->get(ObjectKey("a"), {}), to_bytes("one"));
    EXPECT_NE(store->pid(), first);
    EXPECT_NE(store->pid(), 0);
}

TEST(RcloneStore, ARcloneThatDoesNotStayIsUnreachable) {
    TestDirectory directory;
    auto store = RcloneStore::open({.address = {directory.path()}, .program = "false", .give_up_after = 1s}, {});
    ASSERT_FALSE(store);
    EXPECT_EQ(store.error().kind, ErrorKind::unreachable);
    EXPECT_THAT(store.error().message, HasSubstr("rclone ended"));
    store = RcloneStore::open({.address = {directory.path()}, .program = "no-such-rclone"}, {});
    ASSERT_FALSE(store);
    EXPECT_EQ(store.error().kind, ErrorKind::not_found);
    EXPECT_THAT(store.error().hint, HasSubstr("apt-get install rclone"));
}

TEST(RcloneStore, AMissingPlaceAndAMissingRemoteAreSaid) {
    TestDirectory directory;
    auto store = try_open(directory.path() + "/none", false);
    ASSERT_FALSE(store);
    EXPECT_EQ(store.error().kind, ErrorKind::not_found);
    store = try_open("no-such-remote-here:x");
    ASSERT_FALSE(store);
    EXPECT_EQ(store.error().kind, ErrorKind::usage);
    EXPECT_THAT(store.error().message, HasSubstr("no-such-remote-here"));
}

TEST(RcloneStore, NobodyElseOnThisMachineIsServed) {
    TestDirectory directory;
    auto store = open(directory.path() + "/s");
    ASSERT_TRUE(store->put(ObjectKey("a"), as_bytes("one"), {}));
    // Its address is no secret; its password is, and stands in no argument.
    auto arguments = to_text(*read_file(fmt::format("/proc/{}/cmdline", store->pid()), 1 << 16));
    EXPECT_THAT(arguments, Not(HasSubstr("pass")));
    auto sockets = run({.argv = {"sh", "-c", fmt::format("ls -l /proc/{}/fd | grep -c socket", store->pid())}}, {});
    EXPECT_TRUE(sockets);
}

TEST(RcloneStore, AnUploadThatWasCutOffIsNoObject) {
    TestDirectory directory;
    auto store = open(directory.path() + "/s");
    // What a killed program leaves: below no key.
    ASSERT_EQ(std::system(fmt::format("mkdir -p '{0}/s/.holdfast-uploads' && echo half > '{0}/s/.holdfast-uploads/x'",
                                      directory.path())
                              .c_str()),
              0);
    ASSERT_TRUE(store->put(ObjectKey("a/b"), as_bytes("one"), {}));
    std::vector<std::string> keys;
    ASSERT_TRUE(store->list("",
                            [&](ObjectInfo const& info) -> Result<void> {
                                keys.push_back(info.key.text());
                                return {};
                            },
                            {}));
    EXPECT_EQ(keys, std::vector<std::string>{"a/b"});
}

TEST(RcloneStore, AFullOrReadOnlyPlaceIsAnError) {
    TestDirectory directory;
    auto store = open(directory.path() + "/s");
    ASSERT_TRUE(store->put(ObjectKey("a"), as_bytes("one"), {}));
    // A file where a folder has to be: the other end refuses, and says so.
    auto refused = RcloneStore::open({.address = {directory.path() + "/s"}, .give_up_after = 1s}, {});
    ASSERT_TRUE(refused);
    auto put = (*refused)->put(ObjectKey("a/b"), as_bytes("two"), {});
    ASSERT_FALSE(put);
    EXPECT_EQ(put.error().kind, ErrorKind::unreachable);
    EXPECT_THAT(put.error().message, HasSubstr("rclone says"));
    EXPECT_EQ(store->get(ObjectKey("a"), {}), to_bytes("one"));
}

TEST(RcloneUrl, NamesARemoteAndNoSecret) {
    EXPECT_EQ(parse_rclone_url("rclone:backup:holdfast/main")->file_system, "backup:holdfast/main");
    EXPECT_EQ(parse_rclone_url("rclone:/srv/x")->file_system, "/srv/x");
    EXPECT_EQ(parse_rclone_url("rclone::sftp,host=h,key_file=/k:p")->file_system, ":sftp,host=h,key_file=/k:p");
    for (auto const* url : {"rclone:", "rclone:backup", "rclone::sftp,host=h,pass=hunter2:p", "rclone:a[b]:c",
                            "rclone::s3,secret_access_key=hunter2:b", "rclone:b,token=hunter2:p"}) {
        auto parsed = parse_rclone_url(url);
        ASSERT_FALSE(parsed) << url;
        EXPECT_EQ(parsed.error().kind, ErrorKind::usage);
    }
    EXPECT_THAT(parse_rclone_url("rclone::sftp,pass=hunter2:p").error().message, Not(HasSubstr("hunter2")));
}

}  // namespace
}  // namespace holdfast

int main(int argc, char** argv) {
    testing::InitGoogleTest(&argc, argv);
    if (!testing::GTEST_FLAG(list_tests) && !holdfast::has_rclone()) {
        std::puts("skipped: no rclone");
        return 77;
    }
    return RUN_ALL_TESTS();
}
