#include "crypto/crypto.h"
#include "crypto/gcm_engine.h"

#include <chrono>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <random>
#include <set>
#include <thread>

#include "crypto/fast_mac.h"

namespace holdfast {
namespace {

Bytes hex(std::string_view text) {
    return from_hex(text).value();
}
std::string repeat(std::string_view text, int times) {
    std::string all;
    while (times-- > 0)
        all += text;
    return all;
}
template <std::size_t N>
std::array<std::uint8_t, N> fixed(std::string_view text) {
    auto bytes = hex(text);
    std::array<std::uint8_t, N> result{};
    EXPECT_EQ(bytes.size(), N);
    std::copy(bytes.begin(), bytes.end(), result.begin());
    return result;
}

// FIPS 180-4 examples.
TEST(Sha256, MatchesPublishedVectors) {
    EXPECT_EQ(to_hex(sha256({})),
              "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    EXPECT_EQ(to_hex(sha256(as_bytes("abc"))),
              "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    Sha256 hash;
    hash.update(as_bytes("abcdbcdecdefdefgefghfghighijhijk"));
    hash.update({});
    Sha256 moved = std::move(hash);
    moved.update(as_bytes("ijkljklmklmnlmnomnopnopq"));
    EXPECT_EQ(to_hex(moved.finish()),
              "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

// RFC 4231, test cases 1, 2, 3 and 6 (a key longer than a block).
TEST(HmacKey, MatchesRfc4231) {
    auto mac = [](std::string_view key, ByteView text) {
        return to_hex(HmacKey(hex(key)).of(text));
    };
    EXPECT_EQ(mac(repeat("0b", 20), as_bytes("Hi There")),
              "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    EXPECT_EQ(mac("4a656665", as_bytes("what do ya want for nothing?")),
              "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    EXPECT_EQ(mac(repeat("aa", 20), hex(repeat("dd", 50))),
              "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe");
    EXPECT_EQ(
        mac(repeat("aa", 131), as_bytes("Test Using Larger Than Block-Size Key - Hash Key First")),
        "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

TEST(HmacKey, IsUsedManyTimesAndInTwoParts) {
    HmacKey key(as_bytes("Jefe"));
    auto once = key.of(as_bytes("what do ya want for nothing?"));
    EXPECT_EQ(key.of(as_bytes("what do ya want for nothing?")), once);
    EXPECT_EQ(key.of(as_bytes("what do ya "), as_bytes("want for nothing?")), once);
    auto copy = key;
    EXPECT_EQ(copy.of(as_bytes("what do ya want for nothing?")), once);
}

// Vectors of `openssl mac -cipher AES-256-GCM … GMAC | openssl enc -aes-256-ecb -nopad`.
TEST(FastMac, IsTheCipherOfTheMessagesGmac) {
    Bytes key(64);
    for (std::size_t i = 0; i < key.size(); ++i) key[i] = static_cast<std::uint8_t>(i);
    FastMac mac(key);
    EXPECT_EQ(to_hex(mac.of({})), "89295279c44c3f79cae872a714e0f826");
    EXPECT_EQ(to_hex(mac.of(as_bytes("abc"))), "3f5851dad687e1cca8e4bcc659fe9f76");
    Bytes page(8192);
    for (std::size_t i = 0; i < page.size(); ++i) page[i] = static_cast<std::uint8_t>(i * 7 + i / 256);
    EXPECT_EQ(to_hex(mac.of(page)), "ba3094c325ea8b507cfd7704b549208a");
    auto moved = std::move(mac);
    EXPECT_EQ(to_hex(moved.of(as_bytes("abc"))), "3f5851dad687e1cca8e4bcc659fe9f76");
}

TEST(FastMac, EveryBitAndBothHalvesOfTheKeyCount) {
    FastMac mac(Bytes(64, 1));
    Bytes page(8192, 9);
    std::set<FastMac::Sum> sums{mac.of(page), mac.of(ByteView(page).first(8191))};
    for (std::size_t bit = 0; bit < page.size() * 8; bit += 251) {
        auto changed = page;
        changed[bit / 8] ^= static_cast<std::uint8_t>(1u << bit % 8);
        sums.insert(mac.of(changed));
    }
    for (std::size_t half : {0, 32}) {
        Bytes key(64, 1);
        key[half] = 2;
        sums.insert(FastMac(key).of(page));
    }
    EXPECT_EQ(sums.size(), 2 + (page.size() * 8 + 250) / 251 + 2);
}

// RFC 5869, test cases 1, 2 and 3.
TEST(Hkdf, MatchesRfc5869) {
    EXPECT_EQ(to_hex(hkdf_sha256(hex(repeat("0b", 22)), hex("000102030405060708090a0b0c"),
                                 hex("f0f1f2f3f4f5f6f7f8f9"), 42)
                         .view()),
              "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf"
              "34007208d5b887185865");
    Bytes key, salt, info;
    for (int i = 0; i < 80; ++i) {
        key.push_back(static_cast<std::uint8_t>(i));
        salt.push_back(static_cast<std::uint8_t>(0x60 + i));
        info.push_back(static_cast<std::uint8_t>(0xb0 + i));
    }
    EXPECT_EQ(to_hex(hkdf_sha256(key, salt, info, 82).view()),
              "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c"
              "59045a99cac7827271cb41c65e590e09da3275600c2f09b8367793a9aca3db71"
              "cc30c58179ec3e87c14c01d5c1f3434f1d87");
    EXPECT_EQ(to_hex(hkdf_sha256(hex(repeat("0b", 22)), {}, {}, 42).view()),
              "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d"
              "9d201395faa4b61a96c8");
}

// libsodium's own vectors (test/default/pwhash_argon2id), one lane.
TEST(Argon2id, MatchesPublishedVector) {
    auto key = argon2id(hex("b540beb016a5366524d4605156493f9874514a5aa58818cd0c6dfffaa9e90205f17b"),
                        hex("44071f6d181561670bda728d43fb79b4"),
                        {.memory_bytes = 1631659, .passes = 1}, 231);
    ASSERT_TRUE(key);
    EXPECT_EQ(to_hex(key->view().first(64)),
              "7fb72409b0987f8190c3729710e98c3f80c5a8727d425fdcde7f3644d467fe97"
              "3f5b5fee683bd3fce812cb9ae5e9921a2d06c2f1905e4e839692f2b934b682f1");
}

TEST(Argon2id, RefusesHostileCost) {
    Bytes salt(16);
    for (auto cost : {Argon2Cost{0, 4}, Argon2Cost{8191, 4}, Argon2Cost{(4ull << 30) + 1, 4},
                      Argon2Cost{~0ull, 4}, Argon2Cost{32u << 20, 0}, Argon2Cost{32u << 20, 65}}) {
        auto key = argon2id(as_bytes("x"), salt, cost, 32);
        ASSERT_FALSE(key);
        EXPECT_EQ(key.error().kind, ErrorKind::damaged);
    }
}

// NIST GCM test vectors (McGrew and Viega, test cases 13 to 16: 256-bit keys).
struct GcmCase {
    std::string key, nonce, associated, plain, sealed;
};
GcmCase const kGcmCases[] = {
    {repeat("00", 32), repeat("00", 12), "", "", "530f8afbc74536b9a963b4f1c4cb738b"},
    {repeat("00", 32), repeat("00", 12), "", repeat("00", 16),
     "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919"},
    {"feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308", "cafebabefacedbaddecaf888",
     "",
     "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
     "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255",
     "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
     "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662898015ad"
     "b094dac5d93471bdec1a502270e3cc6c"},
    {"feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308", "cafebabefacedbaddecaf888",
     "feedfacedeadbeeffeedfacedeadbeefabaddad2",
     "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
     "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
     "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
     "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"
     "76fc6ece0f4e1768cddf8853bb2d551b"},
};

// One after the other, published vectors hold (above); side by side it is the same, whatever the lengths.
TEST(HmacKey, ManyAtOnceAreAsEachAlone) {
    HmacKey key(hex("000102030405060708090a0b0c0d0e0f"));
    std::mt19937_64 random(7);
    Bytes pool(1u << 20);
    for (auto& byte : pool) byte = static_cast<std::uint8_t>(random());
    for (std::size_t count : {0, 1, 8, 9, 15, 16, 17, 40}) {
        for (std::size_t longest : {0, 1, 63, 64, 65, 1'000, 50'000}) {
            std::vector<ByteView> messages;
            for (std::size_t i = 0; i < count; ++i) {
                auto size = i % 3 == 0 ? longest : random() % (longest + 1);
                messages.push_back(ByteView(pool).subspan(random() % (pool.size() - size), size));
            }
            std::vector<Hash32> hashes(count);
            key.of_each(messages, hashes);
            for (std::size_t i = 0; i < count; ++i) {
                ASSERT_EQ(hashes[i], key.of(messages[i])) << count << " of up to " << longest << ", number " << i;
            }
        }
    }
}

TEST(Gcm, MatchesPublishedVectors) {
    for (auto const& c : kGcmCases) {
        auto plain = hex(c.plain);
        Bytes sealed(plain.size() + kGcmTagBytes);
        gcm_seal(hex(c.key), fixed<12>(c.nonce), hex(c.associated), plain, sealed);
        EXPECT_EQ(to_hex(sealed), c.sealed);
        Bytes opened(plain.size());
        EXPECT_TRUE(gcm_open(hex(c.key), fixed<12>(c.nonce), hex(c.associated), sealed, opened));
        EXPECT_EQ(opened, plain);
    }
}

TEST(Gcm, RefusesEveryFlipAndLeavesZeros) {
    auto const& c = kGcmCases[3];
    auto const whole = hex(c.sealed);
    for (std::size_t i = 0; i < whole.size(); ++i) {
        auto flipped = whole;
        flipped[i] ^= 1;
        Bytes opened(whole.size() - kGcmTagBytes, 0xee);
        EXPECT_FALSE(gcm_open(hex(c.key), fixed<12>(c.nonce), hex(c.associated), flipped, opened));
        EXPECT_THAT(opened, testing::Each(0));
    }
    Bytes opened(whole.size() - kGcmTagBytes);
    EXPECT_FALSE(gcm_open(hex(c.key), fixed<12>(c.nonce), {}, whole, opened));
    EXPECT_FALSE(gcm_open(hex(c.key), fixed<12>(c.nonce), {}, ByteView(whole).first(7), {}));
}

TEST(Gcm, EveryEngineMakesTheSameBytes) {
    auto vector = vector_gcm();
    if (!vector) GTEST_SKIP() << "this processor has no AES on wide vectors, or the library is missing";
    std::mt19937_64 random(1);
    auto noise = [&](std::size_t size) {
        Bytes bytes(size);
        for (auto& byte : bytes) byte = static_cast<std::uint8_t>(random());
        return bytes;
    };
    auto keys = std::array{noise(32), noise(32)};
    for (int i = 0; i < 2'000; ++i) {
        auto const& key = keys[random() % 2];
        GcmNonce nonce;
        std::ranges::copy(noise(12), nonce.begin());
        auto associated = noise(random() % 70);
        auto plain = noise(i < 1'000 ? static_cast<std::size_t>(i) : random() % 70'000);
        Bytes one(plain.size() + kGcmTagBytes), other(one.size()), opened(plain.size());
        openssl_gcm().seal(key, nonce, associated, plain, one.data());
        vector->seal(key, nonce, associated, plain, other.data());
        ASSERT_EQ(one, other) << plain.size();
        EXPECT_TRUE(vector->open(key, nonce, associated, one, opened.data()));
        ASSERT_EQ(opened, plain);
        other[random() % other.size()] ^= 1;
        EXPECT_FALSE(vector->open(key, nonce, associated, other, opened.data()));
    }
}

TEST(Gcm, ThreadsDoNotDisturbEachOther) {
    auto work = [](std::uint8_t seed) {
        Bytes key(32, seed), plain(5000, seed);
        for (std::uint32_t n = 0; n < 200; ++n) {
            GcmNonce nonce{};
            nonce[0] = static_cast<std::uint8_t>(n);
            Bytes sealed(plain.size() + kGcmTagBytes), opened(plain.size());
            gcm_seal(key, nonce, {}, plain, sealed);
            if (!gcm_open(key, nonce, {}, sealed, opened) || opened != plain)
                return false;
        }
        return true;
    };
    bool first = false, second = false;
    {
        std::jthread a([&] { first = work(1); });
        std::jthread b([&] { second = work(2); });
    }
    EXPECT_TRUE(first && second);
}

// draft-irtf-cfrg-xchacha-03, A.3.1.
TEST(XChaCha, MatchesPublishedVector) {
    auto key = hex("808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f");
    auto associated = hex("50515253c0c1c2c3c4c5c6c7");
    auto sealed =
        hex("404142434445464748494a4b4c4d4e4f5051525354555657"
            "bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb"
            "731c7f1b0b4aa6440bf3a82f4eda7e39ae64c6708c54c216cb96b72e1213b452"
            "2f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f76b2383565d3fff9"
            "21f9664c97637da9768812f615c68b13b52e"
            "c0875924c1c7987947deafd8780acf49");
    auto opened = xchacha_open(key, associated, sealed);
    ASSERT_TRUE(opened);
    EXPECT_EQ(to_text(*opened),
              "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the "
              "future, sunscreen would be it.");
    SeededRandom random(1);
    EXPECT_EQ(*xchacha_open(key, associated, xchacha_seal(key, random, associated, *opened)),
              *opened);
    EXPECT_EQ(xchacha_seal(key, random, associated, *opened).size(),
              opened->size() + kXChaChaOverheadBytes);
    for (std::size_t i = 0; i < sealed.size(); ++i) {
        auto flipped = sealed;
        flipped[i] ^= 0x80;
        EXPECT_EQ(xchacha_open(key, associated, flipped).error().kind, ErrorKind::damaged);
        EXPECT_FALSE(xchacha_open(key, associated, ByteView(sealed).first(i)));
    }
}

// RFC 8032, section 7.1, TEST 1 to 3.
TEST(Ed25519, MatchesRfc8032) {
    struct Case {
        std::string_view seed, public_key, message, signature;
    } cases[] = {
        {"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
         "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
         "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
         "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"},
        {"4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
         "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
         "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
         "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"},
        {"c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
         "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
         "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
         "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"},
    };
    for (auto const& c : cases) {
        auto key = SignKey::from_seed(hex(c.seed));
        EXPECT_EQ(to_hex(key.public_key), c.public_key);
        auto message = hex(c.message);
        auto signature = key.sign(message);
        EXPECT_EQ(to_hex(signature), c.signature);
        EXPECT_TRUE(signature_fits(key.public_key, message, signature));
        signature[63] ^= 1;
        EXPECT_FALSE(signature_fits(key.public_key, message, signature));
        EXPECT_FALSE(signature_fits(key.public_key, as_bytes("other"), key.sign(message)));
    }
}

// RFC 7748, sections 5.2 and 6.1.
TEST(X25519, MatchesRfc7748) {
    auto raw =
        x25519(hex("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4"),
               fixed<32>("e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c"));
    EXPECT_EQ(to_hex(raw->view()),
              "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552");

    SeededRandom random(2);
    auto alice = BoxKey::generate(random);
    auto bob = BoxKey::from_private(
        hex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb"));
    EXPECT_EQ(to_hex(bob.public_key),
              "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f");
    EXPECT_TRUE(x25519(alice.private_key.view(), bob.public_key)
                    ->equals(x25519(bob.private_key.view(), alice.public_key)->view()));
    EXPECT_FALSE(x25519(bob.private_key.view(), BoxPublicKey{}));
}

TEST(Secret, IsFreshMovedAndCompared) {
    { Secret dirty(as_bytes("0123456789abcdef0123456789abcdef")); }
    for (std::size_t size : {1u, 32u, 64u, 65u, 5000u}) {
        auto secret = Secret::of_size(size);
        EXPECT_THAT(Bytes(secret.view().begin(), secret.view().end()), testing::Each(0)) << size;
        secret.writable()[size - 1] = 7;
        auto copy = secret.clone();
        EXPECT_TRUE(copy.equals(secret.view()));
        copy.writable()[0] ^= 1;
        EXPECT_FALSE(copy.equals(secret.view()));
        Secret moved = std::move(secret);
        EXPECT_TRUE(secret.empty());
        EXPECT_EQ(moved.size(), size);
        moved = std::move(copy);
        EXPECT_EQ(moved.view()[0], size == 1 ? 6 : 1);
    }
    Secret empty;
    EXPECT_TRUE(empty.clone().empty());
    EXPECT_TRUE(empty.equals({}));
    EXPECT_FALSE(empty.equals(as_bytes("x")));
}

TEST(Secret, ManyAreSmallAndDistinct) {
    std::vector<Secret> secrets;
    for (std::uint32_t i = 0; i < 2000; ++i) {
        secrets.push_back(Secret(ByteView(reinterpret_cast<std::uint8_t const*>(&i), sizeof i)));
    }
    for (std::uint32_t i = 0; i < 2000; ++i) {
        EXPECT_TRUE(secrets[i].equals({reinterpret_cast<std::uint8_t const*>(&i), sizeof i}));
    }
}

TEST(Secret, WipedTextIsEmpty) {
    std::string text = "a password that is longer than the small buffer";
    wipe(text);
    EXPECT_TRUE(text.empty());
}

// Not a check: prints the rate that large inputs reach here.
TEST(Speed, DISABLED_Rates) {
    Bytes data(64u << 20, 0x5a), sealed(data.size() + kGcmTagBytes);
    auto measure = [&](char const* name, auto&& work) {
        auto begin = std::chrono::steady_clock::now();
        work();
        std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
        std::printf("%s: %.2f GB/s\n", name, static_cast<double>(data.size()) / took.count() / 1e9);
    };
    HmacKey key(as_bytes("key"));
    measure("sha256", [&] { sha256(data); });
    measure("hmac 4 KiB", [&] {
        for (std::size_t at = 0; at < data.size(); at += 4096)
            key.of(ByteView(data).subspan(at, 4096));
    });
    measure("gcm seal", [&] { gcm_seal(Bytes(32), {}, {}, data, sealed); });
    measure("gcm open", [&] { EXPECT_TRUE(gcm_open(Bytes(32), {}, {}, sealed, data)); });
}

}  // namespace
}  // namespace holdfast
