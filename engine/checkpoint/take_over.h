// Starting from the checkpoint of another job (docs/decisions/0005_promotion.md): a promotion takes
// the state of a replay and goes on behind this job's output; a replay may begin with a checkpoint
// of the job it replays.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "engine/checkpoint/commit_protocol.h"
#include "engine/checkpoint/manifest.h"
#include "engine/checkpoint/restore_point.h"
#include "engine/checkpoint/storage.h"
#include "engine/graph/graph.h"

namespace tidemill {

// A checkpoint of another job.
struct ForeignCheckpoint {
  std::string job;
  std::string id;                // or its number; empty: the last one
  std::filesystem::path folder;  // of that job's checkpoints

  // "JOB/ID", or "JOB" without an id.
  [[nodiscard]] std::string text() const { return id.empty() ? job : job + "/" + id; }
};

// What a take-over that is decided leaves to be done stands in a file of the job's folder, whose
// content is the lineage: written before the decision, removed when all is done.
void note_hand_over(const CheckpointStorage& storage, const std::string& lineage);
void remove_hand_over(const CheckpointStorage& storage);
// Throws Error(kRefused) if the lineage's hand-over is not finished.
void refuse_unfinished_hand_over(const CheckpointStorage& storage,
                                 const std::optional<CommitRecord>& record);

struct TakeOverPoint {
  std::string lineage;                // "JOB.NAME/ID": says that it is done
  std::optional<RestorePoint> point;  // nothing: it is committed already
};

// `other`: the folder of `from`, locked. The point's manifest has the other job's state and
// positions, and this job's knowledge of its published output. Throws Error(kRefused) naming every
// partition in which the two do not stand at the same offset, or if an input has ended.
TakeOverPoint choose_take_over(const std::string& job, const std::optional<CommitRecord>& record,
                               const CheckpointStorage& storage, const ForeignCheckpoint& from,
                               const CheckpointStorage& other, const Graph& graph);

// A first start with the state of another job's checkpoint; what that one knows of its output is
// left out. Throws Error(kRefused) if there is no such checkpoint.
RestorePoint choose_foreign_start(RestorePoint first, const ForeignCheckpoint& from,
                                  const CheckpointStorage& other, const Graph& graph);

}  // namespace tidemill
