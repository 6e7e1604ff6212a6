#include "catalog/catalog.h"

#include <cassert>
#include <cerrno>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include "catalog/migrations.h"
#include "catalog/state.h"
#include "os/fd.h"

namespace holdfast::catalog {
namespace {

namespace fs = std::filesystem;

// Up to this size the whole structure is checked whenever the file is opened: about 1 ms a MiB.
constexpr std::uintmax_t kCheckedAtOpenBytesMax = 16 << 20;

Result<fs::path> whole_path(fs::path const& path) {
    std::error_code error;
    auto whole = fs::absolute(path, error);
    if (error)
        return fail(errno_error(fmt::format("catalog '{}'", path.string()), error.value()));
    return whole;
}

Result<void> make_directory(fs::path const& directory) {
    if (directory.empty())
        return {};
    std::error_code error;
    if (fs::exists(directory, error))
        return {};
    TRY(make_directory(directory.parent_path()));
    if (::mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST) {
        return fail(errno_error(fmt::format("make directory '{}'", directory.string()), errno));
    }
    return {};
}

Result<void> check_structure(Database& database) {
    auto statement = TRY(database.prepare("PRAGMA integrity_check(1)"));
    bool found = TRY(statement.next());
    auto verdict = found ? statement.text() : "no answer";
    if (verdict == "ok")
        return {};
    Error error{
        ErrorKind::damaged, fmt::format("catalog '{}': {}", database.path().string(), verdict),
        "no backup and no restore needs this file: move it away together with its -wal, and "
        "the next command builds a new one from the repositories"};
    return fail(std::move(error));
}

Result<void> write_file(fs::path const& path, ByteView bytes) {
    auto what = fmt::format("write '{}'", path.string());
    Fd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (!file)
        return fail(errno_error(what, errno));
    while (!bytes.empty()) {
        auto written = ::write(file.get(), bytes.data(), bytes.size());
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return fail(errno_error(what, errno));
        bytes = bytes.subspan(static_cast<std::size_t>(written));
    }
    return {};
}

void remove_database(fs::path const& path) {
    for (auto suffix : {"", "-wal", "-shm", "-journal"})
        ::unlink((path.string() + suffix).c_str());
}

Result<void> sync(fs::path const& path) {
    Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!file || ::fsync(file.get()) != 0) {
        return fail(errno_error(fmt::format("sync '{}'", path.string()), errno));
    }
    return {};
}

// Makes a sound, current database file of the snapshot at `path`, closed again.
Result<void> prepare_snapshot(fs::path const& path, ByteView snapshot, Clock& clock) {
    TRY(write_file(path, snapshot));
    auto database = TRY(Database::open(path));
    TRY(check_structure(database));
    TRY(migrate(database, migrations(), clock));
    // Its processes belong to another time, maybe to another machine.
    TRY(database.execute(
        "UPDATE runs SET outcome = 'interrupted' WHERE outcome = 'running';"
        "UPDATE last_runs SET outcome = 'interrupted' WHERE outcome = 'running';"));
    return database.execute("PRAGMA wal_checkpoint(TRUNCATE)");
}

}  // namespace

Catalog::Catalog(std::unique_ptr<State> state) : state_(std::move(state)) {}
Catalog::Catalog(Catalog&&) noexcept = default;
Catalog& Catalog::operator=(Catalog&&) noexcept = default;
Catalog::~Catalog() = default;

Result<Catalog> Catalog::open(fs::path const& given, Clock& clock) {
    auto path = TRY(whole_path(given));
    TRY(make_directory(path.parent_path()));
    auto database = TRY(Database::open(path));
    std::error_code error;
    auto size = fs::file_size(path, error);
    if (!error && size > 0 && size <= kCheckedAtOpenBytesMax)
        TRY(check_structure(database));
    TRY(migrate(database, migrations(), clock));
    return Catalog(std::make_unique<State>(std::move(database), clock));
}

fs::path const& Catalog::path() const {
    return state_->database.path();
}

Result<void> Catalog::check() {
    std::lock_guard lock(state_->mutex);
    return check_structure(state_->database);
}

Result<Bytes> Catalog::snapshot() {
    std::lock_guard lock(state_->mutex);
    // Held while the pages are read, so that they are of one moment.
    auto transaction = TRY(Transaction::begin(state_->database));
    return state_->database.serialize();
}

Result<void> Catalog::install(fs::path const& given, ByteView snapshot, Clock& clock) {
    auto path = TRY(whole_path(given));
    auto what = fmt::format("install catalog '{}'", path.string());
    TRY(make_directory(path.parent_path()));
    // A fixed name: what a crash left behind is cleared away by the next attempt.
    fs::path staged = path.string() + ".installing";
    remove_database(staged);
    auto prepared = prepare_snapshot(staged, snapshot, clock);
    if (prepared.has_value())
        prepared = sync(staged);
    if (prepared.has_value() && ::link(staged.c_str(), path.c_str()) != 0) {
        prepared = fail(errno_error("publish", errno));
    }
    remove_database(staged);
    TRY(std::move(prepared).within(what));
    return sync(path.parent_path());
}

}  // namespace holdfast::catalog
