#include "repo/hold.h"

#include <gtest/gtest.h>

#include "repo/test_world.h"

namespace holdfast {
namespace {

struct HoldTest : testing::Test {
    SeededRandom random{3};
    std::unique_ptr<Executor> executor = make_seeded_executor(1);
    TestStore store;
    KeyBundle admin = generate_first_bundle(random, "admin");
    std::shared_ptr<TestRepository::Certificates> certificates =
        std::make_shared<TestRepository::Certificates>();
    TestRepository repository{store, *executor, random, admin.clone(), certificates};
    TestRepository writer{store, *executor, random,
                          generate_bundle(admin, static_cast<Roles>(Role::writer), "writer", random), certificates};
    TestRepository reader{store, *executor, random,
                          generate_bundle(admin, static_cast<Roles>(Role::reader), "reader", random), certificates};
    static PointId point(std::uint8_t number) {
        PointId id;
        id.bytes[0] = number;
        return id;
    }
};

TEST_F(HoldTest, IsFoundAgainByEverybody) {
    Hold wanted;
    wanted.reason = "case 7";
    wanted.points = {point(1), point(2)};
    auto placed = place_hold(writer, wanted, {}).value();
    auto holds = list_holds(reader, {}).value();
    ASSERT_EQ(holds.size(), 1u);
    EXPECT_EQ(holds[0].id, placed.id);
    EXPECT_EQ(holds[0].text(), "legal: case 7");
    EXPECT_EQ(holds[0].points, wanted.points);
    EXPECT_EQ(holds[0].holder, writer.keys().id);
    EXPECT_TRUE(holds[0].holds(point(2), "any"));
    EXPECT_FALSE(holds[0].holds(point(3), "any"));
}

TEST_F(HoldTest, OfADatasetOrOfEverything) {
    Hold hold;
    hold.dataset = "database";
    EXPECT_TRUE(hold.holds(point(1), "database"));
    EXPECT_FALSE(hold.holds(point(1), "models"));
    hold.dataset = "";
    EXPECT_TRUE(hold.holds(point(1), "models"));
}

TEST_F(HoldTest, OnlyAnAdminLiftsIt) {
    auto placed = place_hold(writer, {}, {}).value();
    EXPECT_EQ(remove_hold(writer, placed.hex(), {}).error().kind, ErrorKind::key_refused);
    EXPECT_EQ(place_hold(reader, {}, {}).error().kind, ErrorKind::key_refused);
    EXPECT_EQ(remove_hold(repository, "zz", {}).error().kind, ErrorKind::not_found);
    (void)place_hold(writer, {}, {}).value();
    EXPECT_EQ(remove_hold(repository, "", {}).error().kind, ErrorKind::usage);
    EXPECT_TRUE(remove_hold(repository, placed.hex().substr(0, 8), {}));
    EXPECT_EQ(list_holds(repository, {}).value().size(), 1u);
}

TEST_F(HoldTest, ADamagedOneIsNotOverlooked) {
    auto placed = place_hold(writer, {}, {}).value();
    for (auto at : {0u, 30u, 80u, 140u}) {
        auto& bytes = store.objects[hold_key(placed)];
        bytes[at] ^= 1;
        EXPECT_EQ(list_holds(repository, {}).error().kind, ErrorKind::damaged);
        bytes[at] ^= 1;
    }
    // One hold's bytes under another's name.
    auto other = place_hold(writer, {}, {}).value();
    store.objects[hold_key(other)] = store.objects[hold_key(placed)];
    EXPECT_EQ(list_holds(repository, {}).error().kind, ErrorKind::damaged);
}

}  // namespace
}  // namespace holdfast
