#include "repo/ring_file.h"

#include <charconv>
#include <fmt/format.h>

#include "os/file.h"

namespace holdfast {
namespace {

constexpr std::size_t kRingFileBytesMax = 200;

std::string spell(SeenRing const& seen) { return fmt::format("ring {} {}\n", seen.n, to_hex(seen.hash)); }

}  // namespace

RingFile::RingFile(std::filesystem::path const& state, RepositoryId const& repository) {
    if (!state.empty()) path_ = state / repository.hex() / "ring";
}

Result<SeenRing> RingFile::load() const {
    if (path_.empty()) return SeenRing{};
    auto text = read_file(path_.string(), kRingFileBytesMax);
    if (!text) {
        if (text.error().kind == ErrorKind::not_found) return SeenRing{};
        return fail(std::move(text).error());
    }
    SeenRing seen;
    auto view = as_text(*text);
    constexpr std::string_view kBegin = "ring ";
    if (view.starts_with(kBegin)) {
        auto rest = view.substr(kBegin.size());
        auto end = std::from_chars(rest.data(), rest.data() + rest.size(), seen.n).ptr;
        auto hex = from_hex(rest.substr(std::min<std::size_t>(rest.size(), end - rest.data() + 1)).substr(0, 64));
        if (hex && hex->size() == seen.hash.size()) std::ranges::copy(*hex, seen.hash.begin());
    }
    if (spell(seen) == view) return seen;
    return fail(ErrorKind::damaged,
                "'" + path_.string() + "', where this machine remembers the key ring, is damaged",
                "--accept-rollback takes the key ring as the store shows it and writes it anew");
}

Result<void> RingFile::save(SeenRing const& seen) const {
    if (path_.empty()) return {};
    std::error_code error;
    std::filesystem::create_directories(path_.parent_path(), error);
    if (error) return fail(errno_error("make directory '" + path_.parent_path().string() + "'", error.value()));
    auto text = spell(seen);
    return write_file_durably(path_.string(), as_bytes(text), 0600);
}

}  // namespace holdfast
