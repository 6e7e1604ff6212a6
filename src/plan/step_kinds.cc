#include "plan/step_kinds.h"

#include <algorithm>

namespace holdfast::plan {
namespace {

using T = ArgumentType;

Argument required(std::string_view name, T type, std::string_view description) {
    return {name, type, true, description};
}
Argument optional(std::string_view name, T type, std::string_view description) {
    return {name, type, false, description};
}

// What every restore takes, and what this one takes besides.
std::vector<Argument> restore(std::vector<Argument> more = {}) {
    std::vector<Argument> arguments = {
        required("dataset", T::dataset, "What is restored."),
        optional("to", T::scalar, "A moment, `latest` (the default), or a recovery point."),
        optional("into", T::text,
                 "The directory that receives it; without it, where it came from."),
        optional("repository", T::text,
                 "The repository it is read from; without it, the first that answers."),
        optional("special_bits", T::boolean,
                 "Also set setuid and setgid bits and capabilities of files."),
    };
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
}

std::vector<std::string_view> restore_outputs(std::vector<std::string_view> more = {}) {
    std::vector<std::string_view> outputs = {"dataset", "kind",    "target",     "point",
                                             "time",    "lsn",     "repository", "files",
                                             "bytes",   "verified"};
    outputs.insert(outputs.end(), more.begin(), more.end());
    return outputs;
}

std::vector<Argument> workload(std::vector<Argument> more) {
    std::vector<Argument> arguments = {
        optional("deployment", T::text, "The deployment."),
        optional("statefulset", T::text, "The stateful set."),
        optional("namespace", T::text, "Its namespace."),
        optional("context", T::text, "The context of the kubeconfig."),
    };
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
}

// Whether a step may be run again after a crash without asking.
enum class Again { freely, asks };
using Outputs = std::vector<std::string_view>;

StepKind now(std::string_view name, Again again, std::string_view description,
             std::vector<Argument> arguments, Outputs outputs = {}) {
    return {
        name, description, true, again == Again::freely, std::move(arguments), std::move(outputs)};
}
StepKind later(std::string_view name, Again again, std::string_view description,
               std::vector<Argument> arguments) {
    return {name, description, false, again == Again::freely, std::move(arguments)};
}

// clang-format off
std::vector<StepKind> make_kinds() {
    using enum Again;
    return {
        now("restore", freely, "Restores a dataset of any kind.", restore(), restore_outputs({"database", "socket"})),
        now("files.restore", freely, "Restores files: writes only what differs.", restore(), restore_outputs()),
        now("models.restore", freely, "Restores model files and validates them.", restore(), restore_outputs()),
        now("postgres.restore", freely, "Restores a database cluster into a data directory.", restore({
            optional("timeline", T::integer, "The timeline to follow; without it, the newest."),
            optional("start", T::boolean, "Start it, on a Unix socket alone, until the run ends."),
        }), restore_outputs({"database", "socket"})),
        now("verify", freely, "Reads a dataset's recovery point in full and checks it.", {
            optional("dataset", T::dataset, "The dataset whose newest point is read."),
            optional("point", T::text, "The recovery point."),
        }),
        now("sql.check", freely, "Asks a database and checks the answer.", {
            required("query", T::text, "A query whose first value is looked at."),
            optional("on", T::step, "The step that restored the database."),
            optional("connect", T::text, "Or a libpq connection string, without password."),
            optional("database", T::text, "The database of the cluster."),
            optional("expect", T::scalar, "What the value must be: `> 0`, `0..5`, `= 12` or a text."),
            optional("fresh_within", T::duration, "The value is a time at most so long ago."),
        }, {"value", "newest"}),
        now("command", asks, "Runs a program, without a shell.", {
            required("argv", T::texts, "The program and its arguments."),
            optional("directory", T::path, "Where it runs."),
            optional("environment", T::map, "Variables beside PATH, HOME, LANG and TZ."),
        }, {"exit_code"}),
        now("manual", asks, "Asks a person to do something, and waits for the answer.", {
            required("text", T::text, "What is to be done."),
        }),
        now("notify", asks, "Tells people by mail.", {
            required("to", T::people, "People and teams."),
            required("subject", T::text, "The subject line."),
            required("text", T::text, "The message."),
        }, {"recipients"}),

        later("service.probe", freely, "Waits until a service's probe succeeds.", {
            required("service", T::service, "The service."),
            optional("within", T::duration, "How long it may take."),
        }),
        later("http.check", freely, "Asks a URL and checks the answer.", {
            required("url", T::text, "The URL."),
            optional("body", T::text, "What is sent to it."),
            optional("expect", T::scalar, "What the answer must be."),
            optional("within", T::duration, "How long it may take."),
        }),
        later("postgres.promote", freely, "Ends recovery: the standby becomes a primary.", {
            required("on", T::step, "The step that restored it."),
        }),
        later("models.scan", freely, "Looks for code in model files.", {
            required("dataset", T::dataset, "The models."),
            optional("into", T::text, "Where they were restored to."),
        }),
        later("kubernetes.scale", freely, "Sets the number of replicas.", workload({
            required("replicas", T::scalar, "A number, or `remembered`."),
            optional("remember", T::boolean, "Keep the number of now for later."),
        })),
        later("kubernetes.patch", freely, "Changes values of a config map or secret.", {
            optional("configmap", T::text, "The config map."),
            optional("secret", T::text, "Or the secret."),
            optional("namespace", T::text, "Its namespace."),
            optional("context", T::text, "The context of the kubeconfig."),
            required("set", T::map, "The values."),
        }),
        later("kubernetes.image", freely, "Sets the image of a container, by digest.", workload({
            required("container", T::text, "The container."),
            required("image", T::text, "The image: name@sha256:..."),
        })),
        later("kubernetes.restart", freely, "Restarts a workload.", workload({})),
        later("kubernetes.apply", freely, "Applies manifests.", {
            required("path", T::path, "A file or directory."),
            optional("namespace", T::text, "The namespace."),
            optional("context", T::text, "The context of the kubeconfig."),
        }),
        later("kubernetes.restore", freely, "Restores the objects of a cluster.", restore({
            optional("namespaces", T::texts, "Only these."),
        })),
        later("firewall.isolate", freely, "Cuts hosts off, in both address families.", {
            required("addresses", T::texts, "The addresses or networks."),
            optional("allow", T::texts, "Who still gets through."),
            optional("for", T::duration, "Taken back by itself after this time."),
        }),
        later("firewall.release", freely, "Takes an isolation back.", {
            required("of", T::step, "The step that isolated."),
        }),
        later("evidence.preserve", freely, "Keeps evidence before anything is changed.", {
            required("paths", T::texts, "What is kept."),
            optional("repository", T::text, "Where."),
        }),
        later("credentials.revoke", freely, "Disables accounts with their tokens, keys and certificates.", {
            required("accounts", T::texts, "The accounts."),
        }),
        later("credentials.rotate", asks, "Makes new credentials, and proves that the old ones are refused.", {
            required("dataset", T::dataset, "The credentials."),
            optional("only", T::texts, "Not all of them."),
        }),
        later("hardware.drain", freely, "Takes the work off boards.", {
            required("dataset", T::dataset, "The boards."),
        }),
        later("hardware.reset", asks, "Initialises boards anew.", {
            required("dataset", T::dataset, "The boards."),
        }),
        later("hardware.test", freely, "Tests boards.", {
            required("dataset", T::dataset, "The boards."),
        }),
        later("hardware.resume", freely, "Gives boards their work back.", {
            required("dataset", T::dataset, "The boards."),
        }),
    };
}
// clang-format on

}  // namespace

Argument const* StepKind::find(std::string_view argument) const {
    auto found = std::find_if(arguments.begin(), arguments.end(),
                              [&](Argument const& known) { return known.name == argument; });
    return found == arguments.end() ? nullptr : &*found;
}

bool StepKind::short_form() const {
    return std::none_of(arguments.begin() + 1, arguments.end(),
                        [](Argument const& argument) { return argument.required; });
}

std::span<StepKind const> step_kinds() {
    static std::vector<StepKind> const kinds = make_kinds();
    return kinds;
}

StepKind const* find_step_kind(std::string_view name) {
    for (auto const& kind : step_kinds()) {
        if (kind.name == name)
            return &kind;
    }
    return nullptr;
}

}  // namespace holdfast::plan
