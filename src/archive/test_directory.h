#pragma once

#include <cassert>
#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <string>
#include <sys/stat.h>
#include <unistd.h>

namespace holdfast {

// A directory that is gone when the test ends, with helpers that make things in it.
class TestDirectory {
  public:
    TestDirectory() {
        auto pattern = (std::filesystem::temp_directory_path() / "holdfast-test-XXXXXX").string();
        path_ = ::mkdtemp(pattern.data());
    }
    ~TestDirectory() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    TestDirectory(TestDirectory const&) = delete;
    TestDirectory& operator=(TestDirectory const&) = delete;

    std::filesystem::path const& path() const { return path_; }
    std::string operator/(std::string_view name) const { return (path_ / name).string(); }

    std::string directory(std::string_view name, mode_t mode = 0755) const {
        auto path = *this / name;
        std::filesystem::create_directories(path);
        ::chmod(path.c_str(), mode);
        return path;
    }
    std::string file(std::string_view name, std::string_view content) const {
        auto path = *this / name;
        std::filesystem::create_directories(std::filesystem::path(path).parent_path());
        std::ofstream(path, std::ios::binary | std::ios::trunc) << content;
        return path;
    }
    std::string read(std::string_view name) const {
        std::ifstream file(*this / name, std::ios::binary);
        return std::string(std::istreambuf_iterator<char>(file), {});
    }
    struct stat status(std::string_view name) const {
        struct stat status {};
        auto path = *this / name;
        [[maybe_unused]] int failed = ::lstat(path.c_str(), &status);
        assert(!failed);
        return status;
    }
    bool has(std::string_view name) const {
        struct stat status;
        auto path = *this / name;
        return ::lstat(path.c_str(), &status) == 0;
    }

  private:
    std::filesystem::path path_;
};

}  // namespace holdfast
