#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "formats/fixture_test.h"
#include "sources/exports/check_export.h"
#include "sources/exports/client_programs.h"
#include "sources/exports/export_document.h"
#include "sources/exports/globals.h"
#include "sources/exports/sql_script.h"

namespace holdfast::postgres {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

ExportDocument sample_document() {
    return {.server_version = "15.20",
            .dump_major = 15,
            .passwords = false,
            .databases = {{.name = "Ünï \"cö/dé\"\n",
                           .file = export_file_of("Ünï \"cö/dé\"\n"),
                           .time = *parse_rfc3339("2026-11-28T09:00:00.123Z"),
                           .bytes = 12345,
                           .large_objects = 2,
                           .tables = {{"public", "t", 7}, {"\xff", "a\\b", 0}}}},
            .left_out = {"template1"}};
}

TEST(ExportDocument, WhatGoesInComesOut) {
    auto const document = sample_document();
    auto parsed = parse_export_document(encode(document));
    ASSERT_TRUE(parsed) << parsed.error().message;
    EXPECT_EQ(*parsed, document);
}

TEST(ExportDocument, FilesThatLieElsewhereAreRefused) {
    auto text = encode(sample_document());
    auto at = text.find("\"databases/");
    ASSERT_NE(at, text.npos);
    text.replace(at, 11, "\"../../etc/");
    auto parsed = parse_export_document(text);
    ASSERT_FALSE(parsed);
    EXPECT_EQ(parsed.error().kind, ErrorKind::damaged);
}

TEST(ExportDocument, WhatIsMissingIsDamagedAndALaterVersionIsNamed) {
    auto const whole = encode(sample_document());
    for (std::string name : {"server_version", "dump_major", "passwords", "databases", "left_out", "file", "rows"}) {
        auto text = whole;
        auto at = text.find("\"" + name + "\"");
        ASSERT_NE(at, text.npos) << name;
        text[at + 1] = 'X';
        auto parsed = parse_export_document(text);
        ASSERT_FALSE(parsed) << name;
        EXPECT_EQ(parsed.error().kind, ErrorKind::damaged) << name;
    }
    auto later = whole;
    later.replace(later.find(": 1"), 3, ": 2");
    auto parsed = parse_export_document(later);
    ASSERT_FALSE(parsed);
    EXPECT_EQ(parsed.error().kind, ErrorKind::usage);
}

TEST(ExportDocument, NamesOfDatabasesBecomeNamesOfFiles) {
    EXPECT_EQ(export_file_of("app"), "databases/app.dump");
    EXPECT_EQ(export_file_of("a/b%"), "databases/a%2Fb%25.dump");
    EXPECT_EQ(export_file_of("..\n"), "databases/%2E.%0A.dump");
    EXPECT_EQ(export_file_of("Ünï"), "databases/Ünï.dump");
}

// The archive of src/formats/pg_archive_test.cc as an export of one database.
class CheckExport : public ::testing::Test {
  protected:
    void SetUp() override {
        std::string name = "/tmp/holdfast-export-XXXXXX";
        ASSERT_NE(::mkdtemp(name.data()), nullptr);
        directory_ = name;
        std::filesystem::create_directory(directory_ / "databases");
        archive_ = read_fixture("postgres/archive-1.14.dump");
        document_ = {.server_version = "15.18",
                     .dump_major = 15,
                     .databases = {{.name = "fixture",
                                    .file = export_file_of("fixture"),
                                    .time = {},
                                    .bytes = archive_.size(),
                                    .large_objects = 2,
                                    .tables = {{"odd \"schema", "line\nfeed", 2}, {"public", "empty", 0}, {"public", "t", 7}}}},
                     .left_out = {"template1"}};
    }
    ~CheckExport() override {
        std::error_code ignored;
        std::filesystem::remove_all(directory_, ignored);
    }
    void write(std::string const& name, std::string_view text) {
        std::ofstream(directory_ / name, std::ios::binary) << text;
    }
    std::vector<Finding> check() {
        write(std::string(kExportDocument), encode(document_));
        write(std::string(kExportGlobals), globals_);
        write(document_.databases[0].file, as_text(archive_));
        auto findings = check_export(directory_, {});
        EXPECT_TRUE(findings);
        return findings ? *findings : std::vector<Finding>();
    }

    std::filesystem::path directory_;
    Bytes archive_;
    ExportDocument document_;
    std::string globals_ = "CREATE ROLE postgres;\n-- PostgreSQL database cluster dump complete\n";
};

TEST_F(CheckExport, WhatIsWholeIsVerifiedAndWhatIsLeftOutIsNamed) {
    auto findings = check();
    ASSERT_EQ(findings.size(), 2u);
    EXPECT_EQ(findings[0].verdict, Finding::Verdict::verified) << findings[0].detail;
    EXPECT_THAT(findings[0].detail, HasSubstr("3 tables, 9 rows"));
    EXPECT_EQ(findings[1].object, "database template1");
    EXPECT_EQ(findings[1].verdict, Finding::Verdict::not_verified);
}

TEST_F(CheckExport, AnArchiveThatIsCutOffIsDamaged) {
    archive_.resize(archive_.size() - 100);
    auto findings = check();
    EXPECT_EQ(findings.at(0).verdict, Finding::Verdict::damaged);
    EXPECT_THAT(findings.at(0).detail, HasSubstr("not whole"));
}

TEST_F(CheckExport, OtherRowsOrObjectsThanWereExportedAreDamage) {
    ++document_.databases[0].tables[2].rows;
    EXPECT_EQ(check().at(0).verdict, Finding::Verdict::damaged);
    --document_.databases[0].tables[2].rows;
    ++document_.databases[0].large_objects;
    EXPECT_EQ(check().at(0).verdict, Finding::Verdict::damaged);
}

TEST_F(CheckExport, RolesThatAreCutOffAreDamage) {
    globals_ = "CREATE ROLE postgres;\n";
    auto findings = check();
    ASSERT_EQ(findings.size(), 1u);
    EXPECT_EQ(findings[0].verdict, Finding::Verdict::damaged);
}

TEST(SqlScript, QuotesHoldEverything) {
    auto statements = split_script("-- a comment; with 'quotes\n\\restrict abc\nCREATE ROLE \"a\"\"b;\n\";\n"
                                   "ALTER ROLE x PASSWORD E'it\\'s; ''fine';\n\\unrestrict abc\n");
    ASSERT_TRUE(statements) << statements.error().message;
    ASSERT_EQ(statements->size(), 2u);
    auto const& create = (*statements)[0];
    EXPECT_EQ(create.text, "CREATE ROLE \"a\"\"b;\n\";");
    EXPECT_TRUE(create.begins_with({"CREATE", "ROLE"}));
    EXPECT_EQ(create.tokens[2], (SqlToken{SqlToken::Kind::identifier, "a\"b;\n"}));
    EXPECT_EQ((*statements)[1].tokens[4], (SqlToken{SqlToken::Kind::string, "it's; 'fine"}));
}

TEST(SqlScript, WhatPgDumpallDoesNotWriteIsRefused) {
    for (auto script : {"\\connect x\n", "\\! rm -rf /\n", "SELECT $$a;b$$;", "CREATE ROLE \"x", "CREATE ROLE x", "x \\. ;"}) {
        auto statements = split_script(script);
        ASSERT_FALSE(statements) << script;
        EXPECT_EQ(statements.error().kind, ErrorKind::damaged);
    }
}

TEST(Globals, RolesAndTablespacesAreFound) {
    auto globals = Globals::parse("CREATE ROLE \"Ünï cödé\";\nALTER ROLE \"Ünï cödé\" WITH LOGIN PASSWORD 'SCRAM-SHA-256$4096:x';\n"
                                  "CREATE ROLE plain;\nCREATE TABLESPACE fast OWNER plain LOCATION '/srv/it''s';\n"
                                  "-- PostgreSQL database cluster dump complete\n");
    ASSERT_TRUE(globals) << globals.error().message;
    EXPECT_EQ(globals->roles(), (std::set<std::string>{"Ünï cödé", "plain"}));
    EXPECT_EQ(globals->tablespaces(), (std::map<std::string, std::string>{{"fast", "/srv/it's"}}));
}

TEST(Globals, AScriptWithoutItsEndIsDamaged) {
    auto globals = Globals::parse("CREATE ROLE plain;\n");
    ASSERT_FALSE(globals);
    EXPECT_EQ(globals.error().kind, ErrorKind::damaged);
}

TEST(ClientPrograms, AFailureNamesTheObjectAndNotTheStatement) {
    ProcessResult result{.exit_code = 1};
    result.err = "pg_restore: while PROCESSING TOC:\n"
                 "pg_restore: from TOC entry 215; 1259 16385 USER MAPPING m owner\n"
                 "pg_restore: error: could not execute query: ERROR:  role \"gone\" does not exist\n"
                 "Command was: CREATE USER MAPPING FOR gone SERVER s OPTIONS (\n    password 'sesame'\n);\n\n\n";
    auto error = client_failure("pg_restore", result);
    EXPECT_THAT(error.message, HasSubstr("exit code 1"));
    EXPECT_THAT(error.message, HasSubstr("TOC entry 215; 1259 16385 USER MAPPING m owner"));
    EXPECT_THAT(error.message, HasSubstr("role \"gone\" does not exist"));
    EXPECT_THAT(error.message, Not(HasSubstr("sesame")));
}

}  // namespace
}  // namespace holdfast::postgres
