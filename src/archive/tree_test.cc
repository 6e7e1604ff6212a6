#include "archive/tree.h"

#include <gmock/gmock.h>

#include <fstream>
#include <random>

#include "archive/fake_chunks.h"

namespace holdfast {
namespace {

Content content_of(char fill, std::uint64_t size) {
    ChunkId id;
    id.bytes.fill(static_cast<std::uint8_t>(fill));
    return {size, 0, {{id, 0, size}}};
}

// One entry of each type, with everything that an entry can hold.
std::vector<Entry> every_entry() {
    std::vector<Entry> entries(8);
    for (std::size_t i = 0; i < entries.size(); ++i) {
        entries[i].name = std::string(1, static_cast<char>('a' + i));
        entries[i].mode = 04755;
        entries[i].uid = 4294967294u;
        entries[i].gid = 100;
        entries[i].user = "nobody";
        entries[i].group = "users";
        entries[i].mtime_seconds = -2'000'000'000;
        entries[i].mtime_nanoseconds = 999'999'999;
        entries[i].type = static_cast<EntryType>(i % 7 + 1);
    }
    entries[0].name = "\x01\n\xff name";
    entries[0].content = content_of('x', 1000);
    entries[0].link_group = 77;
    entries[0].unsettled = true;
    entries[0].xattrs = {{"security.capability", {1, 0, 2}}, {"user.empty", {}}};
    entries[1].content = content_of('d', 50);
    entries[1].mtime_seconds = 1ll << 40;
    entries[2].target = std::string(300, '.') + "/\xfe";
    entries[5].device = 0x0103;
    entries[6].device = ~0ull;
    entries[7].content = {};
    return entries;
}

TEST(Directory, HoldsEveryTypeAndField) {
    auto entries = every_entry();
    auto bytes = encode_directory(entries);
    auto again = decode_directory(bytes);
    ASSERT_TRUE(again) << again.error().message;
    EXPECT_EQ(*again, entries);
    EXPECT_EQ(decode_directory(encode_directory({}))->size(), 0u);
}

TEST(Directory, HoldsItsOwnEntryAndWhetherItIsComplete) {
    DirectoryTraits traits;
    traits.self = Entry{};
    traits.self->type = EntryType::directory;
    traits.self->mode = 0700;
    traits.incomplete = true;
    DirectoryTraits again;
    auto entries = decode_directory(encode_directory(every_entry(), traits), &again);
    ASSERT_TRUE(entries);
    EXPECT_EQ(entries->size(), 8u);
    EXPECT_EQ(again.self, traits.self);
    EXPECT_TRUE(again.incomplete);
    ASSERT_TRUE(decode_directory(encode_directory({}), &again));
    EXPECT_FALSE(again.self || again.incomplete);
}

// What version 1 wrote, every later version reads. The fixture is made once; it never changes.
TEST(Directory, ReadsVersion1) {
    std::ifstream file(HOLDFAST_FIXTURES "/archive/directory-v1.hex");
    std::string text, line;
    while (std::getline(file, line)) text += line;
    auto bytes = from_hex(text);
    ASSERT_TRUE(bytes);
    DirectoryTraits traits;
    auto entries = decode_directory(*bytes, &traits);
    ASSERT_TRUE(entries) << entries.error().message;
    EXPECT_EQ(*entries, every_entry());
    EXPECT_TRUE(traits.incomplete);
    ASSERT_TRUE(traits.self);
    EXPECT_EQ(traits.self->mode, 0700u);
    EXPECT_EQ(to_hex(encode_directory(*entries, traits)), text);
}

TEST(Directory, RejectsEveryTruncationAndTail) {
    auto bytes = encode_directory(every_entry());
    for (std::size_t size = 0; size < bytes.size(); ++size) {
        auto cut = decode_directory(ByteView(bytes).first(size));
        ASSERT_FALSE(cut) << size;
        EXPECT_EQ(cut.error().kind, ErrorKind::damaged);
    }
    bytes.push_back(0);
    EXPECT_FALSE(decode_directory(bytes));
}

// A flip is either refused or yields another directory with exactly this spelling: nothing is read
// leniently.
TEST(Directory, EveryFlipIsRefusedOrAnotherDirectory) {
    auto bytes = encode_directory(every_entry());
    for (std::size_t at = 0; at < bytes.size(); ++at) {
        for (int bit = 0; bit < 8; ++bit) {
            auto flipped = bytes;
            flipped[at] ^= static_cast<std::uint8_t>(1 << bit);
            DirectoryTraits traits;
            auto entries = decode_directory(flipped, &traits);
            if (!entries) continue;
            ASSERT_EQ(encode_directory(*entries, traits), flipped) << at << " " << bit;
        }
    }
}

// Spells a directory without the encoder's own checks.
Bytes raw_directory(std::vector<std::pair<std::string, EntryType>> const& names) {
    ByteWriter writer;
    writer.raw(as_bytes("HFT1"));
    for (auto const& [name, type] : names) {
        Entry entry;
        entry.type = type;
        ByteWriter body;
        encode(entry, body);  // with an empty name at offset 2
        auto bytes = body.take();
        ByteWriter blob;
        blob.blob(name);
        bytes.erase(bytes.begin() + 2);
        bytes.insert(bytes.begin() + 2, blob.view().begin(), blob.view().end());
        writer.blob(bytes);
    }
    writer.u16(0);
    return writer.take();
}

TEST(Directory, RejectsHostileNames) {
    auto file = EntryType::file;
    ASSERT_TRUE(decode_directory(raw_directory({{"a", file}, {"b", file}})));
    for (std::string bad : {std::string(""), std::string("."), std::string(".."), std::string("a/b"),
                            std::string("/"), std::string("a\0b", 3), std::string(5000, 'x')}) {
        auto entries = decode_directory(raw_directory({{bad, file}}));
        ASSERT_FALSE(entries) << bad;
        EXPECT_EQ(entries.error().kind, ErrorKind::damaged);
    }
    EXPECT_FALSE(decode_directory(raw_directory({{"b", file}, {"a", file}})));
    EXPECT_FALSE(decode_directory(raw_directory({{"a", file}, {"a", file}})));
    // Its own entry: only first, only a directory.
    EXPECT_TRUE(decode_directory(raw_directory({{"", EntryType::directory}, {"a", file}})));
    EXPECT_FALSE(decode_directory(raw_directory({{"a", file}, {"", EntryType::directory}})));
    EXPECT_FALSE(decode_directory(raw_directory({{"", EntryType::directory}, {"", EntryType::directory}})));
}

TEST(Directory, HostileLengthsAllocateNothing) {
    for (std::uint64_t length : {std::uint64_t{1} << 62, std::uint64_t{kEntryBytesMax + 1}, std::uint64_t{5}}) {
        ByteWriter writer;
        writer.raw(as_bytes("HFT1"));
        writer.varint(length);
        EXPECT_FALSE(decode_directory(writer.view()));
        FakeChunks chunks;
        FakeFetch fetch(chunks);
        Content content{writer.size(), 0, {{chunks.put(writer.view()), 0, writer.size()}}};
        auto reader = DirectoryReader::open(fetch, content, {});
        ASSERT_FALSE(reader);
        EXPECT_EQ(reader.error().kind, ErrorKind::damaged);
    }
}

TEST(Directory, RandomBytesNeverPass) {
    std::mt19937_64 random(20261122);
    auto good = encode_directory(every_entry());
    for (int round = 0; round < 20000; ++round) {
        auto bytes = good;
        for (int i = 0; i < 3; ++i) bytes[random() % bytes.size()] = static_cast<std::uint8_t>(random());
        DirectoryTraits traits;
        auto entries = decode_directory(bytes, &traits);
        if (!entries) continue;
        ASSERT_EQ(encode_directory(*entries, traits), bytes);
    }
}

class TreeTest : public testing::Test {
  protected:
    FakeChunks chunks;
    FakeIngest ingest{chunks};
    FakeFetch fetch{chunks};

    Entry plain(EntryType type = EntryType::file) {
        Entry entry;
        entry.type = type;
        entry.mode = 0640;
        return entry;
    }
    std::vector<std::string> walk(Content const& root, std::string_view start = "") {
        std::vector<std::string> paths;
        auto visit = [&](std::string const& path, Entry const&) -> Result<bool> {
            paths.push_back(path);
            return true;
        };
        auto done = TreeReader(fetch, root).walk(start, visit, {}, {});
        EXPECT_TRUE(done) << done.error().message;
        return paths;
    }
};

TEST_F(TreeTest, ReaderAndWriterStreamLargeDirectories) {
    DirectoryWriter writer(ingest);
    std::vector<Entry> entries;
    for (int i = 0; i < 20000; ++i) {
        auto entry = plain();
        entry.name = std::to_string(100000 + i) + std::string(100, 'n');
        ASSERT_TRUE(writer.add(entry));
        entries.push_back(entry);
    }
    auto content = writer.finish(true);
    ASSERT_TRUE(content);
    EXPECT_GT(content->size, 2u << 20);
    EXPECT_EQ(*fetch.content(*content, 1u << 30, {}), encode_directory(entries, {std::nullopt, true}));
    auto reader = DirectoryReader::open(fetch, *content, {});
    ASSERT_TRUE(reader);
    for (auto const& entry : entries) {
        auto next = reader->next({});
        ASSERT_TRUE(next && *next);
        ASSERT_EQ(**next, entry);
    }
    EXPECT_FALSE(reader->incomplete());
    auto last = reader->next({});
    EXPECT_TRUE(last && !*last);
    EXPECT_TRUE(reader->incomplete());
}

TEST_F(TreeTest, StreamedDirectoriesRefuseTruncationAndTails) {
    auto bytes = encode_directory(every_entry());
    for (std::size_t size = 0; size <= bytes.size() + 1; ++size) {
        auto part = bytes;
        part.resize(size);
        std::vector<Extent> extents;
        for (std::size_t at = 0; at < size; at += 10) {  // many small chunks
            auto length = std::min<std::size_t>(10, size - at);
            extents.push_back({chunks.put(ByteView(part).subspan(at, length)), 0, length});
        }
        auto reader = DirectoryReader::open(fetch, {size, 0, extents}, {});
        bool whole = reader.has_value();
        while (whole) {
            auto entry = reader->next({});
            if (!entry) whole = false;
            if (!entry || !*entry) break;
        }
        EXPECT_EQ(whole, size == bytes.size()) << size;
    }
}

TEST_F(TreeTest, BuilderTakesAnyOrder) {
    TreeBuilder builder(ingest);
    ASSERT_TRUE(builder.add("b/deep/file", plain()));
    ASSERT_TRUE(builder.add("a", plain()));
    ASSERT_TRUE(builder.add("b", plain(EntryType::directory)));
    ASSERT_TRUE(builder.add("b/deep.txt", plain()));
    ASSERT_TRUE(builder.close_directory("b/deep"));
    auto deep = plain(EntryType::directory);
    deep.mode = 01777;
    ASSERT_TRUE(builder.add("b/deep", deep));
    ASSERT_TRUE(builder.add("empty", plain(EntryType::directory)));
    EXPECT_EQ(builder.add("a", plain()).error().kind, ErrorKind::exists);
    EXPECT_EQ(builder.add("b", plain(EntryType::directory)).error().kind, ErrorKind::exists);
    EXPECT_EQ(builder.add("b/deep/late", plain()).error().kind, ErrorKind::usage);
    EXPECT_EQ(builder.add("a/below", plain()).error().kind, ErrorKind::usage);
    EXPECT_EQ(builder.add("a/../b", plain()).error().kind, ErrorKind::usage);
    EXPECT_EQ(builder.add("/a", plain()).error().kind, ErrorKind::usage);
    auto self = plain(EntryType::directory);
    self.mode = 0711;
    ASSERT_TRUE(builder.add("", self));
    auto root = builder.finish();
    ASSERT_TRUE(root);
    EXPECT_THAT(walk(*root), testing::ElementsAre("a", "b", "b/deep", "b/deep/file", "b/deep.txt", "empty"));
    EXPECT_THAT(walk(*root, "b"), testing::ElementsAre("deep", "deep/file", "deep.txt"));
    EXPECT_THAT(walk(*root, "b/deep/file"), testing::ElementsAre(""));
    TreeReader reader(fetch, *root);
    EXPECT_EQ(reader.find("", {})->mode, 0711u);
    EXPECT_EQ(reader.find("/b//deep/", {})->mode, 01777u);
    EXPECT_EQ(reader.find("b", {})->mode, 0640u);
    auto missing = reader.find("b/deep/none/x", {});
    ASSERT_FALSE(missing);
    EXPECT_EQ(missing.error().kind, ErrorKind::not_found);
    EXPECT_THAT(missing.error().message, testing::HasSubstr("'b/deep' holds no 'none'"));
    EXPECT_EQ(reader.find("a/x", {}).error().kind, ErrorKind::not_found);
    EXPECT_EQ(reader.list(*reader.find("b", {}), {})->size(), 2u);
}

TEST_F(TreeTest, EmptyTreeIsADirectory) {
    auto root = TreeBuilder(ingest).finish();
    ASSERT_TRUE(root);
    EXPECT_TRUE(walk(*root).empty());
    EXPECT_EQ(TreeReader(fetch, *root).find("", {})->type, EntryType::directory);
}

TEST_F(TreeTest, WalkPassesOverDamagedDirectories) {
    TreeBuilder builder(ingest);
    ASSERT_TRUE(builder.add("bad/x", plain()));
    ASSERT_TRUE(builder.add("good/y", plain()));
    auto root = builder.finish();
    auto bad = TreeReader(fetch, *root).find("bad", {});
    chunks.damaged.insert(*bad->content.extents[0].chunk);
    std::vector<std::string> paths, lost;
    TreeReader::Visit visit = [&](std::string const& path, Entry const&) -> Result<bool> {
        paths.push_back(path);
        return true;
    };
    auto damaged = [&](std::string const& path, Error const& error) -> Result<void> {
        EXPECT_EQ(error.kind, ErrorKind::damaged);
        lost.push_back(path);
        return {};
    };
    ASSERT_TRUE(TreeReader(fetch, *root).walk("", visit, damaged, {}));
    EXPECT_THAT(paths, testing::ElementsAre("bad", "good", "good/y"));
    EXPECT_THAT(lost, testing::ElementsAre("bad"));
    auto strict = TreeReader(fetch, *root).walk("", visit, {}, {});
    ASSERT_FALSE(strict);
    EXPECT_THAT(strict.error().message, testing::HasSubstr("directory 'bad'"));
    // A directory whose bytes are no directory (a file passed off as one) is damaged, too.
    chunks.damaged.clear();
    chunks.chunks[*bad->content.extents[0].chunk] = Bytes(bad->content.size, 'x');
    EXPECT_EQ(TreeReader(fetch, *root).walk("", visit, {}, {}).error().kind, ErrorKind::damaged);
    // The root is one more directory, to those who collect damage and to those who do not.
    lost.clear();
    chunks.damaged.insert(*root->extents[0].chunk);
    ASSERT_TRUE(TreeReader(fetch, *root).walk("", visit, damaged, {}));
    EXPECT_THAT(lost, testing::ElementsAre(""));
    EXPECT_EQ(TreeReader(fetch, *root).walk("", visit, {}, {}).error().kind, ErrorKind::damaged);
}

TEST_F(TreeTest, VisitSkipsDirectoriesAndEndsTheWalk) {
    TreeBuilder builder(ingest);
    ASSERT_TRUE(builder.add("a/x", plain()));
    ASSERT_TRUE(builder.add("b/y", plain()));
    auto root = builder.finish();
    std::vector<std::string> paths;
    TreeReader::Visit skip = [&](std::string const& path, Entry const&) -> Result<bool> {
        paths.push_back(path);
        return path != "a";
    };
    ASSERT_TRUE(TreeReader(fetch, *root).walk("", skip, {}, {}));
    EXPECT_THAT(paths, testing::ElementsAre("a", "b", "b/y"));
    TreeReader::Visit end = [&](std::string const&, Entry const&) -> Result<bool> {
        return fail(ErrorKind::cancelled, "enough");
    };
    EXPECT_EQ(TreeReader(fetch, *root).walk("", end, {}, {}).error().message, "enough");
}

}  // namespace
}  // namespace holdfast
