#include "plan/secret_reference.h"

#include <cstdlib>
#include <filesystem>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "os/file.h"

namespace holdfast::plan {
namespace {

using testing::HasSubstr;
using testing::Not;

class SecretReferenceTest : public testing::Test {
  protected:
    SecretReferenceTest() {
        auto name = (std::filesystem::temp_directory_path() / "holdfast-secret-XXXXXX").string();
        directory_ = ::mkdtemp(name.data());
    }
    ~SecretReferenceTest() override { std::filesystem::remove_all(directory_); }

    SecretReference file(std::string_view content, mode_t mode = 0600) {
        auto path = directory_ + "/secret";
        EXPECT_TRUE(write_file_durably(path, as_bytes(content), mode));
        return {SecretReference::From::file, path};
    }
    static std::string text_of(SecretReference const& reference) {
        auto secret = resolve(reference);
        return secret ? std::string(as_text(secret->bytes)) : "failed: " + secret.error().message;
    }

    std::string directory_;
};

TEST_F(SecretReferenceTest, ReadsAsItIsWritten) {
    for (auto text : {"env:HOLDFAST_X", "file:/etc/x.key", "command:pass show x"}) {
        EXPECT_EQ(to_text(*parse_secret_reference(text)), text);
    }
}

TEST_F(SecretReferenceTest, RefusesSecretsWithoutRepeatingThem) {
    for (auto text : {"hunter2", "", "env:", "file:hunter2", "command:", "password:hunter2"}) {
        auto reference = parse_secret_reference(text);
        ASSERT_FALSE(reference) << text;
        EXPECT_THAT(reference.error().message + reference.error().hint, Not(HasSubstr("hunter2")));
    }
}

TEST_F(SecretReferenceTest, FetchesFromAFile) {
    EXPECT_EQ(text_of(file("one two\n")), "one two");
    EXPECT_EQ(text_of(file("two lines\n\n")), "two lines\n") << "one newline is dropped, not all";
    EXPECT_EQ(text_of(file("no newline")), "no newline");
    EXPECT_EQ(text_of(file(std::string("\0binary", 7))), std::string("\0binary", 7));
    EXPECT_THAT(text_of(file("\n")), HasSubstr("it is empty"));
    EXPECT_EQ(resolve(file(std::string((1 << 20) + 2, 'x'))).error().kind, ErrorKind::usage);
    EXPECT_EQ(resolve({SecretReference::From::file, directory_ + "/none"}).error().kind,
              ErrorKind::not_found);
}

TEST_F(SecretReferenceTest, WarnsOfAFileThatOthersCanRead) {
    EXPECT_EQ(resolve(file("x", 0600))->warning, "");
    EXPECT_THAT(resolve(file("x", 0640))->warning, HasSubstr("chmod 600"));
}

TEST_F(SecretReferenceTest, FetchesFromTheEnvironment) {
    ::setenv("HOLDFAST_TEST_SECRET", "from env", 1);
    EXPECT_EQ(text_of({SecretReference::From::env, "HOLDFAST_TEST_SECRET"}), "from env");
    ::unsetenv("HOLDFAST_TEST_SECRET");
    auto missing = resolve({SecretReference::From::env, "HOLDFAST_TEST_SECRET"});
    EXPECT_EQ(missing.error().kind, ErrorKind::not_found);
    EXPECT_EQ(missing.error().message, "secret env:HOLDFAST_TEST_SECRET: the variable is not set");
}

TEST_F(SecretReferenceTest, FetchesFromACommandWithoutAShell) {
    EXPECT_EQ(text_of({SecretReference::From::command, "echo from  a command"}), "from a command");
    EXPECT_EQ(text_of({SecretReference::From::command, "echo $HOME;id"}), "$HOME;id");
    EXPECT_THAT(text_of({SecretReference::From::command, "false"}),
                HasSubstr("failed: secret command:false: "));
    EXPECT_EQ(resolve({SecretReference::From::command, "/nonexistent/program"}).error().kind,
              ErrorKind::not_found);
}

}  // namespace
}  // namespace holdfast::plan
