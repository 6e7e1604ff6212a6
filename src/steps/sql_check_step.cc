#include "steps/sql_check_step.h"

#include <fmt/format.h>

#include "base/text.h"
#include "base/units.h"
#include "sources/postgres/connection.h"
#include "sources/postgres/conninfo.h"
#include "steps/arguments.h"
#include "steps/sql_check.h"

namespace holdfast::steps {
namespace {

Result<SqlCheck> check_of(Value const& arguments) {
    SqlCheck check;
    check.query = TRY(required_text(arguments, "query"));
    check.expect = arguments.member_text("expect");
    check.fresh_within = TRY(duration(arguments, "fresh_within"));
    return check;
}

class SqlCheckStep : public runbook::Step {
  public:
    explicit SqlCheckStep(StepWorld const& world) : world_(world) {}

    bool idempotent() const override { return true; }

    Result<std::string> describe(Value const& arguments) const override {
        auto const check = TRY(check_of(arguments));
        std::string expected = check.expect;
        if (check.fresh_within) {
            expected += (expected.empty() ? "" : " and ") + std::string("at most ") +
                        format_duration(*check.fresh_within) + " old";
        }
        auto const on = arguments.member_text("on");
        auto const where = on.empty() ? "the server at '" + arguments.member_text("connect") + "'"
                                      : "the database that step '" + on + "' restored";
        auto const database = arguments.member_text("database");
        return fmt::format("ask {}{}: {}\nexpect {}", where, database.empty() ? "" : ", database " + database,
                           check.query, expected);
    }

    Result<void> preflight(Value const& arguments, std::stop_token) override {
        if (runbook::is_known(arguments)) {
            auto const check = TRY(check_of(arguments));
            TRY(check_form(check));
        }
        auto const connect = arguments.member_text("connect");
        if (connect.empty() == arguments.member_text("on").empty()) {
            return fail(ErrorKind::usage, "it needs either 'on' or 'connect'");
        }
        if (!connect.empty() && runbook::is_known(Value(connect))) {
            // A server that is restored first does not answer yet: only the form can be looked at.
            TRY(postgres::describe_conninfo(connect));
        }
        return {};
    }

    Result<runbook::StepResult> run(runbook::StepContext& context) override {
        auto const& arguments = context.arguments();
        auto const check = TRY(check_of(arguments));
        auto const answer = TRY(ask(context, check.query));
        auto const reference = world_.outage.value_or(context.clock().now());
        auto const verdict = TRY(judge_answer(check, answer, reference));

        Value checked;
        checked.set("expected", verdict.judgement.expected);
        checked.set("actual", verdict.judgement.actual);
        checked.set("holds", verdict.judgement.holds);
        if (verdict.newest) checked.set("newest", to_rfc3339(*verdict.newest));
        TRY(context.record_effect("checked", checked));
        if (!verdict.judgement.holds) {
            return fail(ErrorKind::check_failed,
                        fmt::format("'{}': expected {}, was {}", printable(check.query), verdict.judgement.expected,
                                    verdict.judgement.actual));
        }
        runbook::StepResult result;
        result.outputs.set("value", printable(verdict.value.substr(0, 1000)));
        if (verdict.newest) result.outputs.set("newest", to_rfc3339(*verdict.newest));
        result.summary = verdict.judgement.actual + ", expected " + verdict.judgement.expected;
        return result;
    }

  private:
    Result<AnswerRows> ask(runbook::StepContext& context, std::string const& query) {
        auto const& arguments = context.arguments();
        auto const on = arguments.member_text("on");
        if (!on.empty()) return ask_restored(context, on, query);
        if (world_.isolation) {
            return fail(ErrorKind::unsafe, "an isolated run asks only the databases that it restored",
                        "use 'on' with the step that restored it");
        }
        auto conninfo = TRY(required_text(arguments, "connect"));
        auto const database = arguments.member_text("database");
        if (!database.empty()) conninfo = TRY(postgres::with_database(conninfo, database));
        auto connection = TRY(postgres::Connection::connect(conninfo, {}, context.stop()));
        TRY(connection.query("set default_transaction_read_only = on", context.stop()));
        TRY(connection.query("set datestyle = iso", context.stop()));
        TRY(connection.query("set timezone = 'UTC'", context.stop()));
        auto rows = TRY(connection.query(query, context.stop()));
        return std::move(rows.rows);
    }

    Result<AnswerRows> ask_restored(runbook::StepContext& context, std::string const& on,
                                    std::string const& query) {
        auto const* outputs = context.outputs_of(on);
        auto const target = outputs ? outputs->member_text("target") : "";
        if (target.empty() || outputs->member_text("kind") != "postgres") {
            return fail(ErrorKind::usage, "step '" + on + "' restored no database");
        }
        auto const cluster = TRY(world_.clusters.use(target, context.stop()));
        auto database = context.arguments().member_text("database");
        if (database.empty()) database = outputs->member_text("database");
        return cluster->query(database, query, context.stop());
    }

    StepWorld world_;
};

}  // namespace

std::unique_ptr<runbook::Step> make_sql_check_step(StepWorld const& world) {
    return std::make_unique<SqlCheckStep>(world);
}

}  // namespace holdfast::steps
