#pragma once

// For tests: a directory that is empty at first and gone at the end.

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

namespace holdfast {

class TestDirectory {
  public:
    TestDirectory() {
        path_ = (std::filesystem::temp_directory_path() / "holdfast-test-XXXXXX").string();
        if (!mkdtemp(path_.data()))
            std::abort();
    }
    ~TestDirectory() { std::filesystem::remove_all(path_); }
    TestDirectory(TestDirectory const&) = delete;
    TestDirectory& operator=(TestDirectory const&) = delete;

    std::string const& path() const { return path_; }
    void write(std::string const& name, std::string_view text) const {
        std::filesystem::create_directories(
            std::filesystem::path(path_ + "/" + name).parent_path());
        std::ofstream(path_ + "/" + name, std::ios::binary) << text;
    }

  private:
    std::string path_;
};

}  // namespace holdfast
