// Start-up step S3 (docs/exactly-once.md): from the commit record and the folder of checkpoints to
// the one to start from, or a refusal that says what was found, what it means and how to go on.
#pragma once

#include <optional>
#include <string>

#include "engine/checkpoint/commit_protocol.h"
#include "engine/checkpoint/manifest.h"
#include "engine/checkpoint/refusal.h"
#include "engine/checkpoint/snapshot_store.h"
#include "engine/checkpoint/storage.h"

namespace tidemill {

// Throws Error(kRefused).
[[noreturn]] void refuse(const std::string& message);
[[noreturn]] void refuse(Refusal refusal, const std::string& message);

// Row E: a file of a checkpoint is missing or damaged.
Refusal damaged_checkpoint();

struct RestoreChoice {
  enum class Kind { kLatest, kNone, kId };
  Kind kind = Kind::kLatest;
  std::string id;  // kId: "<seq>-<uuid>" or its number alone
  bool accept_duplicates = false;
  std::string assume_committed;  // row B: the checkpoint a person vouches for
};

struct RestorePoint {
  std::optional<Manifest> manifest;  // none: a start from nothing
  bool is_new_lineage = false;  // a first start or a restore by choice: a commit of its own comes
                                // before the first record
  std::string lineage;
  CheckpointId next = 0;
  // What the checkpoint prepared may not have been published yet.
  bool may_be_unpublished = false;
  std::string why;  // for the log and the audit trail
};

// " (offsets T:0=5 T:1=7)": what a checkpoint that cannot be used would have gone on from.
std::string offsets_text(const std::vector<SourcePositions>& positions);

// What going back to `chosen` means for a job whose last commit has the positions `last`, in words:
// "reads 130 records again (user-events:0 100, user-events:1 30) and writes their rows again: …".
std::string consequence_of(const Manifest& chosen, const std::vector<SourcePositions>& last);

// Throws Error(kCorrupt).
void restore_state(SnapshotStore& store, const CheckpointStorage& storage,
                   const Manifest& manifest);

// Throws Error(kRefused) or Error(kCorrupt).
RestorePoint choose_restore_point(const std::string& job, const std::optional<CommitRecord>& record,
                                  const CheckpointStorage& storage, const RestoreChoice& choice);

}  // namespace tidemill
