// What the log of a real PostgreSQL 15 says of changed blocks, against the files themselves and against pg_waldump.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <regex>
#include <set>

#include "base/text.h"
#include "formats/pg_control.h"
#include "formats/pg_page.h"
#include "formats/pg_wal_changes.h"
#include "formats/pg_wal_decoder.h"
#include "os/file.h"
#include "postgres_cluster.h"

namespace holdfast {
namespace {

using testing::PostgresCluster;
namespace fs = std::filesystem;

constexpr std::uint32_t kSegmentBytes = 16u << 20;

// Every file of a relation, as it lies there; those of unlogged relations are not in base backups.
std::map<std::string, Bytes> relations_of(fs::path const& data) {
    std::map<std::string, Bytes> files;
    std::set<std::string> unlogged;
    auto walk = [&](fs::path const& directory) {
        for (auto const& entry : fs::recursive_directory_iterator(directory, fs::directory_options::follow_directory_symlink)) {
            auto path = entry.path().lexically_relative(data).string();
            auto relation = parse_pg_relation_path(path);
            if (!relation || !entry.is_regular_file()) continue;
            if (relation->fork == PgRelationFile::Fork::init) unlogged.insert(path.substr(0, path.rfind('_')));
            if (relation->fork == PgRelationFile::Fork::main) files[path] = read_file(entry.path(), 1u << 30).value();
        }
    };
    for (auto place : {"base", "global", "pg_tblspc"}) walk(data / place);
    std::erase_if(files, [&](auto const& file) { return unlogged.contains(file.first); });
    return files;
}

// The log from where the server stopped cleanly before.
struct Log {
    WalChanges changes;
    Lsn begin, end;
    std::uint64_t records = 0;

    explicit Log(fs::path const& data, Lsn from) : begin(from) {
        auto segment = Lsn{from.value / kSegmentBytes * kSegmentBytes};
        WalDecoder decoder(segment, kSegmentBytes);
        auto visit = [&](WalRecord const& record) -> Result<bool> {
            if (record.start < begin) return true;
            ++records;
            TRY(changes.add(record));
            return true;
        };
        for (; !decoder.ended(); segment.value += kSegmentBytes) {
            auto bytes = read_file(data / "pg_wal" / wal_segment_name(1, segment, kSegmentBytes), kSegmentBytes);
            if (!bytes) break;
            auto fed = decoder.feed(*bytes, visit);
            EXPECT_TRUE(fed) << fed.error().message;
        }
        end = decoder.end();
    }
};

class Workload {
  public:
    Workload(PostgresCluster& cluster, unsigned seed) : cluster_(cluster), random_(seed) {
        for (int kind = 0; kind < kKinds; ++kind) deck_.push_back(kind);
        auto space = cluster.scratch().make("space");
        cluster.sql("create tablespace space location '" + space + "'");
        cluster.sql("create table untouched as select i, repeat('u', 100) from generate_series(1, 20000) i");
        cluster.sql("vacuum freeze untouched");
        cluster.sql("create table t (id serial primary key, a int, b text, c int[], d point)");
        cluster.sql("create index t_hash on t using hash (a)");
        cluster.sql("create index t_gin on t using gin (c)");
        cluster.sql("create index t_gist on t using gist (d)");
        cluster.sql("create index t_brin on t using brin (id)");
        cluster.sql("create index t_spgist on t using spgist (b)");
        cluster.sql("create unlogged table u as select i from generate_series(1, 1000) i");
        grow(5000);
    }
    void grow(int rows) {
        cluster_.sql(fmt::format("insert into t (a, b, c, d) select i, md5(i::text) || repeat('x', i % 50), array[i % 7, i % 11], "
                                 "point(i % 97, i % 89) from generate_series(1, {}) i", rows));
    }
    // Two rounds do everything in both of its ways, each in an order of its own.
    void step() {
        if (made_ % kKinds == 0) std::ranges::shuffle(deck_, random_);
        auto kind = deck_[static_cast<std::size_t>(made_ % kKinds)];
        auto n = random_() % 50 * 2 + static_cast<unsigned>(made_ / kKinds % 2);
        auto name = fmt::format("x{}", made_++);
        switch (kind) {
            case 0: return grow(static_cast<int>(n) * 10);
            case 1: return run(fmt::format("update t set a = a + 1, b = b || 'y' where id % 101 = {}", n));
            case 2: return run(fmt::format("delete from t where id % 53 = {}", n % 53));
            case 3: return run("vacuum t");
            case 4: return run("vacuum full t");
            case 5: return run("delete from t where id > (select max(id) - 2000 from t); vacuum t");  // its end is cut off
            case 6: return run(fmt::format("create table {} as select * from t limit 500; drop table {}", name, name));
            case 7: return run(fmt::format("create table {} as select * from t limit 300", name));
            case 8: return run("begin; truncate t; rollback");
            case 9: return run("begin; create table gone as select * from t; savepoint s; drop table gone; rollback");
            case 10: return run(n % 2 ? "alter table t set tablespace space" : "alter table t set tablespace pg_default");
            case 11: return run("reindex table t");
            case 12:
                run(fmt::format("begin; create table {} (i int); insert into {} select generate_series(1, 3000); "
                                "prepare transaction '{}'", name, name, name));
                return run((n % 2 ? "commit prepared '" : "rollback prepared '") + name + "'");
            case 13:
                cluster_.sql(fmt::format("create database {} strategy {}", name, n % 2 ? "file_copy" : "wal_log"));
                cluster_.sql("create table inner_table as select generate_series(1, 5000) i", name);
                if (n % 3 != 0) cluster_.sql("drop database " + name);
                return;
            case 14: return run("checkpoint");
            case 15: return run(n % 2 ? "alter table u set logged" : "alter table u set unlogged");
            case 16: return run("insert into u select generate_series(1, 2000); select count(*) from t where b like '%z%'");
            case 17: return run("truncate u; truncate t"), grow(3000);
        }
    }

    static constexpr int kKinds = 18;

  private:
    void run(std::string const& statements) {
        auto connection = cluster_.connect();
        for (auto statement : split(statements, ';')) {
            auto done = connection.query(std::string(statement), {});
            EXPECT_TRUE(done) << statement << ": " << done.error().message;
        }
    }
    PostgresCluster& cluster_;
    std::mt19937 random_;
    std::vector<int> deck_;
    int made_ = 0;
};

TEST(WalChangesOfAServer, NameEveryPageThatDiffers) {
    auto seed = std::random_device()();
    RecordProperty("seed", static_cast<int>(seed));
    SCOPED_TRACE(fmt::format("seed {}", seed));
    PostgresCluster cluster({.settings = {"wal_keep_size=4GB", "max_prepared_transactions=5", "autovacuum_naptime=1s"}});
    Workload workload(cluster, seed);
    auto untouched = cluster.value("select pg_relation_filepath('untouched')");
    cluster.stop(SIGINT);
    auto before = relations_of(cluster.data());
    auto from = parse_pg_control(read_file(cluster.data() + "/global/pg_control", 1 << 16).value()).value().checkpoint;

    cluster.start();
    for (int i = 0; i < 2 * Workload::kKinds; ++i) {
        workload.step();
        if (i == Workload::kKinds) cluster.stop(SIGQUIT), cluster.start();  // as after a crash
    }
    cluster.stop(SIGINT);
    auto after = relations_of(cluster.data());
    Log log(cluster.data(), from);
    ASSERT_GT(log.records, 1000u);
    EXPECT_EQ(log.changes.unreliable(), "");

    std::uint64_t differ = 0, same = 0;
    for (auto const& [path, bytes] : after) {
        auto file = *parse_pg_relation_path(path);
        auto relation = WalChanges::relation_of(file);
        auto const& old = before[path];
        for (std::size_t at = 0; at < bytes.size(); at += kPgPageBytes) {
            auto page = ByteView(bytes).subspan(at, kPgPageBytes);
            bool was = at + kPgPageBytes <= old.size();
            auto block = static_cast<std::uint32_t>(file.segment * 131072 + at / kPgPageBytes);
            bool changed = log.changes.changed(relation, file.fork, block);
            // Behind the old end everything is read; what was only added there is zero and in no log.
            bool differs = was ? !std::ranges::equal(page, ByteView(old).subspan(at, kPgPageBytes)) : !is_new_pg_page(page);
            if (differs) {
                ++differ;
                ASSERT_TRUE(changed) << path << " block " << block;
            } else if (!changed) {
                ++same;
            }
        }
    }
    EXPECT_GT(differ, 200u);
    EXPECT_GT(same, 300u);  // or everything would be named
    EXPECT_TRUE(log.changes.untouched(WalChanges::relation_of(*parse_pg_relation_path(untouched))));

    // Each block that PostgreSQL's own program names, and no other.
    auto dumped = cluster.scratch() / "dump";
    PostgresCluster::must({"sh", "-c", fmt::format("{} -p {}/pg_wal -s {} -e {} > {}", testing::postgres_program("pg_waldump"),
                                                   cluster.data(), to_text(log.begin), to_text(log.end), dumped)});
    auto dump = to_text(read_file(dumped, 1u << 30).value());
    static std::regex const kBlock(R"(rel (\d+)/(\d+)/(\d+) blk (\d+))");
    std::set<std::pair<WalChanges::Relation, std::uint32_t>> named;
    auto number = [](std::string const& text) { return static_cast<std::uint32_t>(std::stoul(text)); };
    for (std::sregex_iterator at(dump.begin(), dump.end(), kBlock), end; at != end; ++at)
        named.insert({{number((*at)[1]), number((*at)[2]), number((*at)[3])}, number((*at)[4])});
    ASSERT_GT(named.size(), 200u);
    EXPECT_EQ(log.changes.blocks(), named.size());
    for (auto const& [relation, block] : named)
        EXPECT_TRUE(log.changes.changed(relation, PgRelationFile::Fork::main, block)) << relation.relation << " " << block;
}

}  // namespace
}  // namespace holdfast
