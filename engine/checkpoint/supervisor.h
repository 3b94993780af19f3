// Runs a job: attempt after attempt, each from the last committed checkpoint, until it ends, is
// asked to stop, or fails for good.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "engine/base/clock.h"
#include "engine/base/error.h"
#include "engine/base/metrics.h"
#include "engine/base/operator_error.h"
#include "engine/checkpoint/checkpoint_log.h"
#include "engine/checkpoint/commit_protocol.h"
#include "engine/checkpoint/restore_point.h"
#include "engine/checkpoint/snapshot_store.h"
#include "engine/checkpoint/state_changes.h"
#include "engine/checkpoint/storage.h"
#include "engine/checkpoint/take_over.h"
#include "engine/graph/graph.h"
#include "engine/runtime/bad_samples.h"
#include "engine/runtime/source_hold.h"
#include "engine/time/source_registry.h"

namespace tidemill {

class RestoreWatch;

struct SupervisorSettings {
  std::string job;
  std::filesystem::path checkpoint_folder;  // of this job
  int parallelism = 1;
  std::uint32_t key_groups = kDefaultKeyGroups;  // at a first start; later the checkpoint's
  Duration checkpoint_interval{1000};
  std::size_t retained_checkpoints = 3;
  bool is_durable = true;
  std::size_t max_restarts = 10;  // in a row without a checkpoint committed in between
  Duration first_backoff{100};
  Duration max_backoff{30000};
  RestoreChoice restore;
  StateChanges state_changes;
  std::string backend;  // a name for the manifest
  // What the sources stop before from the start on; nothing: they are not held.
  SourceHold::Offsets hold;
  // A run that commits the take-over, does what must follow it, and ends.
  std::optional<ForeignCheckpoint> take_over;
  // After the commit, with nothing of the job running; again if a run ended within. The lineage
  // names the take-over.
  std::vector<std::function<void(const std::string& lineage)>> after_take_over;
  // Whose state a first start begins with.
  std::optional<ForeignCheckpoint> first_from;
};

// What the engine does not know how to make. Each attempt makes its own; the maker lends what
// operators need to the resources.
struct Deployment {
  std::function<std::unique_ptr<SnapshotStore>(Resources&)> make_store;
  std::function<std::unique_ptr<CommitProtocol>(Resources&, const CheckpointStorage&)>
      make_protocol;
};

// What an observer may show. A copy, safe to keep.
struct JobProgress {
  enum class State { kStarting, kRunning, kRestarting, kStopping, kFinished, kFailed };
  State state = State::kStarting;
  std::int64_t state_since_ms = 0;  // epoch
  std::uint64_t attempt = 0;
  std::uint64_t restarts = 0;
  std::uint64_t committed = 0;
  std::string last_checkpoint;
  std::optional<std::chrono::nanoseconds> last_commit_at;  // monotonic
  std::string last_failure;
};

// Why an attempt ended.
struct JobFailure {
  std::int64_t at_ms = 0;  // epoch
  std::uint64_t attempt = 0;
  ErrorCode code = ErrorCode::kInternal;
  std::string message;
  std::optional<ErrorPlace> place;  // none: no operator's
};

// How a job that runs is stopped; a later one in this list overrides an earlier one.
enum class StopMode : std::uint8_t {
  kNone,
  kDrain,      // the input ends here: everything fires and is committed; nothing can be added later
  kSavepoint,  // a last checkpoint, which is a savepoint
  kCheckpoint,  // a last checkpoint
  kCancel,      // at once: the last commit stands, and the next start goes on from there
};

// `run` on one thread; everything else from any.
class Supervisor {
 public:
  enum class Outcome { kFinished, kStopped };

  Supervisor(SupervisorSettings settings, Graph graph, Deployment deployment,
             MetricRegistry& metrics, const Clock& clock);
  ~Supervisor();

  // Until all bounded sources have ended and that is committed, or a stop has been committed.
  // Throws Error when no restart can help or the limit is reached.
  Outcome run();

  // Then `run` returns as soon as that is done. False: the job is being stopped already in a way
  // that comes later in the list, which stays.
  bool request_stop(StopMode mode = StopMode::kCheckpoint);
  // A savepoint: its id as soon as it is committed, over restarts too. An Error(kRefused) in the
  // future says that the job ended, or is being stopped, without.
  std::future<std::string> request_savepoint();
  // request_stop(kSavepoint), and the id of the savepoint.
  std::future<std::string> request_stop_with_savepoint();
  // A checkpoint at once.
  void request_checkpoint();
  // Where the sources stop before without ending.
  [[nodiscard]] SourceHold& source_hold() { return hold_; }

  // Asks the running attempt for the value of a key; nothing if it has no such operator. Throws
  // Error(kIo) if there is no running attempt; the future is broken if the attempt ends first.
  [[nodiscard]] std::optional<std::future<StateQuery>> ask(StateQuery query) const;
  // The states of the running attempt; none if there is none.
  [[nodiscard]] std::vector<StateDescription> states() const;

  [[nodiscard]] JobProgress progress() const;
  // Of this process, the newest first, 100 at most.
  [[nodiscard]] std::vector<JobFailure> failures() const {
    const std::lock_guard lock(mutex_);
    return {failures_.rbegin(), failures_.rend()};
  }
  [[nodiscard]] const CheckpointLog& checkpoint_log() const { return checkpoint_log_; }
  [[nodiscard]] const RestoreLog& restore_log() const { return restore_log_; }
  [[nodiscard]] const BadSamples& bad_samples() const { return bad_samples_; }
  // Event time per source of the current attempt.
  [[nodiscard]] std::map<std::string, std::shared_ptr<SourceWatermarks>> event_time() const;

 private:
  struct Attempt;
  Outcome run_attempts();
  Outcome run_attempt(CheckpointStorage& storage);
  Outcome drive(Attempt& attempt);
  RestorePoint prepare(Attempt& attempt, CheckpointStorage& storage, RestoreWatch& watch);
  void open_foreign();
  RestorePoint choose(const std::optional<CommitRecord>& record, const CheckpointStorage& storage);
  void finish_take_over(const CheckpointStorage& storage) const;
  void wait_for_work();
  void set_state(JobProgress::State state);
  void enter(JobProgress::State state);  // requires the lock
  bool back_off(Duration pause);
  // Savepoints that are asked for. `take_up`: those that the next checkpoint may serve; true if
  // there is one.
  std::future<std::string> ask_for_savepoint(bool is_last);
  bool take_up_savepoints(bool is_stopping);
  void answer_savepoints(const std::string& id);
  void return_savepoints();
  void refuse_savepoints(const std::string& why);

  struct SavepointRequest {
    std::promise<std::string> answer;
    bool is_last = false;  // only behind the last record of a job that stops
    bool is_taken_up = false;
  };

  const SupervisorSettings settings_;
  const Graph graph_;
  const Deployment deployment_;
  MetricRegistry& metrics_;
  Counter& num_restarts_;
  const Clock& clock_;
  // What holds until the first commit.
  RestoreChoice choice_;
  StateChanges state_changes_;
  std::atomic<StopMode> stop_mode_{StopMode::kNone};
  std::unique_ptr<CheckpointStorage> foreign_;  // of the checkpoint that is no own one
  bool is_state_foreign_ = false;               // in this attempt
  std::string taken_over_;                      // its lineage, once it is committed
  SourceHold hold_;
  std::atomic<bool> checkpoint_requested_{false};
  bool committed_in_attempt_ = false;
  CheckpointLog checkpoint_log_;
  RestoreLog restore_log_;
  BadSamples bad_samples_;

  mutable std::mutex mutex_;
  std::condition_variable something_happened_;
  bool has_news_ = false;
  JobProgress progress_;
  static constexpr std::size_t kFailuresKept = 100;
  std::deque<JobFailure> failures_;
  std::vector<SavepointRequest> savepoint_requests_;
  Attempt* running_ = nullptr;
  bool has_run_ = false;  // no request can be served any more
  std::shared_ptr<SourceRegistry> sources_;
};

}  // namespace tidemill
