#include "medium.h"

#include <fmt/format.h>

#include <set>

#include "os/simulated_file_system.h"
#include "store/local_store.h"

namespace holdfast::simulation {
namespace {

class Bucket : public Medium {
  public:
    Bucket(SimulatedObjects const& objects, Clock& clock, std::mt19937_64& random, Duration lag)
        : objects_(objects), clock_(clock), random_(random), lag_(lag), truth_(objects_, clock) {}

    Result<std::unique_ptr<Store>> connect(std::string const&, Clock&, BeforeStep before) override {
        auto store = std::make_unique<SimulatedStore>(objects_, clock_);
        store->before = [before = std::move(before)](std::uint64_t, SimulatedStore::Operation operation,
                                                     std::string_view key) {
            constexpr std::string_view verbs[] = {"put", "get", "list", "remove"};
            auto kind = static_cast<int>(operation);
            return before({static_cast<Step::Kind>(kind), verbs[kind], key});
        };
        store->lag = lag_;
        store->random = &random_;
        return std::unique_ptr<Store>(std::move(store));
    }
    Store& truth() override { return truth_; }
    void flip(std::string const& key, std::uint64_t offset, std::uint8_t mask) override {
        auto& object = objects_.objects.find(key)->second;
        auto bytes = *object.bytes;
        bytes[offset] ^= mask;
        object.bytes = std::make_shared<Bytes const>(std::move(bytes));
    }
    void set_room(std::optional<std::uint64_t> bytes) override {
        objects_.capacity = bytes ? objects_.bytes() + *bytes : UINT64_MAX;
    }

  private:
    SimulatedObjects objects_;
    Clock& clock_;
    std::mt19937_64& random_;
    Duration lag_;
    SimulatedStore truth_;
};

constexpr char const* kRoot = "/r";

class Directory : public Medium {
  public:
    Directory(SimulatedObjects const& objects, Clock& clock, std::mt19937_64& random)
        : random_(random), files_(random(), clock) {
        truth_ = LocalStore::open(kRoot, {.files = files_, .clock = clock, .owner = "truth", .create = true}).value();
        for (auto const& [key, object] : objects.objects) {
            (void)truth_->put(ObjectKey(key), *object.bytes, {}).value();
        }
        files_.set_short_io(random() % 2 == 0);
        files_.set_hook([this](std::uint64_t number, std::string const& what) { step(number, what); });
    }

    Result<std::unique_ptr<Store>> connect(std::string const& process, Clock& clock, BeforeStep before) override {
        auto store = std::make_unique<Watched>(*this, process, std::move(before));
        TRY(store->open(clock));
        return std::unique_ptr<Store>(std::move(store));
    }
    Store& truth() override { return *truth_; }
    void flip(std::string const& key, std::uint64_t offset, std::uint8_t mask) override {
        files_.flip(fmt::format("{}/{}", kRoot, key), offset, mask);
    }
    void set_room(std::optional<std::uint64_t> bytes) override {
        files_.set_capacity(bytes ? std::optional(used() + *bytes) : std::nullopt);
    }
    bool lose_power() override {
        auto some = [this] { return static_cast<Unsynced>(random_() % 3); };
        auto data = some();
        files_.lose_power({.data = data, .names = some()});
        return true;
    }
    std::uint64_t steps_per_operation() const override { return 6; }

  private:
    // One process's store: while it is at work, the steps are that process's.
    class Watched : public Store {
      public:
        Watched(Directory& directory, std::string process, BeforeStep before)
            : directory_(directory), process_(std::move(process)), before_(std::move(before)) {
            directory_.living_.insert(process_);
        }
        ~Watched() override { directory_.living_.erase(process_); }

        Result<void> open(Clock& clock) {
            return at_work([&]() -> Result<void> {
                inner_ = TRY(LocalStore::open(kRoot, {.files = directory_.files_,
                                                      .clock = clock,
                                                      .owner = process_,
                                                      .owner_may_live = [this](std::string_view owner) {
                                                          return directory_.living_.contains(owner);
                                                      }}));
                return {};
            });
        }
        using Store::put;
        Result<void> put(ObjectKey const& key, std::span<ByteView const> parts, std::stop_token stop) override {
            return at_work([&] { return inner_->put(key, parts, stop); });
        }
        Result<void> replace(ObjectKey const& key, ByteView bytes, std::stop_token stop) override {
            return at_work([&] { return inner_->replace(key, bytes, stop); });
        }
        Result<Bytes> get(ObjectKey const& key, std::stop_token stop) override {
            return at_work([&] { return inner_->get(key, stop); });
        }
        Result<Bytes> get_range(ObjectKey const& key, std::uint64_t offset, std::uint64_t length,
                                std::stop_token stop) override {
            return at_work([&] { return inner_->get_range(key, offset, length, stop); });
        }
        Result<void> read(ObjectKey const& key, std::uint64_t offset, ByteSpan to, std::stop_token stop) override {
            return at_work([&] { return inner_->read(key, offset, to, stop); });
        }
        Result<ObjectInfo> head(ObjectKey const& key, std::stop_token stop) override {
            return at_work([&] { return inner_->head(key, stop); });
        }
        Result<void> list(std::string_view prefix, std::function<Result<void>(ObjectInfo const&)> const& visit,
                          std::stop_token stop) override {
            return at_work([&] { return inner_->list(prefix, visit, stop); });
        }
        Result<void> remove(ObjectKey const& key, std::stop_token stop) override {
            return at_work([&] { return inner_->remove(key, stop); });
        }
        bool room_ends() const override { return true; }
        std::string describe() const override { return "simulated directory"; }

      private:
        friend class Directory;
        // What is listed may be read while it is listed.
        template <typename Run>
        std::invoke_result_t<Run const&> at_work(Run const& run) {
            ++depth_;
            directory_.at_work_ = this;
            auto done = run();
            directory_.at_work_ = --depth_ > 0 ? this : nullptr;
            return done;
        }

        Directory& directory_;
        std::string const process_;
        BeforeStep before_;
        int depth_ = 0;
        std::unique_ptr<LocalStore> inner_;
    };

    void step(std::uint64_t number, std::string const& what) {
        if (at_work_ == nullptr) return;
        auto* watched = at_work_;
        auto space = what.find(' ');
        auto verb = std::string_view(what).substr(0, space);
        auto kind = verb == "write" || verb == "make" || what.starts_with("publish") ? Step::Kind::put : Step::Kind::other;
        auto fault = watched->before_({kind, verb, std::string_view(what).substr(space + 1)});
        // Others were at work meanwhile.
        at_work_ = watched;
        if (!fault) return;
        files_.fail_operation(number, fault->kind == ErrorKind::no_space ? ErrorKind::no_space : ErrorKind::io);
    }

    std::uint64_t used() {
        std::uint64_t sum = 0;
        auto visit = [&](ObjectInfo const& info) -> Result<void> {
            sum += info.size;
            return {};
        };
        (void)truth_->list("", visit, {});
        return sum;
    }

    std::mt19937_64& random_;
    SimulatedFileSystem files_;
    std::unique_ptr<LocalStore> truth_;
    std::set<std::string, std::less<>> living_;
    Watched* at_work_ = nullptr;
};

}  // namespace

std::unique_ptr<Medium> make_bucket(SimulatedObjects const& objects, Clock& clock, std::mt19937_64& random, Duration lag) {
    return std::make_unique<Bucket>(objects, clock, random, lag);
}
std::unique_ptr<Medium> make_directory(SimulatedObjects const& objects, Clock& clock, std::mt19937_64& random) {
    return std::make_unique<Directory>(objects, clock, random);
}

}  // namespace holdfast::simulation
