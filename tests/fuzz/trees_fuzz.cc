// What lies in trees, and what a client keeps of them. The first byte chooses: a serialised directory, an entry, what
// a point says of its changes, or a capture cache.
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <unistd.h>

#include "archive/capture_cache.h"
#include "archive/change_profile.h"
#include "archive/tree.h"
#include "os/random.h"
#include "seeds.h"

using namespace holdfast;

namespace {

enum class Kind : std::uint8_t { directory, entry, profile, cache, count };

// Files of this process, gone with it.
CaptureCachePlace const& place() {
    struct Made {
        CaptureCachePlace place;
        Made() {
            auto name = (std::filesystem::temp_directory_path() / "holdfast-fuzz-XXXXXX").string();
            if (mkdtemp(name.data()) == nullptr) std::abort();
            place = {name, name + "/cache", name + "/pending", Bytes(32, 7), Bytes(5, 1)};
        }
        ~Made() { std::filesystem::remove_all(place.directory); }
    };
    static Made const made;
    return made.place;
}

void check(bool holds) {
    if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    if (size == 0) return 0;
    ByteView rest(data + 1, size - 1);
    switch (static_cast<Kind>(data[0] % static_cast<int>(Kind::count))) {
        case Kind::directory: {
            DirectoryTraits traits;
            auto entries = decode_directory(rest, &traits);
            if (entries) check(std::ranges::equal(encode_directory(*entries, traits), rest));
            break;
        }
        case Kind::entry: (void)decode_entry(rest); break;
        case Kind::profile: (void)decode_change_profile(as_text(rest)); break;
        case Kind::cache: {
            std::ofstream(place().file, std::ios::binary) << as_text(rest);
            auto reader = CaptureCacheReader::open(place());
            if (!reader) break;
            (void)reader->find("a/b");
            reader->pass_rest();
            break;
        }
        case Kind::count: break;
    }
    return 0;
}

std::vector<Bytes> seeds() {
    std::vector<Bytes> all;
    auto add = [&](Kind kind, ByteView bytes) {
        all.emplace_back(1, static_cast<std::uint8_t>(kind));
        all.back().insert(all.back().end(), bytes.begin(), bytes.end());
    };
    Entry file;
    file.name = "file";
    file.mode = 0644;
    file.content = {.size = 5, .depth = 0, .extents = {{ChunkId{}, 0, 5}}};
    Entry link;
    link.name = "link";
    link.type = EntryType::symlink;
    link.target = "file";
    add(Kind::directory, encode_directory({file, link}));
    Entry self;
    self.type = EntryType::directory;
    add(Kind::directory, encode_directory({file}, {.self = self, .incomplete = true}));
    ByteWriter writer;
    encode(file, writer);
    add(Kind::entry, writer.view());
    SeededRandom random(1);
    auto cache = CaptureCacheWriter::create(place(), random);
    cache->add({.path = "a/b", .stamp = {}, .entry = file, .chunks = {ChunkId{}}});
    cache->finish();
    std::ifstream made(place().pending, std::ios::binary);
    std::string bytes((std::istreambuf_iterator<char>(made)), {});
    check(!bytes.empty());
    add(Kind::cache, as_bytes(bytes));
    return all;
}
