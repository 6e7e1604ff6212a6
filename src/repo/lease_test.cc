#include "repo/lease.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "repo/test_world.h"

namespace holdfast {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using testing::IsEmpty;
using testing::SizeIs;

struct LeaseTest : testing::Test {
    SeededRandom random{5};
    ManualClock clock{*parse_rfc3339("2026-01-01T00:00:00Z")};
    KeyBundle keys = generate_first_bundle(random, "first");
    TestStore store;
    CertificateLookup lookup = [this](BundleId const&) -> Result<KeyCertificate> {
        return KeyCertificate{keys.id, keys.repository, keys.roles, keys.sign.public_key, "",
                              false};
    };

    std::unique_ptr<Lease> acquire() {
        return Lease::acquire(store, keys, clock, random, {}).value();
    }
    auto markers() { return store.keys(kLeasesPrefix); }
};

TEST_F(LeaseTest, IsThereWhileItIsHeld) {
    {
        auto lease = acquire();
        auto other = acquire();
        ASSERT_THAT(markers(), SizeIs(2));
        auto key = markers()[0];
        auto marker = open_lease(key, store.objects[key], keys, lookup);
        ASSERT_TRUE(marker);
        EXPECT_EQ(marker->time, clock.now());
        EXPECT_FALSE(open_lease(markers()[1], store.objects[key], keys, lookup));
        for (std::size_t i = 0; i < store.objects[key].size(); ++i) {
            auto flipped = store.objects[key];
            flipped[i] ^= 2;
            EXPECT_FALSE(open_lease(key, flipped, keys, lookup));
        }
    }
    EXPECT_THAT(markers(), IsEmpty());
}

TEST_F(LeaseTest, IsRenewedWhenItIsTime) {
    auto lease = acquire();
    auto first = markers();
    clock.advance(kLeaseRenewAfter - Duration(1));
    ASSERT_TRUE(lease->renew_if_due({}));
    EXPECT_EQ(markers(), first);
    clock.advance(Duration(1));
    ASSERT_TRUE(lease->renew_if_due({}));
    ASSERT_THAT(markers(), SizeIs(1));
    EXPECT_NE(markers(), first);
    // There was never a moment without a marker.
    auto next = markers();
    store.before = [&](std::string_view operation, ObjectKey const&) -> Result<void> {
        if (operation == "remove") {
            EXPECT_EQ(store.objects.size(), 2u);
        }
        return {};
    };
    clock.advance(kLeaseRenewAfter);
    ASSERT_TRUE(lease->renew_if_due({}));
    store.before = nullptr;
    EXPECT_THAT(markers(), SizeIs(1));
}

TEST_F(LeaseTest, FailedRenewalsAreRepeatedAndThenReported) {
    auto lease = acquire();
    int puts = 0;
    store.before = [&](std::string_view operation, ObjectKey const&) -> Result<void> {
        if (operation != "put")
            return {};
        ++puts;
        return fail(ErrorKind::unreachable, "down");
    };
    clock.advance(kLeaseRenewAfter);
    EXPECT_TRUE(lease->renew_if_due({}));
    EXPECT_TRUE(lease->renew_if_due({}));
    EXPECT_EQ(puts, 1);  // not at every call
    clock.advance(minutes(1));
    EXPECT_TRUE(lease->renew_if_due({}));
    EXPECT_EQ(puts, 2);
    clock.advance(kLeaseSilenceMax / 2);
    EXPECT_EQ(lease->renew_if_due({}).error().kind, ErrorKind::unreachable);
    store.before = nullptr;
    clock.advance(minutes(2));
    EXPECT_TRUE(lease->renew_if_due({}));
    EXPECT_THAT(markers(), SizeIs(1));
}

TEST_F(LeaseTest, AFailedPutThatStoredItsMarkerIsCleanedUp) {
    auto lease = acquire();
    bool lose = true;
    store.before = [&](std::string_view operation, ObjectKey const& key) -> Result<void> {
        if (operation != "put" || !lose)
            return {};
        store.objects[key.text()] = {1};
        return fail(ErrorKind::unreachable, "the answer was lost");
    };
    for (int i = 0; i < 3; ++i) {
        clock.advance(kLeaseRenewAfter);
        EXPECT_TRUE(lease->renew_if_due({}));
    }
    lose = false;
    clock.advance(kLeaseRenewAfter);
    ASSERT_TRUE(lease->renew_if_due({}));
    EXPECT_THAT(markers(), SizeIs(1));
    lease.reset();
    EXPECT_THAT(markers(), IsEmpty());
}

TEST_F(LeaseTest, ALapsedLeaseIsRefused) {
    auto lease = acquire();
    clock.advance(kLeaseSilenceMax + hours(1));
    EXPECT_EQ(lease->renew_if_due({}).error().kind, ErrorKind::unsafe);
    EXPECT_EQ(lease->renew_if_due({}).error().kind, ErrorKind::unsafe);
}

}  // namespace
}  // namespace holdfast
