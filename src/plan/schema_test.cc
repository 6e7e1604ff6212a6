#include "plan/schema.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <random>
#include <valijson/adapters/nlohmann_json_adapter.hpp>
#include <valijson/schema.hpp>
#include <valijson/schema_parser.hpp>
#include <valijson/validator.hpp>

#include "os/file.h"
#include "plan/example.h"
#include "plan/load.h"
#include "plan/reader.h"

namespace holdfast::plan {
namespace {

using Json = nlohmann::json;
using Adapter = valijson::adapters::NlohmannJsonAdapter;

// What an editor says with the schema alone.
bool schema_accepts(Value const& document) {
    static auto const json = Json::parse(schema());
    static auto const compiled = [] {
        auto parsed = std::make_unique<valijson::Schema>();
        valijson::SchemaParser(valijson::SchemaParser::kDraft7)
            .populateSchema(Adapter(json), *parsed);
        return parsed;
    }();
    auto target = Json::parse(to_json(document));
    valijson::Validator validator;
    return validator.validate(*compiled, Adapter(target), nullptr);
}

// What the parser says of the form alone, without references.
bool parser_accepts(Node const& document, std::string* why = nullptr) {
    FaultSink faults("p");
    Positions positions;
    Plan plan;
    read_plan(document, plan, faults, positions);
    bool accepts = !faults.has_errors();
    if (why)
        *why = render(std::move(faults).take());
    return accepts;
}

Node document_of(std::string_view text) {
    FaultSink faults("p");
    auto document = read_document(text, faults);
    EXPECT_FALSE(faults.has_errors()) << text << render(std::move(faults).take());
    return document;
}

TEST(Schema, AgreesWithTheParser) {
    struct Case {
        bool good;
        std::string_view text;
    };
    static constexpr Case kCases[] = {
        {true, ""},
        {true, "datasets: {}"},
        {true, "datasets: { a: { kind: files, paths: /a } }"},
        {true, "datasets: { a: { kind: files, paths: [/a, /b], every: 1h30m, watch: true } }"},
        {false, "datasets: { a: { paths: /a } }"},
        {false, "datasets: { a: { kind: tape } }"},
        {false, "datasets: { a: { kind: files, paths: a } }"},
        {false, "datasets: { a: { kind: files, paths: [] , every: 0s } }"},
        {false, "datasets: { a: { kind: files, paths: [[/a]] } }"},
        {false, "datasets: { a: { kind: files, watch: 'true' } }"},
        {false, "datasets: { a: { kind: files, every: 5 } }"},
        {false, "datasets: { a.b: { kind: files } }"},
        {false, "datasets: { a: }"},
        {false, "datasets: [a]"},
        {false, "dataset: {}"},
        {true, "objectives: { data: { critical: 1h, x: 3 months, y: quarter } }"},
        {false, "objectives: { data: { critical: 1 hout } }"},
        {false, "objectives: { data: { critical: [1h] } }"},
        {true,
         "repositories: { a: { url: 's3://b?region=x', key: 'command:pass show x', lock: 30d } }"},
        {false, "repositories: { a: { url: '' } }"},
        {false, "repositories: { a: { url: /a, key: secret } }"},
        {false, "repositories: { a: { url: /a, key: file:relative } }"},
        {true, "retention: { a: { daily: 0 } }"},
        {false, "retention: { a: { daily: -1 } }"},
        {false, "retention: { a: { daily: 1.5 } }"},
        {false, "retention: { a: { daily: 10000000 } }"},
        {false, "retention: { a: { daily: '7' } }"},
        {true, "scenarios: { a: { probability: low } }"},
        {false, "scenarios: { a: { probability: likely } }"},
        {true, "runbooks: { r: { steps: { s: { manual: go } } } }"},
        {true,
         "runbooks: { r: { steps: { s: { manual: { text: go }, retries: 3, approve: 2 of [a, b] } "
         "} } }"},
        {false, "runbooks: { r: {} }"},
        {false, "runbooks: { r: { steps: { s: {} } } }"},
        {false, "runbooks: { r: { steps: { s: { manual: go, verify: a } } } }"},
        {false, "runbooks: { r: { steps: { s: { manual: 5 } } } }"},
        {false, "runbooks: { r: { steps: { s: { manual: { text: go, more: x } } } } }"},
        {false, "runbooks: { r: { steps: { s: { notify: ann } } } }"},
        {true, "runbooks: { r: { steps: { s: { command: [sleep, 5, true] } } } }"},
        {true,
         "runbooks: { r: { steps: { s: { command: { argv: ls, environment: { A.B: 1 } } } } } }"},
        {false, "runbooks: { r: { steps: { s: { command: { argv: [[ls]] } } } } }"},
        {false, "runbooks: { r: { steps: { s: { command: { argv: ls, directory: here } } } } }"},
        {true,
         "runbooks: { r: { steps: { s: { command: { argv: ls, directory: '${here}' } } } } }"},
        {true,
         "runbooks: { r: { steps: { s: { postgres.restore: { dataset: a, timeline: '${t}' } } } } "
         "}"},
        {false,
         "runbooks: { r: { steps: { s: { postgres.restore: { dataset: a, timeline: x } } } } }"},
        {true, "runbooks: { r: { steps: { s: { manual: x, approve: [a, b] } } } }"},
        {true, "runbooks: { r: { steps: { s: { manual: x, approve: { teams: a } } } } }"},
        {false,
         "runbooks: { r: { steps: { s: { manual: x, approve: { count: 0, teams: a } } } } }"},
        {false, "runbooks: { r: { steps: { s: { manual: x, approve: all of them } } } }"},
        {false, "runbooks: { r: { steps: { s: { manual: x, retries: { backoff: 1s } } } } }"},
        {true,
         "runbooks: { r: { parameters: { p: { default: '' } }, steps: { s: { manual: x } } } }"},
        {true,
         "drills: { d: { run: r, parameters: { a: 5, b: '' }, checks: [{ query: q, expect: 5 }] } "
         "}"},
        {false, "drills: { d: { run: r, checks: { query: q } } }"},
        {false, "drills: { d: { run: r, baseline: { errors: 1 } } }"},
        {true, "drills: { d: { run: [r], baseline: { latency: +20%, errors: 0.5% } } }"},
        {true, "after: { 24h: [a, { task: b, owner: c }], 1 month: [] }"},
        {false, "after: { soon: [a] }"},
        {false, "after: { 24h: a }"},
        {false, "after: { 24h: [{ owner: c }] }"},
        {false, "people: { a: { phone: +15550100 } }"},
        {true, "people: { a: { phone: '+15550100' } }"},
        {false, "people: { a: { mail: nobody } }"},
        {true,
         "communications: { c: { within: 1h, to: a, template: t, by: [mail, 'webhook:ops'] } }"},
        {false, "communications: { c: { within: 1h, to: a, template: t, by: [pigeon] } }"},
        {true, "limits: { memory: 1.5 GB }"},
        {false, "limits: { memory: 1.5 }"},
        {true, "review: { last: 2026-11-22 }"},
        {false, "review: { last: November }"},
    };
    for (auto const& item : kCases) {
        auto text = fmt::format("holdfast: 1\nname: x\n{}\n", item.text);
        if (text.find("approve: 2 of [") != std::string::npos) {
            text.replace(text.find("2 of [a, b]"), 11, "'2 of [a, b]'");
        }
        auto document = document_of(text);
        std::string why;
        EXPECT_EQ(parser_accepts(document, &why), item.good) << text << why;
        EXPECT_EQ(schema_accepts(to_value(document)), item.good) << text << why;
    }
    EXPECT_FALSE(schema_accepts(to_value(document_of("name: x"))));
    EXPECT_FALSE(schema_accepts(to_value(document_of("holdfast: 2\nname: x"))));
}

// Changes one place of the document at random.
void mutate(Node& node, std::mt19937& random) {
    auto pick = [&](std::size_t count) {
        return std::uniform_int_distribution<std::size_t>(0, count - 1)(random);
    };
    auto stop = pick(4) == 0;
    if (!stop && !node.items.empty())
        return mutate(node.items[pick(node.items.size())], random);
    if (!stop && !node.members.empty())
        return mutate(node.members[pick(node.members.size())].value, random);
    static constexpr std::string_view kTexts[] = {
        "5",  "true", "a",   "1h",   "/a",  "",        "x y",         "${p}",
        "-1", "1%",   "2.5", "mail", "a@b", "file:/x", "https://x/y", "3 of a"};
    switch (pick(6)) {
        case 0:
            node = Node{.kind = Node::Kind::scalar,
                        .text = std::string(kTexts[pick(std::size(kTexts))]),
                        .plain = true};
            break;
        case 1:
            node = Node{.kind = Node::Kind::scalar,
                        .text = std::string(kTexts[pick(std::size(kTexts))])};
            break;
        case 2:
            node = Node{.kind = Node::Kind::list, .items = {node}};
            break;
        case 3:
            node = Node{.kind = Node::Kind::map};
            break;
        case 4:
            if (!node.members.empty())
                node.members.erase(node.members.begin() +
                                   static_cast<long>(pick(node.members.size())));
            break;
        case 5:
            if (!node.members.empty())
                node.members[pick(node.members.size())].name += pick(2) ? "x" : ".";
            break;
    }
    if (node.kind == Node::Kind::scalar && node.plain && node.text.empty())
        node = Node{};
}

TEST(Schema, AgreesWithTheParserOnMutationsOfTheExample) {
    auto document = document_of(example());
    ASSERT_TRUE(parser_accepts(document));
    ASSERT_TRUE(schema_accepts(to_value(document)));
    std::mt19937 random(20261122);
    int good = 0, bad = 0;
    for (int round = 0; round < 250; ++round) {
        auto changed = document;
        mutate(changed, random);
        std::string why;
        bool accepted = parser_accepts(changed, &why);
        ASSERT_EQ(schema_accepts(to_value(changed)), accepted) << "round " << round << "\n"
                                                               << why << to_json(to_value(changed));
        ++(accepted ? good : bad);
    }
    EXPECT_GT(good, 20);
    EXPECT_GT(bad, 100);
}

TEST(Docs, ExamplesAreOfTheRightForm) {
    auto bytes = read_file(HOLDFAST_SOURCE "/docs/plan-file.md", 1 << 20);
    ASSERT_TRUE(bytes);
    auto docs = as_text(*bytes);
    static constexpr std::string_view kBegin = "```yaml\n", kEnd = "```";
    int blocks = 0;
    for (auto at = docs.find(kBegin); at != std::string_view::npos; at = docs.find(kBegin, at)) {
        at += kBegin.size();
        auto block = std::string(docs.substr(at, docs.find(kEnd, at) - at));
        if (block.find("holdfast: 1") == std::string::npos)
            block = "holdfast: 1\nname: x\n" + block;
        auto document = document_of(block);
        std::string why;
        EXPECT_TRUE(parser_accepts(document, &why)) << block << why;
        EXPECT_TRUE(schema_accepts(to_value(document))) << block;
        ++blocks;
    }
    EXPECT_GT(blocks, 10);
}

TEST(Example, IsTheFile) {
    auto bytes =
        read_file(HOLDFAST_SOURCE "/examples/spikeformer/holdfast.yaml", kDocumentBytesMax);
    ASSERT_TRUE(bytes);
    EXPECT_EQ(example(), as_text(*bytes));
}

TEST(PlanJson, IsAPlan) {
    auto loaded = parse(std::string(example()), "p");
    ASSERT_TRUE(loaded.ok()) << render(loaded.faults);
    auto json = to_json(loaded.plan);
    EXPECT_TRUE(schema_accepts(*value_from_json(json)));
    auto again = parse(json, "p");
    EXPECT_TRUE(again.ok()) << render(again.faults);
    EXPECT_EQ(to_json(again.plan), json) << "nothing is lost on the way";
}

}  // namespace
}  // namespace holdfast::plan
