#include <gtest/gtest.h>

#include "catalog/catalog.h"

namespace holdfast::catalog {
namespace {

TEST(CatalogRecords, RungsAreInTheOrderOfTheLadder) {
    std::string names;
    for (auto rung : kRungs)
        names += std::string(to_text(rung)) + " ";
    EXPECT_EQ(names, "stored hashed restored validated ");
}

}  // namespace
}  // namespace holdfast::catalog
