#include "engine/checkpoint/take_over.h"

#include <algorithm>
#include <map>
#include <set>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "engine/base/error.h"
#include "engine/base/fault.h"
#include "engine/base/files.h"

namespace tidemill {
namespace fs = std::filesystem;
namespace {

constexpr const char* kHandOver = "hand-over";
constexpr std::string_view kClockPart = "#clock";  // of every stage (engine/runtime/stage.cc)

std::optional<std::string> find_id(const ForeignCheckpoint& from, const CheckpointStorage& other) {
  const auto all = other.list();
  for (auto it = all.rbegin(); it != all.rend(); ++it) {
    if (from.id.empty() || it->is_called(from.id)) return it->id;
  }
  return std::nullopt;
}

Manifest load(const ForeignCheckpoint& from, const std::string& id,
              const CheckpointStorage& other) {
  Manifest manifest = other.load(id).manifest;
  if (manifest.job != from.job)
    refuse("checkpoint " + id + " in " + other.folder().string() + " belongs to job " +
           manifest.job + ", not to " + from.job + "; name the job that wrote it");
  return manifest;
}

[[noreturn]] void refuse_missing(const ForeignCheckpoint& from, const CheckpointStorage& other) {
  std::string there;
  for (const CheckpointName& name : other.list()) there += (there.empty() ? "" : ", ") + name.id;
  refuse("there is no checkpoint " + from.text() + " in " + other.folder().string() +
         ", which has: " + (there.empty() ? "none" : there));
}

// Sources may go by other names in another version, splits not.
std::multimap<std::string, std::int64_t> offsets_of(const std::vector<SourcePositions>& sources) {
  std::multimap<std::string, std::int64_t> offsets;
  for (const SourcePositions& source : sources) {
    for (const SplitPosition& p : source.splits) offsets.emplace(p.split, p.offset);
  }
  return offsets;
}

std::string differences(const std::vector<SourcePositions>& live,
                        const std::vector<SourcePositions>& replay) {
  const auto ours = offsets_of(live);
  const auto theirs = offsets_of(replay);
  std::set<std::string> splits;
  for (const auto& [split, _] : ours) splits.insert(split);
  for (const auto& [split, _] : theirs) splits.insert(split);
  const auto text_of = [](const auto& range) {
    std::vector<std::int64_t> all;
    for (auto it = range.first; it != range.second; ++it) all.push_back(it->second);
    std::sort(all.begin(), all.end());
    std::string text;
    for (const std::int64_t offset : all)
      text += (text.empty() ? "" : "+") + std::to_string(offset);
    return text.empty() ? std::string("not read") : text;
  };
  std::string text;
  for (const std::string& split : splits) {
    const std::string our = text_of(ours.equal_range(split));
    const std::string their = text_of(theirs.equal_range(split));
    if (our != their) text += (text.empty() ? "" : ", ") + split + ": " + our + " and " + their;
  }
  return text;
}

void refuse_ended(const Manifest& manifest) {
  for (const SourcePositions& source : manifest.sources) {
    for (const SplitPosition& p : source.splits) {
      if (!p.is_finished) continue;
      refuse("checkpoint " + manifest.checkpoint + " of job " + manifest.job + " has read " +
             p.split +
             " to the end of a bounded run, where everything took effect: nothing can follow it; "
             "replay without --until-* (files: follow) and hold it where it shall be taken over");
    }
  }
}

void keep_only_clock(RestoredOperator& op) {
  for (auto& subtask : op.subtasks)
    std::erase_if(subtask.parts, [](const StatePart& part) { return part.name != kClockPart; });
}

// What a sink that publishes knows of its output.
void take_output(Manifest& into, const Manifest* from, const Graph& graph) {
  for (const Node& node : graph.nodes) {
    if (!node.publish) continue;
    if (const auto theirs = into.operators.find(node.name); theirs != into.operators.end())
      keep_only_clock(theirs->second);
    if (from == nullptr) continue;
    const auto ours = from->operators.find(node.name);
    if (ours == from->operators.end()) continue;
    for (const auto& subtask : ours->second.subtasks) {
      RestoredOperator::Subtask kept;
      for (const StatePart& part : subtask.parts) {
        if (part.name != kClockPart) kept.parts.push_back(part);
      }
      into.operators[node.name].subtasks.push_back(std::move(kept));
    }
  }
  into.prepared = from == nullptr ? std::vector<Manifest::Prepared>{} : from->prepared;
}

}  // namespace

void note_hand_over(const CheckpointStorage& storage, const std::string& lineage) {
  const fs::path path = storage.folder() / kHandOver;
  const fs::path temporary = storage.folder() / (std::string(kHandOver) + ".new");
  write_file(temporary, Bytes(lineage.begin(), lineage.end()), Durability::kSynced);
  std::error_code error;
  fs::rename(temporary, path, error);
  if (error)
    throw Error(ErrorCode::kIo, "cannot rename a file: " + path.string() + ": " + error.message());
  sync_folder(storage.folder());
}

void remove_hand_over(const CheckpointStorage& storage) {
  std::error_code ignored;
  if (fs::remove(storage.folder() / kHandOver, ignored)) sync_folder(storage.folder());
}

void refuse_unfinished_hand_over(const CheckpointStorage& storage,
                                 const std::optional<CommitRecord>& record) {
  const fs::path path = storage.folder() / kHandOver;
  if (!record || !fs::exists(path)) return;
  const Bytes bytes = read_file(path);
  const std::string lineage(bytes.begin(), bytes.end());
  // Of another lineage: it was never decided, and this version stands.
  if (lineage != record->lineage) return;
  refuse({"hand_over_unfinished", "", "run it with --take-over " + lineage + " until it exits 0"},
         "the hand-over to " + lineage +
             " is decided and not finished: run the job with --take-over " + lineage +
             " until it ends with exit code 0, then start it without");
}

TakeOverPoint choose_take_over(const std::string& job, const std::optional<CommitRecord>& record,
                               const CheckpointStorage& storage, const ForeignCheckpoint& from,
                               const CheckpointStorage& other, const Graph& graph) {
  if (!record)
    refuse("job " + job +
           " has no committed checkpoint, so nothing says where its output ends: there is nothing "
           "to take over");
  const auto id = find_id(from, other);
  TakeOverPoint chosen;
  chosen.lineage = from.job + "/" + id.value_or(from.id);
  if (record->lineage == chosen.lineage) return chosen;
  // Done, and the replay is cleaned up since.
  if (!id && from.id.empty() && record->lineage.starts_with(from.job + "/")) {
    chosen.lineage = record->lineage;
    return chosen;
  }
  if (!id) refuse_missing(from, other);

  RestorePoint point = choose_restore_point(job, record, storage, {});
  const Manifest own = std::move(*point.manifest);
  Manifest theirs = load(from, *id, other);
  refuse_ended(own);
  refuse_ended(theirs);
  if (const std::string text = differences(own.sources, theirs.sources);
      !text.empty() && !TM_BROKEN("take_over_anywhere")) {
    refuse("job " + job + " and checkpoint " + from.job + "/" + *id +
           " do not stand at the same offsets, so rows would be lost or come twice: " + text +
           "; hold the replay at the offsets of the job's last commit (" + own.checkpoint +
           "), stop it there, and take over that checkpoint");
  }
  take_output(theirs, &own, graph);
  point.manifest = std::move(theirs);
  point.is_new_lineage = true;
  point.may_be_unpublished = true;
  point.lineage = chosen.lineage;
  point.why =
      "takes over " + chosen.lineage + " behind " + own.checkpoint + offsets_text(own.sources);
  chosen.point = std::move(point);
  return chosen;
}

RestorePoint choose_foreign_start(RestorePoint first, const ForeignCheckpoint& from,
                                  const CheckpointStorage& other, const Graph& graph) {
  const auto id = find_id(from, other);
  if (!id) refuse_missing(from, other);
  Manifest theirs = load(from, *id, other);
  refuse_ended(theirs);
  take_output(theirs, nullptr, graph);
  first.why = "first start, with the state of checkpoint " + from.job + "/" + *id +
              offsets_text(theirs.sources);
  first.manifest = std::move(theirs);
  first.may_be_unpublished = false;
  return first;
}

}  // namespace tidemill
