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

constexpr bool kYes = true, kNo = false;

// name, what it does, runs in this version, idempotent, arguments
std::vector<StepKind> make_kinds() {
    return {
        {"restore", "Restores a dataset of any kind.", kYes, kYes, restore()},
        {"files.restore", "Restores files: writes only what differs.", kYes, kYes, restore()},
        {"models.restore", "Restores model files and validates them.", kYes, kYes, restore()},
        {"postgres.restore", "Restores a database cluster into a data directory.", kYes, kYes,
         restore(
             {optional("timeline", T::integer, "The timeline to follow; without it, the newest."),
              optional("start", T::boolean,
                       "Start it, on a Unix socket alone, until the run ends.")})},
        {"verify",
         "Reads a dataset's recovery point in full and checks it.",
         kYes,
         kYes,
         {optional("dataset", T::dataset, "The dataset whose newest point is read."),
          optional("point", T::text, "The recovery point.")}},
        {"sql.check",
         "Asks a database and checks the answer.",
         kYes,
         kYes,
         {required("query", T::text, "A query whose first value is looked at."),
          optional("on", T::step, "The step that restored the database."),
          optional("connect", T::text, "Or a libpq connection string, without password."),
          optional("database", T::text, "The database of the cluster."),
          optional("expect", T::scalar, "What the value must be: `> 0`, `0..5`, `= 12` or a text."),
          optional("fresh_within", T::duration, "The value is a time at most so long ago.")}},
        {"command",
         "Runs a program, without a shell.",
         kYes,
         kNo,
         {required("argv", T::texts, "The program and its arguments."),
          optional("directory", T::path, "Where it runs."),
          optional("environment", T::map, "Variables beside PATH, HOME, LANG and TZ.")}},
        {"manual",
         "Asks a person to do something, and waits for the answer.",
         kYes,
         kNo,
         {required("text", T::text, "What is to be done.")}},
        {"notify",
         "Tells people by mail.",
         kYes,
         kNo,
         {required("to", T::people, "People and teams."),
          required("subject", T::text, "The subject line."),
          required("text", T::text, "The message.")}},

        {"service.probe",
         "Waits until a service's probe succeeds.",
         kNo,
         kYes,
         {required("service", T::service, "The service."),
          optional("within", T::duration, "How long it may take.")}},
        {"http.check",
         "Asks a URL and checks the answer.",
         kNo,
         kYes,
         {required("url", T::text, "The URL."), optional("body", T::text, "What is sent to it."),
          optional("expect", T::scalar, "What the answer must be."),
          optional("within", T::duration, "How long it may take.")}},
        {"postgres.promote",
         "Ends recovery: the standby becomes a primary.",
         kNo,
         kYes,
         {required("on", T::step, "The step that restored it.")}},
        {"models.scan",
         "Looks for code in model files.",
         kNo,
         kYes,
         {required("dataset", T::dataset, "The models."),
          optional("into", T::text, "Where they were restored to.")}},
        {"kubernetes.scale", "Sets the number of replicas.", kNo, kYes,
         workload({required("replicas", T::scalar, "A number, or `remembered`."),
                   optional("remember", T::boolean, "Keep the number of now for later.")})},
        {"kubernetes.patch",
         "Changes values of a config map or secret.",
         kNo,
         kYes,
         {optional("configmap", T::text, "The config map."),
          optional("secret", T::text, "Or the secret."),
          optional("namespace", T::text, "Its namespace."),
          optional("context", T::text, "The context of the kubeconfig."),
          required("set", T::map, "The values.")}},
        {"kubernetes.image", "Sets the image of a container, by digest.", kNo, kYes,
         workload({required("container", T::text, "The container."),
                   required("image", T::text, "The image: name@sha256:...")})},
        {"kubernetes.restart", "Restarts a workload.", kNo, kYes, workload({})},
        {"kubernetes.apply",
         "Applies manifests.",
         kNo,
         kYes,
         {required("path", T::path, "A file or directory."),
          optional("namespace", T::text, "The namespace."),
          optional("context", T::text, "The context of the kubeconfig.")}},
        {"kubernetes.restore", "Restores the objects of a cluster.", kNo, kYes,
         restore({optional("namespaces", T::texts, "Only these.")})},
        {"firewall.isolate",
         "Cuts hosts off, in both address families.",
         kNo,
         kYes,
         {required("addresses", T::texts, "The addresses or networks."),
          optional("allow", T::texts, "Who still gets through."),
          optional("for", T::duration, "Taken back by itself after this time.")}},
        {"firewall.release",
         "Takes an isolation back.",
         kNo,
         kYes,
         {required("of", T::step, "The step that isolated.")}},
        {"evidence.preserve",
         "Keeps evidence before anything is changed.",
         kNo,
         kYes,
         {required("paths", T::texts, "What is kept."), optional("repository", T::text, "Where.")}},
        {"credentials.revoke",
         "Disables accounts with their tokens, keys and certificates.",
         kNo,
         kYes,
         {required("accounts", T::texts, "The accounts.")}},
        {"credentials.rotate",
         "Makes new credentials, and proves that the old ones are refused.",
         kNo,
         kNo,
         {required("dataset", T::dataset, "The credentials."),
          optional("only", T::texts, "Not all of them.")}},
        {"hardware.drain",
         "Takes the work off boards.",
         kNo,
         kYes,
         {required("dataset", T::dataset, "The boards.")}},
        {"hardware.reset",
         "Initialises boards anew.",
         kNo,
         kNo,
         {required("dataset", T::dataset, "The boards.")}},
        {"hardware.test",
         "Tests boards.",
         kNo,
         kYes,
         {required("dataset", T::dataset, "The boards.")}},
        {"hardware.resume",
         "Gives boards their work back.",
         kNo,
         kYes,
         {required("dataset", T::dataset, "The boards.")}},
    };
}

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
