#include "plan/dataset_spec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace holdfast::plan {
namespace {

using testing::HasSubstr;
using testing::Not;

std::string name_of(std::string_view text) {
    auto dataset = parse_dataset_spec(text);
    return dataset ? dataset->name : "refused: " + dataset.error().message;
}

TEST(DatasetSpec, OneSubjectHasOneName) {
    EXPECT_EQ(name_of("files:/srv/data"), "files:/srv/data");
    EXPECT_EQ(name_of("files:/srv//x/../data/"), "files:/srv/data");
    EXPECT_EQ(name_of("files:/"), "files:/");
    EXPECT_EQ(name_of("files://srv"), "files:/srv");
    EXPECT_EQ(name_of("models:/models"), "models:/models");
    for (auto same :
         {"postgres:host=db2,db1 user=backup dbname=x", "postgres:host='db1,db2' port=5432",
          "postgres:postgresql://backup@db1,db2:5432/x?sslmode=require",
          "postgres:host = db1,db2  port = '5432,5432'"}) {
        EXPECT_EQ(name_of(same), "postgres:db1:5432,db2:5432") << same;
    }
    EXPECT_EQ(name_of("postgres:service=spikeformer"), "postgres:service=spikeformer");
    EXPECT_EQ(name_of("postgres:"), "postgres:local:5432");
    EXPECT_EQ(name_of("postgres:host=/tmp/pg port=5433"), "postgres:/tmp/pg:5433");
    EXPECT_EQ(name_of("postgres:postgresql://%2Ftmp%2Fpg:5433/x"), "postgres:/tmp/pg:5433");
    EXPECT_EQ(name_of("postgres:postgresql:///x?host=/tmp/pg&port=5433"), "postgres:/tmp/pg:5433");
    EXPECT_EQ(name_of("postgres:postgres://[::1]:5433/x"), "postgres:::1:5433");
    EXPECT_EQ(name_of("postgres:hostaddr=10.0.0.1"), "postgres:10.0.0.1:5432");
}

TEST(DatasetSpec, FillsTheDataset) {
    auto files = *parse_dataset_spec("files:/srv/data/");
    EXPECT_EQ(files.kind, DatasetKind::files);
    EXPECT_EQ(files.paths, std::vector<std::string>{"/srv/data"});
    auto database = *parse_dataset_spec("postgres:host=db1 user=backup");
    EXPECT_EQ(database.kind, DatasetKind::postgres);
    EXPECT_EQ(database.connect, "host=db1 user=backup");
    EXPECT_TRUE(is_dataset_spec("files:x"));
    EXPECT_FALSE(is_dataset_spec("database"));
}

TEST(DatasetSpec, RefusesPasswordsWithoutRepeatingThem) {
    for (auto text :
         {"postgres:host=x password=hunter2", "postgres:password='hunter2'",
          "postgres:postgresql://me:hunter2@x/y", "postgres:postgresql://x/y?password=hunter2",
          "postgres:host=x sslpassword=hunter2"}) {
        auto dataset = parse_dataset_spec(text);
        ASSERT_FALSE(dataset) << text;
        EXPECT_EQ(dataset.error().kind, ErrorKind::usage);
        EXPECT_THAT(dataset.error().message,
                    HasSubstr("a password stands in the connection string"));
        EXPECT_THAT(dataset.error().message, Not(HasSubstr("hunter2")));
        EXPECT_THAT(dataset.error().hint, HasSubstr("PGPASSFILE"));
    }
}

TEST(DatasetSpec, RefusesWhatItCannotRead) {
    for (auto text :
         {"files:data", "files:", "tape:/dev/st0", "database", "postgres:db1", "postgres:host='x",
          "postgres:host=a,b port=1,2,3", "postgres:postgresql://%zz/"}) {
        auto dataset = parse_dataset_spec(text);
        ASSERT_FALSE(dataset) << text;
        EXPECT_EQ(dataset.error().kind, ErrorKind::usage);
        EXPECT_NE(dataset.error().hint, "") << text;
    }
}

}  // namespace
}  // namespace holdfast::plan
