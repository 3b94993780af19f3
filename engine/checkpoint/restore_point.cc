#include "engine/checkpoint/restore_point.h"

#include <algorithm>
#include <map>
#include <utility>

#include "engine/base/error.h"

namespace tidemill {
namespace {

constexpr const char* kBringFolderBack =
    "bring the folder back from a copy: then nothing is repeated";

std::string list_ids(const std::vector<CheckpointName>& all) {
  std::string text;
  for (const CheckpointName& name : all) text += (text.empty() ? "" : ", ") + name.id;
  return text.empty() ? "none" : text;
}

std::optional<CheckpointName> find(const std::vector<CheckpointName>& all,
                                   const std::string& wanted) {
  for (auto it = all.rbegin(); it != all.rend(); ++it) {
    if (it->is_called(wanted)) return *it;
  }
  return std::nullopt;
}

// Only checkpoints that began a lineage from nothing: start positions and no output. If such a one
// was never committed, or its record is gone, starting again repeats and loses nothing.
bool holds_no_output(const std::vector<CheckpointName>& all, const CheckpointStorage& storage) {
  return std::all_of(all.begin(), all.end(), [&](const CheckpointName& name) {
    return storage.load(name.id).manifest.parent.empty();
  });
}

std::string new_lineage(CheckpointId next) {
  return CheckpointStorage::new_id(next).substr(std::to_string(next).size() + 1);
}

// Rows D and E: the record must name a checkpoint that is there, whole, and says the same.
Manifest load_committed(const std::string& job, const CommitRecord& record,
                        const CheckpointStorage& storage) {
  const auto all = storage.list();
  if (!find(all, record.checkpoint)) {
    refuse({"checkpoint_missing", "E", kBringFolderBack, {}, true},
           "the committed checkpoint is missing: " + record.checkpoint +
               offsets_text(record.positions) + " is not in " + storage.folder().string() +
               ", which has: " + list_ids(all) +
               "; bring the folder back; or, accepting that output after an older one is repeated, "
               "use "
               "--restore ID --accept-duplicates");
  }
  CheckpointStorage::Loaded loaded = storage.load(record.checkpoint);
  if (record.job != job || loaded.manifest.job != job) {
    refuse({"commit_record_of_another_job", "D", "use another name or checkpoint folder", {}, true},
           "the commit record belongs to another job: " + record.job + ", this is " + job +
               "; use another name or checkpoint folder");
  }
  if (loaded.hash != record.manifest_hash || loaded.manifest.sources != record.positions ||
      loaded.manifest.lineage != record.lineage) {
    refuse(
        {"commit_record_disagrees",
         "D",
         "bring back the record and the folder that belong together",
         {},
         true},
        "commit record and checkpoint " + record.checkpoint +
            " disagree: one of them was edited, reset or comes from elsewhere: " +
            storage.folder().string() +
            "; check the outputs, then go on with --restore ID --accept-duplicates, which starts a "
            "new lineage");
  }
  return std::move(loaded.manifest);
}

}  // namespace

void refuse(const std::string& message) { throw Error(ErrorCode::kRefused, message); }

void refuse(Refusal refusal, const std::string& message) {
  throw RefusedStart(std::move(refusal), message);
}

Refusal damaged_checkpoint() { return {"checkpoint_damaged", "E", kBringFolderBack, {}, true}; }

void restore_state(SnapshotStore& store, const CheckpointStorage& storage,
                   const Manifest& manifest) {
  try {
    store.restore(storage.state_folder(manifest.checkpoint), manifest.files);
  } catch (const Error& e) {
    if (e.code() != ErrorCode::kCorrupt) throw;
    throw RefusedStart(
        damaged_checkpoint(),
        std::string(e.what()) + ": checkpoint " + manifest.checkpoint +
            offsets_text(manifest.sources) +
            " cannot be restored; bring its folder back from a copy; or, accepting that "
            "output after an older one is repeated, use --restore ID --accept-duplicates",
        ErrorCode::kCorrupt);
  }
}

std::string offsets_text(const std::vector<SourcePositions>& positions) {
  std::string text;
  for (const SourcePositions& source : positions) {
    for (const SplitPosition& p : source.splits)
      text += " " + p.split + "=" + std::to_string(p.offset);
  }
  return " (offsets" + text + ")";
}

std::string consequence_of(const Manifest& chosen, const std::vector<SourcePositions>& last) {
  std::map<std::string, std::int64_t> from;
  for (const SourcePositions& source : chosen.sources) {
    for (const SplitPosition& p : source.splits) from[source.source + "/" + p.split] = p.offset;
  }
  std::int64_t records = 0;
  std::string splits;
  for (const SourcePositions& source : last) {
    for (const SplitPosition& p : source.splits) {
      const auto it = from.find(source.source + "/" + p.split);
      const std::int64_t back = p.offset - (it == from.end() ? 0 : it->second);
      if (back <= 0) continue;
      records += back;
      splits += (splits.empty() ? "" : ", ") + p.split + " " + std::to_string(back);
    }
  }
  if (records == 0) return "reads no record again: the last commit is at the same offsets";
  return "reads up to " + std::to_string(records) + " records again (" + splits +
         ") and writes their rows again: topics hold them twice, files of rows from after it are "
         "set aside (.given-up) and written anew, Redis keys are overwritten";
}

namespace {

RestorePoint choose(const std::string& job, const std::optional<CommitRecord>& record,
                    const CheckpointStorage& storage, const RestoreChoice& choice) {
  const auto all = storage.list();
  RestorePoint point;
  point.next = all.empty() ? 0 : all.back().seq + 1;
  if (record) point.next = std::max(point.next, record->seq + 1);

  if (choice.kind == RestoreChoice::Kind::kNone) {
    if ((record || !all.empty()) && !choice.accept_duplicates) {
      refuse({"restore_repeats_output", "", "leave --restore out", {}, false, true},
             "--restore none would repeat output that is already committed (last checkpoint: " +
                 (record ? record->checkpoint : all.back().id) +
                 "); add --accept-duplicates if that is wanted, or use --as NAME for a replay");
    }
    point.is_new_lineage = true;
    point.lineage = new_lineage(point.next);
    point.why = record || !all.empty() ? "restore none by choice" : "first start";
    return point;
  }

  if (choice.kind == RestoreChoice::Kind::kId) {
    const auto chosen = find(all, choice.id);
    if (!chosen)
      refuse({"no_such_checkpoint", "", "name one that is there", {}, true},
             "there is no checkpoint " + choice.id + " in " + storage.folder().string() +
                 ", which has: " + list_ids(all));
    const bool is_latest = record && record->checkpoint == chosen->id;
    // The last committed one as well, if asked for: a sink of files may know of a later one.
    if (!is_latest || choice.accept_duplicates) {
      point.manifest = storage.load(chosen->id).manifest;
      const std::string consequence =
          record ? ": it " + consequence_of(*point.manifest, record->positions) : "";
      if (!choice.accept_duplicates) {
        refuse({"restore_repeats_output", "", "leave --restore out", {}, true},
               "checkpoint " + chosen->id + " is not the last committed one (" +
                   (record ? record->checkpoint : "unknown") + "): restoring it repeats output" +
                   consequence +
                   "; add --accept-duplicates if that is wanted, or use --as NAME for a replay");
      }
      point.is_new_lineage = true;
      // An older one than the last committed was published before that one was committed.
      point.may_be_unpublished = !record || chosen->seq >= record->seq;
      point.lineage = new_lineage(point.next);
      point.why = "restore " + chosen->id + " by choice" + consequence;
      return point;
    }
  }

  if (!record) {
    if (choice.assume_committed.empty() && holds_no_output(all, storage)) {
      point.why = all.empty() ? "first start"
                              : "first start (an earlier one ended before it was committed)";
    } else if (choice.assume_committed.empty()) {
      refuse(
          {"commit_record_missing",
           "B",
           "bring the control topic back, or start with the cluster and job name of before",
           {{{"--assume-committed=" + all.back().id},
             "vouches for checkpoint " + all.back().id +
                 ": right if the outputs end where it does; rows that were committed after it "
                 "come twice, and rows that it made and that were not committed are missing"}},
           true},
          "commit record missing; last local checkpoint " + all.back().id +
              ": the control topic was deleted, or this is another cluster or job name; check that "
              "the outputs end where that checkpoint does,"
              " then go on with --assume-committed " +
              all.back().id);
    }
    if (!choice.assume_committed.empty()) {
      const auto assumed = find(all, choice.assume_committed);
      if (!assumed) {
        refuse({"no_such_checkpoint", "", "name one that is there"},
               "--assume-committed names no checkpoint here: " + choice.assume_committed +
                   "; there are: " + list_ids(all));
      }
      point.manifest = storage.load(assumed->id).manifest;
      point.may_be_unpublished = true;
      point.why = "assumed committed: " + assumed->id;
    }
    point.is_new_lineage = true;
    point.lineage = new_lineage(point.next);
    return point;
  }

  point.manifest = load_committed(job, *record, storage);
  point.may_be_unpublished = true;
  point.lineage = record->lineage;
  point.why = "last committed checkpoint " + record->checkpoint;
  return point;
}

}  // namespace

RestorePoint choose_restore_point(const std::string& job, const std::optional<CommitRecord>& record,
                                  const CheckpointStorage& storage, const RestoreChoice& choice) {
  RestorePoint point = choose(job, record, storage, choice);
  if (point.manifest && point.manifest->is_drained && point.manifest->is_final) {
    refuse(
        {"drained", "", "process what came since under another name: --as NAME", {}, true},
        "the job was drained: checkpoint " + point.manifest->checkpoint +
            " is the end of its input, where everything took effect, and nothing can be added to "
            "that; go back to a checkpoint or savepoint before the drain with --restore ID "
            "--accept-duplicates (--list-checkpoints shows them), or process what came since under "
            "another name (--as NAME, --from-offsets). A job that shall go on is stopped, not "
            "drained");
  }
  return point;
}

}  // namespace tidemill
