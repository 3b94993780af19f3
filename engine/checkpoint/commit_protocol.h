// What makes a checkpoint count (docs/exactly-once.md). The coordinator makes a checkpoint durable,
// then asks the protocol to commit it; after a crash the protocol says which checkpoint the outside
// world has seen.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/operator/snapshot.h"

namespace tidemill {

// The positions of one source, as the commit record and the manifest both carry them.
struct SourcePositions {
  std::string source;  // operator name
  std::vector<SplitPosition> splits;

  friend bool operator==(const SourcePositions&, const SourcePositions&) = default;
};

// The one record that decides. `checkpoint` is "<seq>-<uuid>", unique over all attempts.
struct CommitRecord {
  std::string job;
  std::string checkpoint;
  CheckpointId seq = 0;
  std::string lineage;  // changes at a first start and at a restore by choice
  std::uint64_t manifest_hash = 0;
  std::vector<SourcePositions> positions;
};

// One thread: the coordinator's. A slow call blocks only that thread; sinks stage what comes after
// the barrier meanwhile.
class CommitProtocol {
 public:
  virtual ~CommitProtocol() = default;

  // S1 + S2: fences every older instance, then reads the commit record. Nothing: no checkpoint was
  // ever committed.
  virtual std::optional<CommitRecord> acquire() = 0;

  // What `acquire` would read just now, without fencing anybody or making anything: for whoever
  // asks what a start would do. After it only `acquire` may follow.
  virtual std::optional<CommitRecord> look() = 0;

  // S7 / E8: epoch `epoch` (= the next checkpoint's id) is open: sinks may write its records.
  virtual void begin(CheckpointId epoch) = 0;

  // How long after `begin` a checkpoint may still fail to be stored before the job must stop: what
  // an open epoch holds does not live for ever.
  [[nodiscard]] virtual Duration patience() const { return Duration(30'000); }

  // E3: every sink has passed barrier `record.seq`; E5-E7: makes `record` the truth. Only called
  // once the manifest is durable. Throws Error: outcome unknown, the attempt is over and the next
  // one asks `acquire`.
  virtual void commit(const CommitRecord& record) = 0;
};

}  // namespace tidemill
