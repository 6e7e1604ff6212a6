#pragma once

// For tests alone: a repository in memory whose keys change.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "repo/index.h"
#include "repo/key_changes.h"
#include "repo/test_machines.h"

namespace holdfast {

struct KeyWorld : TestMachines {
    Result<std::unique_ptr<Repository>> try_open(Store& place, KeyBundle const& keys,
                                                 std::string const& machine = "here",
                                                 OpenRepositoryOptions options = {}) {
        return open_repository(place, keys.clone(), world(machine), options, {});
    }
    std::unique_ptr<Repository> open(KeyBundle const& keys, std::string const& machine = "here") {
        auto opened = try_open(store, keys, machine);
        EXPECT_TRUE(opened) << opened.error().message;
        return std::move(*opened);
    }
    KeyBundle add(Roles roles, std::vector<std::string> pairs = {}) {
        auto repository = open(admin);
        auto added = add_bundle(*repository, {.roles = roles, .label = "added", .pairs = std::move(pairs)}, {});
        EXPECT_TRUE(added) << added.error().message;
        return std::move(*added);
    }
    KeyBundle add(Role role) { return add(static_cast<Roles>(role)); }

    Result<PointInfo> try_back_up(Repository& repository, std::string const& dataset, std::string_view text,
                                  std::string const& pair = "") {
        auto ingest = TRY(repository.begin_ingest({.pair = pair}, {}));
        auto stream = ingest->open_stream(ChunkKind::tree, {});
        TRY(stream->append(as_bytes(text)));
        RecoveryPoint point;
        point.dataset = dataset;
        point.kind = "files";
        clock.advance(std::chrono::seconds(10));
        point.time = clock.now();
        point.tree = TRY(stream->finish());
        stream.reset();
        return repository.publish(*ingest, std::move(point), {});
    }
    PointInfo back_up(Repository& repository, std::string const& dataset, std::string_view text,
                      std::string const& pair = "") {
        auto info = try_back_up(repository, dataset, text, pair);
        EXPECT_TRUE(info) << info.error().message;
        return *info;
    }
    Result<std::string> read(Repository& repository, PointInfo const& point) {
        auto fetch = TRY(repository.begin_fetch({}, {}));
        auto bytes = TRY(fetch->content(point.point.tree, 1 << 20, {}));
        return to_text(bytes);
    }
    // To which data keys the packs of the store are sealed.
    std::multiset<DataKeyId> sealed_to() {
        std::multiset<DataKeyId> keys;
        for (auto const& key : store.keys("packs/"))
            keys.insert(decode_pack_header(ByteView(store.objects[key]).first(kPackHeaderBytes))->data_key);
        return keys;
    }
    std::vector<PointId> ids(Repository& repository) {
        auto list = repository.points({});
        EXPECT_TRUE(list) << list.error().message;
        std::vector<PointId> ids;
        for (auto const& info : list->points) ids.push_back(info.id);
        return ids;
    }
};

}  // namespace holdfast
