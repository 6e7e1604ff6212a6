#include "repo/key_ring.h"

#include "repo/key_world.h"

namespace holdfast {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

struct KeyRingTest : testing::Test {
    SeededRandom random{3};
    KeyBundle admin = generate_first_bundle(random, "admin");
    KeyBundle reader = generate_bundle(admin, static_cast<Roles>(Role::reader), "reader", random);
    KeyBundle writer = generate_bundle(admin, static_cast<Roles>(Role::writer), "writer", random);
    BoxKey epoch = BoxKey::generate(random);
    CertificateLookup lookup = [this](BundleId const& id) -> Result<KeyCertificate> {
        for (auto const* keys : {&admin, &reader, &writer})
            if (keys->id == id)
                return KeyCertificate{keys->id, keys->repository, keys->roles, keys->sign.public_key, "", false};
        return fail(ErrorKind::damaged, "nobody");
    };

    KeyRing sample() {
        KeyRing ring;
        ring.n = 7;
        ring.previous.fill(9);
        ring.time = *parse_rfc3339("2026-02-03T04:05:06Z");
        ring.pairs = {{"", epoch.public_key, ring.time}, {"escrow", BoxKey::generate(random).public_key, ring.time}};
        RemovedKey removed{.removal = {.time = ring.time, .last_entry = 12, .last_hash = ring.previous}};
        removed.self["self/20260203T040506.000000000Z-plan"] = ring.previous;
        removed.log["aa/bb/00000001"] = {{0, 16}, {0x20, 0x7fffffffffffffff}};
        removed.histories.insert("wal/aa/bb/00000002/history-x");
        ring.removed.emplace(writer.id, std::move(removed));
        ring.settings["of a later version"] = 3;
        ring.grants[reader.id][data_key_id(epoch.public_key)] =
            *seal_grant(admin.repository, reader.id, reader.sign.public_key, epoch, random);
        return ring;
    }
};

TEST_F(KeyRingTest, WhatIsSealedOpens) {
    auto ring = sample();
    auto opened = open_ring(ring_key(7), seal_ring(ring, admin, random), admin, lookup);
    ASSERT_TRUE(opened) << opened.error().message;
    EXPECT_EQ(opened->n, 7u);
    EXPECT_EQ(opened->previous, ring.previous);
    EXPECT_EQ(opened->time, ring.time);
    ASSERT_EQ(opened->pairs.size(), 2u);
    EXPECT_EQ(opened->pairs[0].public_key, epoch.public_key);
    EXPECT_EQ(opened->pairs[1].name, "escrow");
    auto const& removed = opened->removed.at(writer.id);
    auto const& before = ring.removed.at(writer.id);
    EXPECT_EQ(removed.removal, before.removal);
    EXPECT_EQ(removed.self, before.self);
    EXPECT_EQ(removed.log, before.log);
    EXPECT_EQ(removed.histories, before.histories);
    EXPECT_EQ(opened->grants, ring.grants);
    EXPECT_EQ(opened->settings, ring.settings);
    EXPECT_TRUE(open_ring(ring_copy_key(7), seal_ring(ring, admin, random), admin, lookup));
}

TEST_F(KeyRingTest, EveryFlipAndEveryCutShows) {
    auto object = seal_ring(sample(), admin, random);
    for (std::size_t i = 0; i < object.size(); i += kFlipStride) {
        auto flipped = object;
        flipped[i] ^= static_cast<std::uint8_t>(1u << (i % 8));
        EXPECT_EQ(open_ring(ring_key(7), flipped, admin, lookup).error().kind, ErrorKind::damaged) << i;
        EXPECT_FALSE(open_ring(ring_key(7), ByteView(object).first(i), admin, lookup)) << i;
        // Whoever changes it can make the checksum anew.
        auto sum = sha256(ByteView(flipped).first(flipped.size() - sizeof(Hash32)));
        std::ranges::copy(sum, flipped.end() - sizeof(Hash32));
        if (i + sizeof(Hash32) < flipped.size()) {
            EXPECT_FALSE(open_ring(ring_key(7), flipped, admin, lookup)) << i;
        }
    }
}

TEST_F(KeyRingTest, OnlyAnAdminSigns) {
    // A writer that calls itself an admin: its certificate says what it is.
    auto pretender = writer.clone();
    pretender.roles = kAllRoles;
    auto object = seal_ring(sample(), pretender, random);
    EXPECT_THAT(open_ring(ring_key(7), object, admin, lookup).error().message, HasSubstr("may not sign a key ring"));
}

TEST_F(KeyRingTest, ANumberHasOneName) {
    auto object = seal_ring(sample(), admin, random);
    EXPECT_THAT(open_ring(ring_key(8), object, admin, lookup).error().message, HasSubstr("number 7"));
    for (auto const* name : {"rings/7", "rings/0000007", "rings/00000x", "rings/", "rings/000000", "ring/000007"})
        EXPECT_THAT(open_ring(name, object, admin, lookup).error().message, HasSubstr("not the name")) << name;
}

TEST_F(KeyRingTest, AGrantOpensForItsReaderAlone) {
    auto sealed = *seal_grant(admin.repository, reader.id, reader.sign.public_key, epoch, random);
    auto opened = open_grant(reader, epoch.public_key, sealed);
    ASSERT_TRUE(opened);
    EXPECT_TRUE(opened->private_key.equals(epoch.private_key.view()));
    EXPECT_EQ(open_grant(admin, epoch.public_key, sealed).error().kind, ErrorKind::damaged);
    EXPECT_EQ(open_grant(reader, admin.data_public, sealed).error().kind, ErrorKind::damaged);
    auto other = reader.clone();
    other.repository.bytes[0] ^= 1;
    EXPECT_EQ(open_grant(other, epoch.public_key, sealed).error().kind, ErrorKind::damaged);
    for (std::size_t i = 0; i < sealed.size(); ++i) {
        auto flipped = sealed;
        flipped[i] ^= 1;
        // The highest bit of an X25519 key means nothing (RFC 7748): no other bit of it is free.
        EXPECT_FALSE(open_grant(reader, epoch.public_key, flipped)) << i;
        EXPECT_FALSE(open_grant(reader, epoch.public_key, ByteView(sealed).first(i))) << i;
    }
    // A public key of small order would make the key a constant.
    SignPublicKey small{};
    small[0] = 1;
    EXPECT_FALSE(seal_grant(admin.repository, reader.id, small, epoch, random));
}

TEST_F(KeyRingTest, TheNewestThatOpensIsTaken) {
    TestStore store;
    auto put = [&](std::uint64_t n) {
        auto ring = sample();
        ring.n = n;
        auto object = seal_ring(ring, admin, random);
        store.objects[ring_key(n)] = store.objects[ring_copy_key(n)] = object;
    };
    EXPECT_EQ(load_ring(store, admin, lookup, 0, {})->ring.n, 0u);
    put(1);
    put(2);
    EXPECT_EQ(load_ring(store, admin, lookup, 0, {})->ring.n, 2u);
    store.objects.erase(ring_key(2));
    auto loaded = load_ring(store, admin, lookup, 0, {});
    EXPECT_EQ(loaded->ring.n, 2u);
    EXPECT_THAT(loaded->notices, ElementsAre(HasSubstr("rings/000002 is missing")));
    EXPECT_FALSE(loaded->newer);
    store.objects[ring_copy_key(2)][200] ^= 1;
    loaded = load_ring(store, admin, lookup, 0, {});
    EXPECT_EQ(loaded->ring.n, 1u);
    ASSERT_TRUE(loaded->newer);
    store.before = [](std::string_view operation, ObjectKey const&) -> Result<void> {
        if (operation == "get") return fail(ErrorKind::unreachable, "down");
        return {};
    };
    EXPECT_EQ(load_ring(store, admin, lookup, 0, {}).error().kind, ErrorKind::unreachable);
    store.before = nullptr;
    // One that this machine knows of and that is gone altogether is no damage: its caller says what it is.
    store.objects.erase(ring_copy_key(2));
    loaded = load_ring(store, admin, lookup, 2, {});
    EXPECT_EQ(loaded->ring.n, 1u);
    EXPECT_FALSE(loaded->newer);
}

}  // namespace
}  // namespace holdfast
