#include "sources/postgres/conninfo.h"

#include <gtest/gtest.h>

namespace holdfast::postgres {
namespace {

TEST(Conninfo, NamesItsDatabase) {
    EXPECT_EQ(database_of("host=db1 dbname=spikeformer").value(), "spikeformer");
    EXPECT_EQ(database_of("postgresql://u@db1/spikeformer").value(), "spikeformer");
    EXPECT_EQ(database_of("service=spikeformer").value(), "");
    EXPECT_FALSE(database_of("no string"));
}

TEST(Conninfo, LeadsToAnotherDatabase) {
    auto const changed = with_database("host=/run/pg user=dba dbname=a", "it's \\ odd").value();
    EXPECT_EQ(database_of(changed).value(), "it's \\ odd");
    EXPECT_EQ(describe_conninfo(changed).value(), "/run/pg:5432");
    EXPECT_EQ(with_database("user=x password=hunter2", "a").error().message.find("hunter2"), std::string::npos);
}

}  // namespace
}  // namespace holdfast::postgres
