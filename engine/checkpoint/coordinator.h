// Triggers checkpoints, collects what the tasks contribute, makes it durable and has it committed.
//
// Invariants: at most one checkpoint is in flight; `commit` is called only once the manifest is
// durable; what happens after the commit (publishing, removal of old checkpoints) may be repeated
// without harm.
#pragma once

#include <chrono>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "engine/base/clock.h"
#include "engine/base/metrics.h"
#include "engine/checkpoint/checkpoint_log.h"
#include "engine/checkpoint/commit_protocol.h"
#include "engine/checkpoint/manifest.h"
#include "engine/checkpoint/snapshot_store.h"
#include "engine/checkpoint/storage.h"
#include "engine/graph/plan.h"
#include "engine/operator/freshness.h"
#include "engine/runtime/job.h"

namespace tidemill {

// Runs the `publish` of every sink that prepared something; idempotent.
void publish_prepared(const Graph& graph, const std::vector<Manifest::Prepared>& prepared);

// `step` on one thread; `acknowledge` and the queries from any.
class Coordinator {
 public:
  struct Settings {
    std::string job;
    std::string lineage;
    std::string parent;        // the restored checkpoint, empty for none
    CheckpointId next = 0;     // number of the next checkpoint
    Duration interval{1000};   // zero: only on request
    std::size_t retained = 3;  // committed checkpoints kept
    std::string backend;
  };

  // All references outlive it.
  Coordinator(Settings settings, const Plan& plan, CheckpointStorage& storage, SnapshotStore& store,
              CommitProtocol& protocol, MetricRegistry& metrics, const Clock& clock);

  void attach(Job& job) { job_ = &job; }
  // Is told of each commit; outlives it.
  void attach(OutputFreshness& freshness) { freshness_ = &freshness; }
  // Is told what became of each checkpoint; outlives it.
  void attach(CheckpointLog& log) { log_ = &log; }
  void acknowledge(TaskSnapshot snapshot);

  // One look: triggers, or completes what all tasks have acknowledged. True if something was done.
  // Throws Error: the attempt is over.
  bool step();
  // The next step triggers a checkpoint, whatever the interval says. `is_final`: every source and
  // operator has ended.
  void request(bool is_final = false) {
    requested_ = true;
    is_final_ = is_final;
  }

  // The next checkpoint that is triggered, or the first after it that is committed, is a savepoint.
  void request_savepoint() {
    requested_ = true;
    savepoint_requested_ = true;
  }
  // A drain has begun: later checkpoints say so.
  void note_drain() { is_drained_ = true; }

  [[nodiscard]] bool is_in_flight() const { return in_flight_.has_value(); }
  // Checkpoints committed in this attempt.
  [[nodiscard]] std::uint64_t num_committed() const { return num_committed_; }
  [[nodiscard]] std::optional<CheckpointId> triggered() const { return in_flight_; }
  // The id of the last one committed, before the first that of the restored one.
  [[nodiscard]] const std::string& last_committed() const { return parent_; }
  [[nodiscard]] bool is_last_savepoint() const { return is_last_savepoint_; }

 private:
  void trigger();
  void complete();
  std::optional<std::pair<Manifest, std::uint64_t>> store(const std::string& id);
  Manifest collect(const std::string& id);
  void decline(const std::string& id, const std::string& why);
  void remove_old();
  void note(const std::string& id, CheckpointRun::Result result, const std::string& reason);

  const Settings settings_;
  const Plan& plan_;
  CheckpointStorage& storage_;
  SnapshotStore& store_;
  CommitProtocol& protocol_;
  const Clock& clock_;
  Job* job_ = nullptr;
  OutputFreshness* freshness_ = nullptr;
  CheckpointLog* log_ = nullptr;
  MetricRegistry& metrics_;
  Histogram& duration_us_;
  Counter& completed_;
  Counter& declined_;
  Gauge& last_committed_;
  Gauge& last_committed_at_;
  Gauge& last_bytes_;

  CheckpointId next_;
  std::string parent_;
  bool requested_ = false;
  bool is_final_ = false;
  bool is_drained_ = false;
  bool savepoint_requested_ = false;
  bool is_savepoint_ = false;  // the one in flight
  bool is_last_savepoint_ = false;
  std::optional<CheckpointId> in_flight_;
  std::chrono::nanoseconds triggered_at_{};
  std::int64_t triggered_ms_ = 0;
  std::chrono::nanoseconds drained_at_{};
  std::chrono::nanoseconds stored_at_{};
  std::uint64_t bytes_ = 0;  // of the checkpoint in flight
  std::chrono::nanoseconds last_end_{};
  std::chrono::nanoseconds opened_at_{};  // since when the epoch of what is not committed is open
  std::vector<Manifest::Prepared> carried_;  // prepared by checkpoints that were declined
  std::uint64_t num_committed_ = 0;

  std::mutex mutex_;
  std::vector<TaskSnapshot> acknowledged_;
  std::vector<CheckpointRun::Part> parts_;  // of the checkpoint in flight, in their order
  std::chrono::nanoseconds stall_{};        // the longest of its tasks
};

}  // namespace tidemill
