#include "repo/proven.h"

#include <algorithm>
#include <cassert>

#include "repo/repository.h"

namespace holdfast {
namespace {

constexpr std::size_t kMarkBytes = PackId::kSize + 32 + 1;
// A document of so many marks has about a mebibyte.
constexpr std::size_t kMarksPerDocument = 16'384;

// Whether `a` counts where both speak of one pack.
bool counts_more(PackMark const& a, PackMark const& b) {
    return std::tuple(a.time, a.verdict) > std::tuple(b.time, b.verdict);
}

}  // namespace

Bytes encode_marks(Time time, std::span<PackMark const> marks) {
    ByteWriter writer;
    writer.u64(static_cast<std::uint64_t>(time.time_since_epoch().count()));
    writer.u32(static_cast<std::uint32_t>(marks.size()));
    for (auto const& mark : marks) {
        writer.raw(mark.pack.view());
        writer.raw(mark.record);
        writer.u8(static_cast<std::uint8_t>(mark.verdict));
    }
    return writer.take();
}

Result<std::vector<PackMark>> decode_marks(ByteView plain) {
    auto malformed = [](char const* what) { return fail(ErrorKind::damaged, std::string("marks: ") + what); };
    ByteReader reader(plain);
    Time const time{Time::duration(static_cast<std::int64_t>(reader.u64()))};
    auto count = reader.u32();
    if (!reader.ok() || count != reader.remaining() / kMarkBytes) return malformed("of another number than stated");
    std::vector<PackMark> marks(count);
    for (auto& mark : marks) {
        mark.pack = PackId::from_bytes(reader.raw(PackId::kSize));
        auto record = reader.raw(mark.record.size());
        std::copy(record.begin(), record.end(), mark.record.begin());
        mark.verdict = static_cast<PackVerdict>(reader.u8());
        mark.time = time;
        if (mark.verdict < PackVerdict::whole || mark.verdict > PackVerdict::given_up) return malformed("unknown verdict");
    }
    if (!reader.done()) return malformed("bytes behind their end");
    return marks;
}

Result<std::vector<PackMark>> open_marks(Repository& repository, std::string const& key, ByteView object,
                                         std::stop_token stop) {
    if (std::string(kProvenPrefix) + to_hex(sha256(object)) != key) {
        return fail(ErrorKind::damaged, "holds other bytes than its name says");
    }
    auto document = TRY(repository.open(DocumentKind::proven, object, stop));
    // When a removed key wrote it nobody can tell, and others would rely on it: it proves nothing, and goes.
    if (repository.removed(document.signer.id)) return std::vector<PackMark>{};
    return decode_marks(document.plain);
}

void PackMarks::add(std::string const& key, std::span<PackMark const> marks) {
    documents_[key].assign(marks.begin(), marks.end());
    for (auto const& mark : marks) {
        auto [at, fresh] = marks_.emplace(mark.pack, mark);
        if (!fresh && counts_more(mark, at->second)) at->second = mark;
    }
}

PackMark const* PackMarks::find(PackId const& pack) const {
    auto at = marks_.find(pack);
    return at == marks_.end() ? nullptr : &at->second;
}

std::vector<std::string> PackMarks::superseded() const {
    std::vector<std::string> keys;
    for (auto const& [key, document] : documents_) {
        auto counts = [&](PackMark const& mark) { return marks_.at(mark.pack) == mark; };
        if (std::ranges::none_of(document, counts)) keys.push_back(key);
    }
    return keys;
}

bool PackMarks::forget_others(std::set<std::string> const& keys) {
    auto gone = std::erase_if(documents_, [&](auto const& item) { return !keys.contains(item.first); });
    if (gone == 0) return false;
    auto documents = std::exchange(documents_, {});
    marks_.clear();
    for (auto const& [key, document] : documents) add(key, document);
    return true;
}

Result<void> refresh_marks(Repository& repository, PackMarks& marks, std::stop_token stop) {
    std::set<std::string> listed;
    auto visit = [&](ObjectInfo const& info) -> Result<void> {
        listed.insert(info.key.text());
        return {};
    };
    TRY(repository.store().list(kProvenPrefix, visit, stop));
    marks.forget_others(listed);
    marks.damaged.clear();
    for (auto const& key : listed) {
        if (marks.has_document(key)) continue;
        auto object = repository.store().get(ObjectKey(key), stop);
        auto opened = object ? open_marks(repository, key, *object, stop)
                             : Result<std::vector<PackMark>>(fail(std::move(object.error())));
        if (opened) {
            marks.add(key, *opened);
        } else if (opened.error().kind == ErrorKind::damaged || opened.error().kind == ErrorKind::io) {
            marks.damaged.emplace_back(key, std::move(opened.error()));
        } else if (opened.error().kind != ErrorKind::not_found) {  // superseded meanwhile
            return fail(std::move(opened.error()).within("read " + key));
        }
    }
    return {};
}

bool is_proven(IndexPack const& pack, PackMarks const& marks) {
    auto const* mark = marks.find(pack.id);
    return mark != nullptr && mark->verdict == PackVerdict::whole && mark->record == pack.record;
}

Result<void> store_marks(Repository& repository, std::vector<PackMark> marks, PackMarks& known, std::stop_token stop) {
    assert(repository.keys().has(Role::reader));
    if (marks.empty()) return {};
    // A reader whose clock was ahead must not be believed for ever.
    auto time = repository.world().clock.now();
    for (auto const& mark : marks) {
        auto const* before = known.find(mark.pack);
        if (before != nullptr && before->time >= time) time = before->time + Time::duration(1);
    }
    for (auto& mark : marks) mark.time = time;
    for (std::size_t at = 0; at < marks.size(); at += kMarksPerDocument) {
        auto part = std::span(marks).subspan(at, std::min(kMarksPerDocument, marks.size() - at));
        auto object = repository.seal(DocumentKind::proven, encode_marks(time, part));
        auto key = std::string(kProvenPrefix) + to_hex(sha256(object));
        TRY(repository.store().put(ObjectKey(key), object, stop).within("store " + key));
        known.add(key, part);
    }
    // Not before the new ones stand. One that stays behind costs a little room.
    for (auto const& key : known.superseded()) (void)repository.store().remove(ObjectKey(key), stop);
    return {};
}

}  // namespace holdfast
