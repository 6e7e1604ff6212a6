#include "drill/evidence_json.h"

#include <algorithm>
#include <type_traits>

#include <nlohmann/json.hpp>

#include "base/text.h"

namespace holdfast::drill {
namespace {

using Json = nlohmann::json;  // its members are sorted by name
constexpr int kFormat = 1;
constexpr int kDepthMax = 16;
constexpr std::string_view kAlgorithm = "ed25519";

// -- Writing

// Text as JSON can hold it: anything that is not UTF-8 or holds control characters becomes printable.
std::string clean(std::string_view text) {
    auto const control = [](unsigned char c) {
        return (c < 0x20 && c != '\n' && c != '\t') || c == 0x7f;
    };
    if (is_utf8(text) && std::ranges::none_of(text, control)) return std::string(text);
    return printable(text);
}

Json duration(std::optional<Duration> value) {
    if (!value) return nullptr;
    return std::chrono::duration_cast<std::chrono::milliseconds>(*value).count();
}
Json time(std::optional<Time> value) { return value ? Json(to_rfc3339(*value)) : Json(nullptr); }

Json texts(std::vector<std::string> const& values) {
    auto list = Json::array();
    for (auto const& value : values) list.push_back(clean(value));
    return list;
}

template <typename T>
Json list_of(std::vector<T> const& values, Json (*to_json)(T const&)) {
    auto list = Json::array();
    for (auto const& value : values) list.push_back(to_json(value));
    return list;
}

Json of_setting(Setting const& setting) {
    return {{"name", clean(setting.name)}, {"value", clean(setting.value)}};
}

Json of_dataset(DatasetEvidence const& dataset) {
    return {
        {"dataset", clean(dataset.dataset)},
        {"kind", clean(dataset.kind)},
        {"tier", clean(dataset.tier)},
        {"repository", clean(dataset.repository)},
        {"point", clean(dataset.point)},
        {"point_time", time(dataset.point_time)},
        {"lsn", clean(dataset.lsn)},
        {"timeline", clean(dataset.timeline)},
        {"rpo_objective_ms", duration(dataset.rpo_objective)},
        {"rpo_achieved_ms", duration(dataset.rpo_achieved)},
        {"newest", time(dataset.newest)},
        {"newest_from", clean(dataset.newest_from)},
        {"files", dataset.files},
        {"bytes", dataset.bytes},
        {"files_compared", dataset.files_compared},
        {"rows_compared", dataset.rows_compared},
        {"differences", dataset.differences},
        {"verified", dataset.verified},
        {"reason", clean(dataset.reason)},
    };
}

Json of_service(ServiceEvidence const& service) {
    return {
        {"service", clean(service.service)},
        {"tier", clean(service.tier)},
        {"rto_objective_ms", duration(service.rto_objective)},
        {"rto_from_outage_ms", duration(service.rto_from_outage)},
        {"rto_from_declaration_ms", duration(service.rto_from_declaration)},
        {"missing", texts(service.missing)},
    };
}

Json of_step(StepEvidence const& step) {
    return {
        {"runbook", clean(step.runbook)}, {"name", clean(step.name)},
        {"kind", clean(step.kind)},       {"started", time(step.started)},
        {"ended", time(step.ended)},      {"outcome", to_text(step.outcome)},
        {"attempts", step.attempts},      {"detail", clean(step.detail)},
    };
}

Json of_check(CheckEvidence const& check) {
    return {
        {"dataset", clean(check.dataset)}, {"name", clean(check.name)},
        {"expected", clean(check.expected)}, {"actual", clean(check.actual)},
        {"verdict", to_text(check.verdict)},
    };
}

Json of_clean_up(CleanUpEvidence const& statement) {
    return {{"what", clean(statement.what)},
            {"holds", statement.holds},
            {"detail", clean(statement.detail)}};
}

Json of_journal(JournalEvidence const& journal) {
    return {{"run", clean(journal.run)}, {"records", journal.records}, {"sha256", clean(journal.sha256)}};
}

Json of_reason(Reason const& reason) {
    auto const missed = reason.kind == ErrorKind::objective_missed;
    return {{"kind", name(missed ? ErrorKind::objective_missed : ErrorKind::check_failed)},
            {"text", clean(reason.text)}};
}

Json of_evidence(Evidence const& evidence) {
    Json json = {
        {"format", kFormat},
        {"kind", to_text(evidence.kind)},
        {"name", clean(evidence.name)},
        {"run", clean(evidence.run)},
        {"runbooks", texts(evidence.runbooks)},
        {"parameters", list_of(evidence.parameters, of_setting)},
        {"isolated", evidence.isolated},
        {"place", clean(evidence.place)},
        {"plan",
         {{"name", clean(evidence.plan_name)},
          {"file", clean(evidence.plan_file)},
          {"sha256", clean(evidence.plan_sha256)}}},
        {"tool", {{"name", "holdfast"}, {"version", clean(evidence.tool_version)}}},
        {"host", {{"name", clean(evidence.host)}, {"system", clean(evidence.system)}}},
        {"postgres_version", clean(evidence.postgres_version)},
        {"outage", time(evidence.outage)},
        {"declared", time(evidence.declared)},
        {"started", time(evidence.started)},
        {"ended", time(evidence.ended)},
        {"datasets", list_of(evidence.datasets, of_dataset)},
        {"services", list_of(evidence.services, of_service)},
        {"steps", list_of(evidence.steps, of_step)},
        {"checks", list_of(evidence.checks, of_check)},
        {"clean_up", list_of(evidence.clean_up, of_clean_up)},
        {"notes", texts(evidence.notes)},
        {"reasons", list_of(evidence.reasons, of_reason)},
        {"result", evidence.proven ? "proven" : "not proven"},
        {"sequence", evidence.sequence},
        {"previous", clean(evidence.previous)},
        {"signer", {{"bundle", clean(evidence.signer)}, {"label", clean(evidence.signer_label)}}},
    };
    // Evidence that was made before there were any has none: it keeps its spelling.
    if (!evidence.journals.empty()) json["journals"] = list_of(evidence.journals, of_journal);
    return json;
}

// -- Reading

// Reads members of one object; what is missing or of another type makes ok() false for good.
class Reader {
  public:
    Reader(Json const& object, bool& ok) : object_(object), ok_(ok) {
        if (!object.is_object()) ok_ = false;
    }

    std::string text(char const* key) const {
        auto const* value = find(key);
        return value && value->is_string() ? value->get_ref<std::string const&>() : wrong<std::string>();
    }
    std::uint64_t number(char const* key) const {
        auto const* value = find(key);
        return value && value->is_number_unsigned() ? value->get<std::uint64_t>() : wrong<std::uint64_t>();
    }
    bool boolean(char const* key) const {
        auto const* value = find(key);
        return value && value->is_boolean() ? value->get<bool>() : wrong<bool>();
    }
    Time time(char const* key) const {
        auto parsed = parse_rfc3339(text(key));
        return parsed ? *parsed : wrong<Time>();
    }
    std::optional<Time> maybe_time(char const* key) const {
        auto const* value = find(key);
        if (value && value->is_null()) return std::nullopt;
        return time(key);
    }
    std::optional<Duration> duration(char const* key) const {
        constexpr std::int64_t max = std::chrono::duration_cast<std::chrono::milliseconds>(Duration::max()).count();
        auto const* value = find(key);
        if (value && value->is_null()) return std::nullopt;
        auto const ms = number(key);
        if (ms > static_cast<std::uint64_t>(max)) return wrong<Duration>();
        return std::chrono::milliseconds(static_cast<std::int64_t>(ms));
    }
    std::vector<std::string> texts(char const* key) const {
        std::vector<std::string> result;
        for (auto const& item : items(key)) {
            if (!item.is_string()) return wrong<std::vector<std::string>>();
            result.push_back(item.get_ref<std::string const&>());
        }
        return result;
    }
    template <typename T>
    std::vector<T> list(char const* key, T (*read)(Reader const&)) const {
        std::vector<T> result;
        for (auto const& item : items(key)) result.push_back(read(Reader(item, ok_)));
        return result;
    }
    Reader object(char const* key) const {
        static Json const none;
        auto const* value = find(key);
        return Reader(value ? *value : none, ok_);
    }
    bool has(char const* key) const { return find(key) != nullptr; }
    // One of the words that an enumeration has.
    template <typename E, std::size_t N>
    E word(char const* key, E const (&values)[N]) const {
        auto const written = text(key);
        for (auto value : values) {
            if (to_text(value) == written) return value;
        }
        return wrong<E>();
    }

  private:
    template <typename T>
    T wrong() const {
        ok_ = false;
        return T{};
    }
    Json const* find(char const* key) const {
        if (!object_.is_object()) return nullptr;
        auto found = object_.find(key);
        return found == object_.end() ? nullptr : &*found;
    }
    Json const& items(char const* key) const {
        static Json const none = Json::array();
        auto const* value = find(key);
        if (value && value->is_array()) return *value;
        ok_ = false;
        return none;
    }

    Json const& object_;
    bool& ok_;
};

Setting to_setting(Reader const& in) { return {in.text("name"), in.text("value")}; }

DatasetEvidence to_dataset(Reader const& in) {
    return {
        .dataset = in.text("dataset"),
        .kind = in.text("kind"),
        .tier = in.text("tier"),
        .repository = in.text("repository"),
        .point = in.text("point"),
        .point_time = in.time("point_time"),
        .lsn = in.text("lsn"),
        .timeline = in.text("timeline"),
        .rpo_objective = in.duration("rpo_objective_ms"),
        .newest = in.maybe_time("newest"),
        .newest_from = in.text("newest_from"),
        .rpo_achieved = in.duration("rpo_achieved_ms"),
        .files = in.number("files"),
        .bytes = in.number("bytes"),
        .files_compared = in.number("files_compared"),
        .rows_compared = in.number("rows_compared"),
        .differences = in.number("differences"),
        .verified = in.boolean("verified"),
        .reason = in.text("reason"),
    };
}

ServiceEvidence to_service(Reader const& in) {
    return {
        .service = in.text("service"),
        .tier = in.text("tier"),
        .rto_objective = in.duration("rto_objective_ms"),
        .rto_from_outage = in.duration("rto_from_outage_ms"),
        .rto_from_declaration = in.duration("rto_from_declaration_ms"),
        .missing = in.texts("missing"),
    };
}

StepEvidence to_step(Reader const& in) {
    return {
        .runbook = in.text("runbook"),
        .name = in.text("name"),
        .kind = in.text("kind"),
        .started = in.maybe_time("started"),
        .ended = in.maybe_time("ended"),
        .outcome = in.word("outcome", {StepOutcome::done, StepOutcome::failed, StepOutcome::skipped,
                                       StepOutcome::not_run}),
        .attempts = static_cast<std::uint32_t>(in.number("attempts")),
        .detail = in.text("detail"),
    };
}

CheckEvidence to_check(Reader const& in) {
    return {
        .dataset = in.text("dataset"),
        .name = in.text("name"),
        .expected = in.text("expected"),
        .actual = in.text("actual"),
        .verdict = in.word("verdict",
                           {CheckVerdict::passed, CheckVerdict::failed, CheckVerdict::not_run}),
    };
}

CleanUpEvidence to_clean_up(Reader const& in) {
    return {in.text("what"), in.boolean("holds"), in.text("detail")};
}

JournalEvidence to_journal(Reader const& in) { return {in.text("run"), in.number("records"), in.text("sha256")}; }

Reason to_reason(Reader const& in) {
    auto const missed = in.text("kind") == name(ErrorKind::objective_missed);
    return {missed ? ErrorKind::objective_missed : ErrorKind::check_failed, in.text("text")};
}

Evidence to_evidence(Reader const& in) {
    Evidence evidence;
    evidence.kind = in.word("kind", {EvidenceKind::drill, EvidenceKind::recovery});
    evidence.name = in.text("name");
    evidence.run = in.text("run");
    evidence.runbooks = in.texts("runbooks");
    evidence.parameters = in.list("parameters", to_setting);
    evidence.isolated = in.boolean("isolated");
    evidence.place = in.text("place");
    evidence.plan_name = in.object("plan").text("name");
    evidence.plan_file = in.object("plan").text("file");
    evidence.plan_sha256 = in.object("plan").text("sha256");
    evidence.tool_version = in.object("tool").text("version");
    evidence.host = in.object("host").text("name");
    evidence.system = in.object("host").text("system");
    evidence.postgres_version = in.text("postgres_version");
    evidence.outage = in.time("outage");
    evidence.declared = in.time("declared");
    evidence.started = in.time("started");
    evidence.ended = in.time("ended");
    evidence.datasets = in.list("datasets", to_dataset);
    evidence.services = in.list("services", to_service);
    evidence.steps = in.list("steps", to_step);
    evidence.checks = in.list("checks", to_check);
    evidence.clean_up = in.list("clean_up", to_clean_up);
    if (in.has("journals")) evidence.journals = in.list("journals", to_journal);
    evidence.notes = in.texts("notes");
    evidence.reasons = in.list("reasons", to_reason);
    evidence.proven = in.text("result") == "proven";
    evidence.sequence = in.number("sequence");
    evidence.previous = in.text("previous");
    evidence.signer = in.object("signer").text("bundle");
    evidence.signer_label = in.object("signer").text("label");
    return evidence;
}

// The parser builds what it reads without recursion, but writing and destroying it are recursive.
bool is_too_deep(std::string_view text) {
    int depth = 0;
    bool quoted = false;
    for (std::size_t i = 0; i < text.size(); ++i) {
        auto const c = text[i];
        if (quoted) {
            if (c == '\\') ++i;
            if (c == '"') quoted = false;
        } else if (c == '"') {
            quoted = true;
        } else if (c == '{' || c == '[') {
            if (++depth > kDepthMax) return true;
        } else if (c == '}' || c == ']') {
            --depth;
        }
    }
    return false;
}

template <std::size_t N>
bool read_hex(std::string const& text, std::array<std::uint8_t, N>& into) {
    auto bytes = from_hex(text);
    if (!bytes || bytes->size() != N) return false;
    std::ranges::copy(*bytes, into.begin());
    return true;
}

std::string compact(Json const& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }
std::string indented(Json const& json) {
    return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace

std::string canonical_json(Evidence const& evidence) { return compact(of_evidence(evidence)); }

std::string evidence_file_text(Evidence const& evidence, EvidenceSignature const& signature) {
    return indented({{"evidence", of_evidence(evidence)},
                     {"signature",
                      {{"algorithm", kAlgorithm},
                       {"key", to_hex(signature.key)},
                       {"value", to_hex(signature.value)}}}});
}

Result<ParsedEvidence> parse_evidence_file(std::string_view text) {
    auto const refused = [] { return fail(ErrorKind::damaged, "not an evidence file as it was written"); };
    if (is_too_deep(text)) return refused();
    auto const json = Json::parse(text, nullptr, false);
    if (json.is_discarded() || !json.is_object()) return refused();
    bool ok = true;
    Reader const file(json, ok);
    auto const signature = file.object("signature");
    ParsedEvidence parsed;
    auto const format = file.object("evidence").number("format");
    if (ok && format > kFormat) {
        return fail(ErrorKind::usage, "written by a newer version of holdfast",
                    "verify it with that version or a later one");
    }
    parsed.evidence = to_evidence(file.object("evidence"));
    ok = ok && signature.text("algorithm") == kAlgorithm &&
         read_hex(signature.text("key"), parsed.signature.key) &&
         read_hex(signature.text("value"), parsed.signature.value);
    if (!ok) return refused();
    // One evidence has one spelling: what is signed is then exactly what is shown.
    parsed.signed_bytes = canonical_json(parsed.evidence);
    if (evidence_file_text(parsed.evidence, parsed.signature) != text) return refused();
    return parsed;
}

}  // namespace holdfast::drill
