// The objects of a repository. The first byte chooses what the rest is.
//
// Documents are sealed and signed here before they are opened: what is tried is not the seal, but what somebody
// signs who has a key and means harm.
#include <cstdlib>
#include <string>

#include "repo/approval.h"
#include "repo/config.h"
#include "repo/doomed.h"
#include "repo/escrow.h"
#include "repo/hold.h"
#include "repo/index.h"
#include "repo/key_ring.h"
#include "repo/lease.h"
#include "repo/object_check.h"
#include "repo/proven.h"
#include "repo/receipt.h"
#include "repo/test_world.h"
#include "repo/wal_object.h"
#include "repo/writer_log.h"
#include "seeds.h"

using namespace holdfast;

namespace {

enum class Kind : std::uint8_t {
    directory, frame, pack, trailer, segment, merged, content, doomed, marks, point, log, receipt, lease, hold,
    document, config, key_object, bundle, key_file, shares, wal, ring, grant, request, approval, count
};

struct Bench {
    SeededRandom random{3};
    std::unique_ptr<Executor> executor = make_seeded_executor(1);
    TestStore store;
    KeyBundle keys = generate_first_bundle(random, "fuzz");
    TestRepository repository{store, *executor, random, keys.clone()};
    BoxKey data{keys.data_private->clone(), keys.data_public};
    HmacKey id_key{keys.id_key.view()};
    PackHeader header;
    PackKey pack_key = PackKey::create(keys.repository, keys.data_public, random, header).value();

    Result<KeyCertificate> certificate(BundleId const& id) { return repository.certificate(id, {}); }
    auto certificates() {
        return [this](BundleId const& id) { return certificate(id); };
    }
};
Bench& bench() {
    static Bench made;
    return made;
}

void check(bool holds) {
    if (!holds) std::abort();
}
// What is read is what is written, byte for byte.
void check_same(ByteView one, ByteView other) { check(std::ranges::equal(one, other)); }

// A frame of any codec, under a seal that fits.
void frame(ByteView rest) {
    if (rest.size() < 5) return;
    ByteReader reader(rest);
    auto codec = static_cast<Codec>(reader.u8() % 4);
    auto raw = static_cast<std::uint32_t>(reader.u32() % (kFrameRawBytesMax + 1));
    auto stored = rest.subspan(5);
    Bytes sealed(stored.size() + kGcmTagBytes);
    bench().pack_key.seal({.number = 0, .kind = static_cast<std::uint8_t>(ChunkKind::data), .raw_length = raw}, stored, sealed);
    PackFrame record{.codec = codec,
                     .kind = ChunkKind::data,
                     .stored = static_cast<std::uint32_t>(sealed.size()),
                     .chunks = 1,
                     .raw = raw};
    auto opened = open_frame(bench().pack_key, 0, record, sealed, thread_frame_scratch());
    if (opened) check(opened->size() == raw);
}

// What is named by its hash and when it expires: at the beginning of time.
std::string approval_key(Hash32 const& id, std::string_view part) {
    return std::string(kApprovalsPrefix) + to_key_time(Time()) + "-" + to_hex(id) + "/" + std::string(part);
}

void document(DocumentKind kind, ByteView plain, auto const& open) {
    auto object = seal_document(kind, bench().keys, plain, bench().random);
    open(object);
}

void try_it(Kind kind, ByteView rest) {
    auto& b = bench();
    auto certificates = b.certificates();
    std::string_view text(reinterpret_cast<char const*>(rest.data()), rest.size());
    switch (kind) {
        case Kind::directory: {
            ByteReader reader(rest);
            auto read = decode_directory(reader);
            if (!read) return;
            ByteWriter writer;
            encode(*read, writer);
            check_same(writer.view(), rest.first(rest.size() - reader.remaining()));
            return;
        }
        case Kind::frame: return frame(rest);
        case Kind::pack: {
            (void)decode_pack_header(rest.first(std::min(rest.size(), kPackHeaderBytes)));
            (void)check_sectors(rest);
            (void)stated_pack_bytes(rest);
            auto report = check_pack(rest, PackId{sha256(rest)}, b.keys.repository, b.data, b.id_key);
            check(!report.errors.empty() || report.lost.empty());
            Bytes copy(rest.begin(), rest.end());
            auto mended = mend_pack(copy);
            if (mended) check(check_sectors(copy).has_value());
            return;
        }
        case Kind::trailer: (void)decode_trailer(rest, rest.size()); return;
        case Kind::segment: {
            auto read = decode_segment(rest);
            if (read) check_same(encode_segment(*read), rest);
            return;
        }
        case Kind::merged: {
            auto read = decode_merged(rest);
            if (read) check_same(encode_merged(*read), rest);
            return;
        }
        case Kind::content: {
            ByteReader reader(rest);
            auto read = decode_content(reader);
            if (!read) return;
            ByteWriter writer;
            encode(*read, writer);
            check_same(writer.view(), rest.first(rest.size() - reader.remaining()));
            return;
        }
        case Kind::doomed: {
            auto read = decode_doomed(rest);
            if (read) check_same(encode(*read), rest);
            return;
        }
        case Kind::marks: (void)decode_marks(rest); return;
        case Kind::point: {
            auto point = decode_point(text);
            if (point) check(decode_point(encode(*point)).has_value());
            return document(DocumentKind::point, rest, [&](Bytes const& object) {
                PointId id{sha256(object)};
                (void)open_point(point_key(dataset_tag(b.keys, "d"), Time(), id), object, b.keys, certificates);
            });
        }
        case Kind::log:
            return document(DocumentKind::log, rest, [&](Bytes const& object) {
                (void)open_log_entry(log_key(b.keys.id, 1), object, b.keys, certificates);
            });
        case Kind::receipt:
            return document(DocumentKind::receipt, rest, [&](Bytes const& object) {
                (void)open_receipt(receipt_key(PointId{}), object, b.keys, certificates);
            });
        case Kind::lease:
            return document(DocumentKind::lease, rest, [&](Bytes const& object) {
                (void)open_lease(lease_key(LeaseMarker()), object, b.keys, certificates);
            });
        case Kind::hold:
            return document(DocumentKind::hold, rest, [&](Bytes const& object) {
                (void)open_hold(hold_key({}), object, b.keys, certificates);
            });
        case Kind::document: {
            auto found = kind_of_document(rest);
            if (found) (void)open_document(*found, b.keys, rest, certificates);
            return;
        }
        case Kind::config: (void)parse_config(text); return;
        case Kind::key_object: (void)read_certificate(rest, b.keys.admin_public); return;
        case Kind::bundle: {
            auto read = decode_bundle(rest);
            if (read) check_same(encode(*read).view(), rest);
            return;
        }
        case Kind::key_file: (void)parse_key_file(text); return;
        case Kind::shares: (void)parse_shares(text); return;
        case Kind::wal: {
            if (rest.empty()) return;
            auto length = std::min<std::size_t>(rest[0], rest.size() - 1);
            auto key = text.substr(1, length);
            (void)check_bare_wal(rest.subspan(1 + length));
            if (parse_wal_key(key)) (void)open_wal(b.repository, key, rest.subspan(1 + length), {});
            return;
        }
        case Kind::ring:
            return document(DocumentKind::ring, rest, [&](Bytes const& object) {
                auto whole = object;
                auto sum = sha256(object);
                whole.insert(whole.end(), sum.begin(), sum.end());
                auto read = open_ring(ring_key(1), whole, b.keys, certificates);
                if (read) check(open_ring(ring_key(1), seal_ring(*read, b.keys, b.random), b.keys, certificates).has_value());
            });
        case Kind::grant: (void)open_grant(b.keys, b.keys.data_public, rest); return;
        case Kind::request:
            return document(kRequestDocument, rest, [&](Bytes const& object) {
                (void)check_approval_object(b.repository, approval_key(sha256(object), "request"), object, {});
            });
        case Kind::approval:
            return document(kUseDocument, rest, [&](Bytes const& object) {
                (void)check_approval_object(b.repository, approval_key({}, "used"), object, {});
            });
        case Kind::count: return;
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    if (size == 0) return 0;
    auto kind = static_cast<Kind>(data[0] % static_cast<int>(Kind::count));
    try_it(kind, {data + 1, size - 1});
    return 0;
}

std::vector<Bytes> seeds() {
    auto& b = bench();
    std::vector<Bytes> all;
    auto add = [&](Kind kind, ByteView bytes) {
        all.emplace_back(1, static_cast<std::uint8_t>(kind));
        all.back().insert(all.back().end(), bytes.begin(), bytes.end());
    };
    auto add_text = [&](Kind kind, std::string_view text) { add(kind, as_bytes(text)); };
    auto plain_of = [&](DocumentKind kind, ByteView object) {
        return open_document(kind, b.keys, object, b.certificates()).value().plain;
    };

    // A pack of three chunks in two frames, with parity, and what the index says of it.
    auto memory = std::make_shared<Memory>(64u << 10);
    auto builder = PackBuilder::create(b.keys.repository, b.keys.data_public, b.random, std::move(memory)).value();
    std::vector<std::vector<Bytes>> const frames = {{prose(900, 1), noise(300, 2)}, {prose(2000, 3)}};
    for (auto const& chunks : frames) {
        Bytes raw;
        std::vector<PackChunk> records;
        for (auto const& chunk : chunks) {
            records.push_back({ChunkId::from_bytes(b.id_key.of(chunk)), static_cast<std::uint32_t>(chunk.size())});
            raw.insert(raw.end(), chunk.begin(), chunk.end());
        }
        Bytes scratch;
        auto encoded = encode_frame(raw, {}, scratch).value();
        Bytes as_frame = {static_cast<std::uint8_t>(encoded.codec)};
        ByteWriter size;
        size.u32(static_cast<std::uint32_t>(raw.size()));
        as_frame.insert(as_frame.end(), size.view().begin(), size.view().end());
        as_frame.insert(as_frame.end(), encoded.bytes.begin(), encoded.bytes.end());
        add(Kind::frame, as_frame);
        auto& frame = builder->reserve(encoded.codec, ChunkKind::data, encoded.bytes.size(), records);
        (void)builder->seal(frame, encoded.bytes, raw).value();
    }
    auto sealed = std::move(*builder).finish(5);
    Bytes pack;
    for (auto view : sealed.views()) pack.insert(pack.end(), view.begin(), view.end());
    add(Kind::pack, pack);
    add(Kind::trailer, ByteView(pack).last(std::min<std::size_t>(pack.size(), kTrailerBytesMax)));
    ByteWriter directory;
    encode(sealed.summary.directory, directory);
    add(Kind::directory, directory.view());
    std::vector<PackSummary> const packs = {sealed.summary, sealed.summary};
    add(Kind::segment, encode_segment(packs));
    std::vector<SegmentGroup> const groups = {{b.keys.id, packs}, {kProven, {sealed.summary}}};
    add(Kind::merged, encode_merged(groups));
    PackMark const mark{.pack = sealed.summary.id, .record = pack_record_hash(sealed.summary)};
    add(Kind::marks, encode_marks(Time(), {&mark, 1}));
    DoomedList const doomed{.time = Time(), .leases = {{{1}, 2}}, .packs = {{sealed.summary.id, Time(), true}}};
    add(Kind::doomed, encode(doomed));

    auto chunk = sealed.summary.directory.chunks[0].id;
    Content content{.size = 4900, .depth = 0, .extents = {{chunk, 0, 900}, {{}, 0, 4000}}};
    ByteWriter contents;
    encode(content, contents);
    add(Kind::content, contents.view());
    RecoveryPoint point;
    point.dataset = "d";
    point.kind = "files";
    point.root = "/etc";
    point.tree = content;
    point.attributes["postgres.lsn"] = "0/3000028";
    add_text(Kind::point, encode(point));
    LogEntry const entry{.n = 1, .previous = {}, .action = LogAction::made, .point = {}, .dataset = {}, .point_time = {},
                         .time = {}, .seen = {{BundleId{}, {3, {}}}}};
    add(Kind::log, plain_of(DocumentKind::log, seal_log_entry(entry, b.keys, b.random)));
    add(Kind::receipt, plain_of(DocumentKind::receipt, seal_receipt({}, b.keys, b.random)));
    Hold hold;
    hold.reason = "audit";
    hold.points = {PointId{}};
    add(Kind::hold, plain_of(DocumentKind::hold, seal_hold(hold, b.keys, b.random)));
    add(Kind::document, seal_receipt({}, b.keys, b.random));
    {
        ManualClock clock{Time()};
        auto lease = Lease::acquire(b.store, b.keys, clock, b.random, {}).value();
        add(Kind::lease, plain_of(DocumentKind::lease, b.store.objects.at(b.store.keys("writers/").front())));
    }

    RepositoryConfig config;
    config.repository = b.keys.repository;
    config.admin = b.keys.admin_public;
    add_text(Kind::config, encode(config, *b.keys.admin_sign));
    add(Kind::bundle, encode(b.keys).view());
    add_text(Kind::key_file, to_key_file(b.keys));
    EscrowShare share{.threshold = 2, .number = 1, .set = {}, .value = Secret::of_size(32)};
    add_text(Kind::shares, to_text(share));
    auto wal = seal_wal_range(b.repository, wal_stream(b.keys, "d", "postgres 7"), 1, 0, prose(700, 5), Time()).value();
    Bytes logged = {static_cast<std::uint8_t>(wal.key.size())};
    for (auto part : {as_bytes(wal.key), ByteView(wal.head), ByteView(wal.content)}) {
        logged.insert(logged.end(), part.begin(), part.end());
    }
    add(Kind::wal, logged);

    KeyRing ring{.n = 1, .previous = {}, .time = Time(), .pairs = {}, .removed = {}, .grants = {}, .settings = {{"approvals", 1}}};
    auto const pair = BoxKey::generate(b.random);
    ring.pairs.push_back({"research", pair.public_key, Time()});
    auto const grant = seal_grant(b.keys.repository, b.keys.id, b.keys.sign.public_key, pair, b.random).value();
    ring.grants[b.keys.id][data_key_id(pair.public_key)] = grant;
    RemovedKey removed;
    removed.log["tag/stream/1"] = {{0, 4096}};
    removed.histories = {"wal/a"};
    ring.removed.emplace(BundleId{}, removed);
    auto const sealed_ring = seal_ring(ring, b.keys, b.random);
    check(open_ring(ring_key(1), sealed_ring, b.keys, b.certificates()).has_value());
    add(Kind::ring, plain_of(DocumentKind::ring, ByteView(sealed_ring).first(sealed_ring.size() - sizeof(Hash32))));
    add(Kind::grant, seal_grant(b.keys.repository, b.keys.id, b.keys.sign.public_key, b.data, b.random).value());
    auto const zeros = to_hex(Hash32{});
    auto const time = to_rfc3339(Time());
    auto const request = R"({"what":"points","subjects":")" + zeros + R"(","time":")" + time + R"(","expires":")" + time + R"("})";
    auto const used = R"({"request":")" + zeros + R"(","time":")" + time + R"("})";
    auto const asked = seal_document(kRequestDocument, b.keys, as_bytes(request), b.random);
    check(check_approval_object(b.repository, approval_key(sha256(asked), "request"), asked, {}).has_value());
    check(check_approval_object(b.repository, approval_key({}, "used"),
                                seal_document(kUseDocument, b.keys, as_bytes(used), b.random), {}).has_value());
    add_text(Kind::request, request);
    add_text(Kind::approval, used);
    return all;
}
