"""The mutants: what is changed, and the tests that have to fail."""
from dataclasses import dataclass


@dataclass
class Mutant:
    name: str
    file: str
    old: str
    new: str
    target: str
    tests: str
    arguments: tuple = ()
    seconds: int = 1800  # on a machine with other work; a test that hangs has failed


def store(name, old, new, tests, file="src/store/local_store.cc"):
    return Mutant(name, file, old, new, "store_test", tests)


def repo(name, file, old, new, tests):
    return Mutant(name, "src/repo/" + file, old, new, "repo_test", tests)


# A quarter of what one of the two tests of ./test runs.
HISTORIES = ("--histories", "6000")


def history(name, file, old, new):
    return Mutant(name, "src/repo/" + file, old, new, "simulation_test", "Simulation.*", HISTORIES)


CRASH = "LocalStoreCrash.*"

MUTANTS = [
    # -- a directory, and power that goes
    store("an object's content is not synced", "        return file->sync();\n    };", "        return Result<void>();\n    };", CRASH),
    store("an object's name is not synced", "            return files_.sync_directory(parent_directory(path));\n\n",
          "            return {};\n\n", CRASH),
    store("a new directory's name is not synced", "    TRY(files_.sync_directory(parent));\n", "", CRASH),
    store("an object of somebody else counts before it is synced", "            return make_durable(path);", "            return {};",
          CRASH),
    store("other bytes under a taken key are accepted", "            return store_errors::taken(key);\n\n", "            return {};\n\n",
          "*.*"),
    store("a short read is accepted", "        if (got < step.size())\n            return store_errors::too_short(key, offset + at, offset, to.size());\n",
          "        if (got < step.size()) return {};\n", "LocalStore.AFileThatShrinks*"),
    store("a removal is not synced", "    auto synced = files_.sync_directory(parent_directory(path_of(key)));", "    Result<void> synced;", CRASH),
    # -- seals
    repo("the nonce of a frame is always the same", "frame.cc", "    std::memcpy(nonce.data(), &number, sizeof number);\n",
         "    number = 0;\n    std::memcpy(nonce.data(), &number, sizeof number);\n", "Pack.*"),
    repo("the kind of a frame is not bound", "frame.cc", "    writer.u8(slot.kind);\n", "", "Pack.*"),
    repo("the raw length of a frame is not bound", "frame.cc", "    writer.u32(slot.raw_length);\n", "", "Pack.*"),
    repo("the repository is not bound into a frame", "frame.cc", "    writer.raw(repository_.view());\n", "", "Pack.*"),
    repo("a sealed frame is not opened before the put", "pack.cc", "    if (!opened || !std::equal(raw.begin(), raw.end(), opened->begin(), opened->end())) {",
         "    if (!opened) {", "Pack.BadMemory*"),
    repo("a chunk's id is not recomputed", "fetch.cc", "            if (ChunkId::from_bytes(ids[i]) != batch.wants[want.index]) {", "            if (false) {", "*FetchTest.*"),
    repo("a document's signature is not checked", "envelope.cc", "    if (!signature_fits(certificate.sign_public, signed_text(associated, sealed), signature))",
         "    if (false)", "EnvelopeTest.*"),
    repo("every role signs everything", "envelope.cc", "    if ((certificate.roles & roles_that_sign(kind)) == 0)", "    if (false)",
         "EnvelopeTest.*:RepositoryTest.*"),
    repo("a point may lie under another's name", "point.cc", "    if (sha256(object) != name.id.bytes)", "    if (false)", "PointTest.*"),
    # -- the order of writing
    repo("the index comes before its pack", "pipeline.cc",
         "    auto put = repository_.store().put(pack_key(sealed.summary.id), sealed.views(), stop_.get_token());\n",
         "    { std::vector<PackSummary> early{sealed.summary}; TRY(store_segment(early)); }\n"
         "    auto put = repository_.store().put(pack_key(sealed.summary.id), sealed.views(), stop_.get_token());\n",
         "*IngestTest.*:RepositoryTest.TheOrder*"),
    repo("a point is put before its chunks", "stored_points.cc", "    TRY(ingest.flush());\n", "", "RepositoryTest.*"),
    repo("a point is removed before its log entry", "stored_points.cc", "    auto const ring = known_ring();\n    auto dropped = Promises(logs, ring).dropped;\n    for (auto const& point : points) {\n",
         "    auto const ring = known_ring();\n    auto dropped = Promises(logs, ring).dropped;\n    for (auto const& point : points) {\n"
         "        TRY(store_.remove(ObjectKey(point_key(point.dataset, point.time, point.id)), stop));\n",
         "RepositoryTest.ADropped*"),
    repo("whoever writes drops points", "stored_points.cc", "                } else if ((item.roles & static_cast<Roles>(Role::admin)) != 0) {", "                } else {",
         "RepositoryTest.OnlyAnAdmin*"),
    repo("a rollback is not noticed", "stored_logs.cc", "        if (contradictions.empty())\n            return logs;", "        return logs;",
         "RepositoryTest.*"),
    # -- writers beside a collection
    repo("what is doomed is not looked at again", "stored_points.cc", "    auto secured = ingest.secure(stop);", "    Result<void> secured;",
         "RepositoryTest.*Doomed*:Prune*"),
    repo("what is doomed is looked at before the point is put", "stored_points.cc",
         "    TRY(store_.put(ObjectKey(sealed.key), sealed.object, stop).within(sealed.key));\n    auto secured = ingest.secure(stop);\n",
         "    auto secured = ingest.secure(stop);\n    TRY(store_.put(ObjectKey(sealed.key), sealed.object, stop).within(sealed.key));\n",
         "PruneCrash.*"),
    repo("what is doomed is reused", "ingest.cc", "    index->exclude(doomed.packs);\n", "", "RepositoryTest.*:Prune*"),
    repo("a lapsed lease publishes", "lease.cc", "    if (silent > kLeaseSilenceMax)\n", "    if (false)\n", "LeaseTest.*:RepositoryTest.ALapsed*"),
    repo("anybody's chunks are reused", "index.h", "return writer == own_ || writer == kProven; }", "return true || writer == own_; }", "Index.*"),
    # -- the collection
    repo("unconfirmed points need nothing", "collect.cc", "        report_.points = list.points.size();\n",
         "        std::erase_if(list.points, [](auto const& info) { return !info.confirmed; });\n        report_.points = list.points.size();\n",
         "Prune*"),
    repo("the lists on the way to a file are garbage", "live_set.cc", "        live_.insert(in_pair(*extent.chunk, pair_));\n        if (depth == 0) return {};",
         "        if (depth < 2) live_.insert(in_pair(*extent.chunk, pair_));\n        if (depth == 0) return {};", "PruneTest.Lists*"),
    repo("nobody waits for writers that run", "collect.cc", "        return std::ranges::none_of(list.leases, [&](auto const& lease) { return may_run(lease, list); });",
         "        return true;", "PruneTest.*"),
    repo("nobody waits at all", "collect.cc", "        if (pack.since > now() || now() - pack.since <= wait()) return false;\n", "", "PruneTest.*"),
    repo("a pack goes while the index names it", "collect.cc", "        TRY(rewrite_index(remove));\n", "", "PruneTest.*"),
    repo("an old segment goes before the merged one stands", "collect.cc",
         "        TRY(put_merged(named, goes));\n        TRY(wait_for_listings());\n        for (auto const* segment : old) TRY(store_.remove(ObjectKey(segment->key), stop_).within(segment->key));\n",
         "        for (auto const* segment : old) TRY(store_.remove(ObjectKey(segment->key), stop_).within(segment->key));\n        TRY(put_merged(named, goes));\n",
         "PruneCrash.*"),
    repo("the copy is not opened before the original goes", "collect.cc", "        TRY(open_keepers());\n", "", "PruneTest.TheCopy*"),
    repo("a doomed pack counts as a place that stays", "prune_plan.cc",
         "                      !listed->second.doomed && !listed->second.damaged && !listed->second.suspect;",
         "                      !listed->second.damaged && !listed->second.suspect;", "Prune*"),
    repo("what a reader has marked as damaged counts as a place", "prune_plan.cc",
         " && !listed->second.damaged && !listed->second.suspect;", " && !listed->second.damaged;", "Prune*"),
    repo("what is needed of a doomed pack is deleted", "prune_plan.cc", "            if (keepers.stranded().contains(id)) {", "            if (false) {",
         "PruneCrash.*"),
    repo("copies are doomed before they are named", "collect.cc", "        if (done) done = repacker.finish();\n", "", "Prune*"),
    # -- the rules of docs/retention.md, by the simulation alone
    history("a writer does not look at what was doomed before it promises", "ingest.cc",
            "Result<void> IngestImpl::secure(std::stop_token stop) {\n",
            "Result<void> IngestImpl::secure(std::stop_token stop) {\n    if (!stop.stop_requested()) return {};\n"),
    history("a writer looks before its point is durable", "stored_points.cc",
            "    TRY(store_.put(ObjectKey(sealed.key), sealed.object, stop).within(sealed.key));\n    auto secured = ingest.secure(stop);\n",
            "    auto secured = ingest.secure(stop);\n    TRY(store_.put(ObjectKey(sealed.key), sealed.object, stop).within(sealed.key));\n"),
    history("a writer reuses what is doomed", "ingest.cc", "    index->exclude(doomed.packs);\n", ""),
    history("what a writer reuses does not count as relied on", "pipeline.cc", "    relied_on_.insert(*pack);\n    return true;\n",
            "    return true;\n"),
    history("a doomed pack that stands is relied on", "ingest.cc", "        if (id && !doomed.contains(*id)) lost.erase(*id);\n",
            "        (void)doomed;\n        if (id) lost.erase(*id);\n"),
    history("a writer takes new lists for read before it acts on them", "ingest.cc", "        if (lost.empty()) return {};\n",
            "        if (lost.empty() || attempt == 1) return {};\n"),
    history("a collector lists the points before what is doomed", "collect.cc",
            "        doomed_ = TRY(list_doomed(repository_, stop_));\n        if (!doomed_.damaged.empty()) return mend_doomed();\n"
            "        leases_ = TRY(list_leases(store_, stop_));\n        TRY(look_at_points());\n",
            "        leases_ = TRY(list_leases(store_, stop_));\n        TRY(look_at_points());\n"
            "        doomed_ = TRY(list_doomed(repository_, stop_));\n        if (!doomed_.damaged.empty()) return mend_doomed();\n"),
    history("what is doomed and needed is taken off the list", "collect.cc",
            "                if (stands(pack)) {\n                    changed = true;\n",
            "                if (stands(pack)) {\n                    if (keepers_->stranded().contains(pack.id)) continue;\n                    changed = true;\n"),
    history("what is needed of a doomed pack goes with it", "prune_plan.cc", "            if (keepers.stranded().contains(id)) {",
            "            if (false) {"),
    history("a place that is doomed counts as another place", "prune_plan.cc",
            "                      !listed->second.doomed && !listed->second.damaged && !listed->second.suspect;",
            "                      !listed->second.damaged && !listed->second.suspect;"),
    history("what is deleted was not doomed", "collect.cc", "        plan_.doom.insert(plan_.doom.end(), copied.begin(), copied.end());\n",
            "        for (auto const& id : copied) TRY(store_.remove(pack_key(id), stop_));\n"),
    history("the last list of doomed packs goes", "collect.cc", "        TRY(put_list(list));\n        // A writer that began",
            "        if (!plan_.doom.empty()) TRY(put_list(list));\n        // A writer that began"),
    history("points that nobody has confirmed need nothing", "collect.cc", "        report_.points = list.points.size();\n",
            "        std::erase_if(list.points, [](auto const& info) { return !info.confirmed; });\n        report_.points = list.points.size();\n"),
    history("a point goes before its log entry says so", "stored_points.cc",
            "    auto const ring = known_ring();\n    auto dropped = Promises(logs, ring).dropped;\n    for (auto const& point : points) {\n",
            "    auto const ring = known_ring();\n    auto dropped = Promises(logs, ring).dropped;\n    for (auto const& point : points) {\n"
            "        TRY(store_.remove(ObjectKey(point_key(point.dataset, point.time, point.id)), stop));\n"),
    # -- a directory under it, by the simulation
    Mutant("an object's name is not synced, found by histories", "src/store/local_store.cc",
           "            return files_.sync_directory(parent_directory(path));\n\n", "            return {};\n\n", "simulation_test",
           "*", HISTORIES),
    Mutant("an object's content is not synced, found by histories", "src/store/local_store.cc",
           "        return file->sync();\n    };", "        return Result<void>();\n    };", "simulation_test", "*", HISTORIES),
]
