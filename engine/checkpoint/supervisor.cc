#include "engine/checkpoint/supervisor.h"

#include <algorithm>
#include <utility>

#include "engine/base/error.h"
#include "engine/base/fault.h"
#include "engine/base/log.h"
#include "engine/base/start_pages.h"
#include "engine/checkpoint/coordinator.h"
#include "engine/checkpoint/restore_watch.h"
#include "engine/graph/plan.h"
#include "engine/operator/sink.h"
#include "engine/runtime/job.h"
#include "engine/runtime/source_stage.h"
#include "engine/runtime/threaded_scheduler.h"

namespace tidemill {

// Members are destroyed from the last to the first: tasks before the store and the protocol they
// write to.
struct Supervisor::Attempt {
  Resources resources;
  SourceControl control;
  AttemptInfo info;
  OutputFreshness freshness;
  std::shared_ptr<SourceRegistry> sources = std::make_shared<SourceRegistry>();
  std::unique_ptr<CommitProtocol> protocol;
  std::unique_ptr<SnapshotStore> store;
  Plan plan;
  RestorePoint point;
  std::unique_ptr<Coordinator> coordinator;
  std::unique_ptr<Job> job;
  std::unique_ptr<ThreadedScheduler> scheduler;
};

Supervisor::Supervisor(SupervisorSettings settings, Graph graph, Deployment deployment,
                       MetricRegistry& metrics, const Clock& clock)
    : settings_(std::move(settings)),
      graph_(std::move(graph)),
      deployment_(std::move(deployment)),
      metrics_(metrics),
      num_restarts_(metrics.counter("tidemill_restarts_total", {}, "Attempts that failed")),
      clock_(clock),
      choice_(settings_.restore),
      state_changes_(settings_.state_changes),
      hold_(settings_.hold),
      sources_(std::make_shared<SourceRegistry>()) {}

Supervisor::~Supervisor() = default;

Supervisor::Outcome Supervisor::run() {
  try {
    const Outcome outcome = run_attempts();
    refuse_savepoints("the job has ended");
    return outcome;
  } catch (const std::exception& e) {
    refuse_savepoints(std::string("the job has failed: ") + e.what());
    throw;
  }
}

Supervisor::Outcome Supervisor::run_attempts() {
  CheckpointStorage storage(settings_.checkpoint_folder, CheckpointStorage::Access::kOwn,
                            settings_.is_durable);
  open_foreign();
  Duration pause = settings_.first_backoff;
  std::size_t failures = 0;
  while (true) {
    committed_in_attempt_ = false;
    std::string what;
    try {
      const Outcome outcome = run_attempt(storage);
      if (!taken_over_.empty()) finish_take_over(storage);
      set_state(JobProgress::State::kFinished);
      return outcome;
    } catch (const Error& e) {
      return_savepoints();
      if (committed_in_attempt_) {
        failures = 0;
        pause = settings_.first_backoff;
      }
      ++failures;
      {
        const std::lock_guard lock(mutex_);
        progress_.last_failure = e.what();
        if (failures_.size() == kFailuresKept) failures_.pop_front();
        failures_.push_back(
            {clock_.processing_time().ms, progress_.attempt, e.code(), e.what(), place_of(e)});
        enter(JobProgress::State::kFailed);
      }
      if (!is_restartable(e.code())) throw;
      if (failures > settings_.max_restarts) {
        throw Error(e.code(), "gave up after " + std::to_string(failures - 1) +
                                  " restarts without a new checkpoint: " + e.what());
      }
      what = e.what();
    }
    {
      const std::lock_guard lock(mutex_);
      ++progress_.restarts;
      enter(JobProgress::State::kRestarting);
    }
    num_restarts_.add();
    log(LogLevel::kWarn, "attempt failed, restarting from the last committed checkpoint in " +
                             std::to_string(pause.count()) + " ms: " + what);
    if (!back_off(pause)) return Outcome::kStopped;  // nothing is lost: the last commit stands
    pause = std::min(pause * 2, settings_.max_backoff);
  }
}

bool Supervisor::request_stop(StopMode mode) {
  const std::lock_guard lock(mutex_);
  if (mode < stop_mode_) return false;
  stop_mode_ = mode;
  has_news_ = true;
  something_happened_.notify_all();
  return true;
}

std::future<std::string> Supervisor::request_savepoint() { return ask_for_savepoint(false); }

std::future<std::string> Supervisor::request_stop_with_savepoint() {
  return ask_for_savepoint(true);
}

std::future<std::string> Supervisor::ask_for_savepoint(bool is_last) {
  const std::lock_guard lock(mutex_);
  SavepointRequest request;
  request.is_last = is_last;
  auto answer = request.answer.get_future();
  const StopMode allowed = is_last ? StopMode::kSavepoint : StopMode::kNone;
  if (has_run_ || stop_mode_ > allowed) {
    request.answer.set_exception(std::make_exception_ptr(
        Error(ErrorCode::kRefused, "no savepoint can be taken: the job is being stopped")));
    return answer;
  }
  if (is_last) stop_mode_ = StopMode::kSavepoint;
  savepoint_requests_.push_back(std::move(request));
  has_news_ = true;
  something_happened_.notify_all();
  return answer;
}

bool Supervisor::take_up_savepoints(bool is_stopping) {
  const std::lock_guard lock(mutex_);
  bool found = false;
  for (SavepointRequest& request : savepoint_requests_) {
    if (request.is_last && !is_stopping) continue;
    found = found || !request.is_taken_up;
    request.is_taken_up = true;
  }
  return found;
}

void Supervisor::answer_savepoints(const std::string& id) {
  const std::lock_guard lock(mutex_);
  for (SavepointRequest& request : savepoint_requests_) {
    if (request.is_taken_up) request.answer.set_value(id);
  }
  std::erase_if(savepoint_requests_, [](const auto& request) { return request.is_taken_up; });
}

// The attempt that took them up has failed: the next one serves them.
void Supervisor::return_savepoints() {
  const std::lock_guard lock(mutex_);
  for (SavepointRequest& request : savepoint_requests_) request.is_taken_up = false;
}

void Supervisor::refuse_savepoints(const std::string& why) {
  const std::lock_guard lock(mutex_);
  has_run_ = true;
  for (SavepointRequest& request : savepoint_requests_) {
    request.answer.set_exception(
        std::make_exception_ptr(Error(ErrorCode::kRefused, "no savepoint was taken: " + why)));
  }
  savepoint_requests_.clear();
}

void Supervisor::request_checkpoint() {
  checkpoint_requested_ = true;
  const std::lock_guard lock(mutex_);
  has_news_ = true;
  something_happened_.notify_all();
}

std::optional<std::future<StateQuery>> Supervisor::ask(StateQuery query) const {
  const std::lock_guard lock(mutex_);
  if (running_ == nullptr) {
    throw Error(ErrorCode::kIo,
                "the state cannot be asked for just now: the job is not running; try "
                "again, or ask for that of a checkpoint");
  }
  return running_->job->ask(std::move(query));
}

std::vector<StateDescription> Supervisor::states() const {
  const std::lock_guard lock(mutex_);
  return running_ == nullptr ? std::vector<StateDescription>() : running_->store->describe();
}

JobProgress Supervisor::progress() const {
  const std::lock_guard lock(mutex_);
  return progress_;
}

std::map<std::string, std::shared_ptr<SourceWatermarks>> Supervisor::event_time() const {
  std::shared_ptr<SourceRegistry> sources;
  {
    const std::lock_guard lock(mutex_);
    sources = sources_;
  }
  return sources->all();
}

namespace {

// Deletes nothing, so that another job may go on with its own.
std::unique_ptr<CheckpointStorage> open_folder(const ForeignCheckpoint& from,
                                               CheckpointStorage::Access access, bool is_durable) {
  if (!std::filesystem::is_directory(from.folder)) {
    // Made by whoever locks it: a job that does not exist gets none.
    access = CheckpointStorage::Access::kReadOnly;
  }
  return std::make_unique<CheckpointStorage>(from.folder, access, is_durable);
}

}  // namespace

void Supervisor::open_foreign() {
  // A replay must have ended; the job whose checkpoint a first start begins with may go on.
  if (settings_.take_over)
    foreign_ =
        open_folder(*settings_.take_over, CheckpointStorage::Access::kOwn, settings_.is_durable);
  else if (settings_.first_from)
    foreign_ = open_folder(*settings_.first_from, CheckpointStorage::Access::kReadOnly,
                           settings_.is_durable);
}

RestorePoint Supervisor::choose(const std::optional<CommitRecord>& record,
                                const CheckpointStorage& storage) {
  is_state_foreign_ = false;
  if (settings_.take_over) {
    TakeOverPoint chosen =
        choose_take_over(settings_.job, record, storage, *settings_.take_over, *foreign_, graph_);
    if (!chosen.point) {
      taken_over_ = chosen.lineage;
      return {};
    }
    is_state_foreign_ = true;
    return std::move(*chosen.point);
  }
  if (choice_.kind == RestoreChoice::Kind::kLatest) refuse_unfinished_hand_over(storage, record);
  RestorePoint point = choose_restore_point(settings_.job, record, storage, choice_);
  if (!settings_.first_from || record || point.manifest) return point;
  is_state_foreign_ = true;
  return choose_foreign_start(std::move(point), *settings_.first_from, *foreign_, graph_);
}

// Nothing of the job runs any more.
void Supervisor::finish_take_over(const CheckpointStorage& storage) const {
  TM_CRASH_POINT("take_over_decided");
  for (const auto& step : settings_.after_take_over) step(taken_over_);
  remove_hand_over(storage);
  log(LogLevel::kInfo, "job " + settings_.job + " has taken over " + taken_over_ +
                           "; start it without --take-over to go on");
}

RestorePoint Supervisor::prepare(Attempt& attempt, CheckpointStorage& storage,
                                 RestoreWatch& watch) {
  TM_CRASH_POINT("before_init");
  attempt.protocol = deployment_.make_protocol(attempt.resources, storage);
  const auto record = attempt.protocol->acquire();
  watch.reached(&RestoreRun::fence_us);
  TM_CRASH_POINT("after_fence");
  RestorePoint point = choose(record, storage);
  if (!taken_over_.empty()) return point;
  // Only now: a refused start changes nothing.
  storage.remove_unfinished();
  if (settings_.take_over) {
    note_hand_over(storage, point.lineage);
    storage.audit(point.why);
    TM_CRASH_POINT("take_over_noted");
  } else {
    remove_hand_over(storage);
  }
  log(LogLevel::kInfo, "job " + settings_.job + ": " + point.why);
  if (choice_.kind != RestoreChoice::Kind::kLatest || !choice_.assume_committed.empty()) {
    storage.audit(point.why + (choice_.accept_duplicates ? ", duplicates accepted" : ""));
  }
  attempt.store = deployment_.make_store(attempt.resources);
  if (point.manifest) {
    watch.restores(point.manifest->checkpoint);
    for (const std::string& done :
         load_state(state_changes_, settings_.backend, is_state_foreign_ ? *foreign_ : storage,
                    *point.manifest, *attempt.store))
      storage.audit(done);
    watch.reached(&RestoreRun::load_us);
    TM_CRASH_POINT("mid_restore");
    // What a committed checkpoint prepared is published, also one that a person vouches for.
    if (point.may_be_unpublished) publish_prepared(graph_, point.manifest->prepared);
    if (!point.is_new_lineage) {
      // Never committed, and the fence makes sure that they never will be.
      for (const CheckpointName& name : storage.list()) {
        if (name.seq > point.manifest->seq) storage.remove(name.id);
      }
      point.next = point.manifest->seq + 1;
    }
  } else {
    attempt.store->restore({}, {});
  }
  for (const Node& node : graph_.nodes) {
    if (node.discard_unpublished) node.discard_unpublished();
  }
  watch.reached(&RestoreRun::publish_us);
  return point;
}

Supervisor::Outcome Supervisor::run_attempt(CheckpointStorage& storage) {
  Attempt attempt;
  {
    const std::lock_guard lock(mutex_);
    ++progress_.attempt;
    enter(JobProgress::State::kStarting);
    sources_ = attempt.sources;
  }
  RestoreWatch watch(restore_log_, clock_, progress_.attempt);
  attempt.resources.lend(attempt.control);
  attempt.resources.lend(*attempt.sources);
  attempt.resources.lend(hold_);
  attempt.resources.lend(bad_samples_);
  attempt.point = prepare(attempt, storage, watch);
  if (!taken_over_.empty()) {
    watch.succeeded();
    return Outcome::kStopped;
  }
  attempt.info = {settings_.job, attempt.point.next, CheckpointStorage::new_id(attempt.point.next),
                  attempt.point.is_new_lineage && attempt.point.manifest && !is_state_foreign_};
  attempt.resources.lend(attempt.info);
  attempt.resources.lend(attempt.freshness);
  const auto& manifest = attempt.point.manifest;
  attempt.plan = make_plan(graph_, settings_.parallelism,
                           manifest ? manifest->key_groups : settings_.key_groups);
  Coordinator::Settings coordinator;
  coordinator.job = settings_.job;
  coordinator.lineage = attempt.point.lineage;
  // A first start that is killed before its commit is one again, also with another job's state.
  const bool has_parent = manifest && (!is_state_foreign_ || settings_.take_over);
  coordinator.parent = has_parent ? manifest->checkpoint : "";
  coordinator.next = attempt.point.next;
  coordinator.interval = settings_.checkpoint_interval;
  coordinator.retained = settings_.retained_checkpoints;
  coordinator.backend = settings_.backend;
  attempt.coordinator = std::make_unique<Coordinator>(
      coordinator, attempt.plan, storage, *attempt.store, *attempt.protocol, metrics_, clock_);
  attempt.job = std::make_unique<Job>(attempt.plan, manifest ? &manifest->operators : nullptr,
                                      attempt.resources, metrics_, clock_,
                                      [this, &attempt](TaskSnapshot snapshot) {
                                        attempt.coordinator->acknowledge(std::move(snapshot));
                                        const std::lock_guard lock(mutex_);
                                        has_news_ = true;
                                        something_happened_.notify_all();
                                      });
  if (manifest) {
    for (const std::string& done : drop_states(state_changes_, *manifest,
                                               attempt.job->unused_parts(), graph_, *attempt.store))
      storage.audit(done);
  }
  attempt.coordinator->attach(*attempt.job);
  attempt.coordinator->attach(attempt.freshness);
  attempt.coordinator->attach(checkpoint_log_);
  attempt.protocol->begin(attempt.point.next);
  watch.reached(&RestoreRun::build_us);
  watch.succeeded();
  static std::once_flag released;
  std::call_once(released, release_start_pages);
  return drive(attempt);
}

Supervisor::Outcome Supervisor::drive(Attempt& attempt) {
  const auto drain = [&] {
    attempt.coordinator->note_drain();  // before any position says so
    attempt.control.drained = true;
    log(LogLevel::kInfo, "drain: the input ends here; everything fires and is committed");
  };
  // A drain that was begun before is completed and no record read: its positions have ended.
  bool draining = attempt.point.manifest && attempt.point.manifest->is_drained;
  if (draining) drain();
  // The start positions (or the choice of another checkpoint) are committed before the first record
  // flows.
  if (attempt.point.is_new_lineage) {
    attempt.coordinator->request();
  } else {
    attempt.control.released = true;
  }
  attempt.scheduler = std::make_unique<ThreadedScheduler>(
      *attempt.job, static_cast<std::size_t>(settings_.parallelism));
  set_state(draining ? JobProgress::State::kStopping : JobProgress::State::kRunning);
  {
    const std::lock_guard lock(mutex_);
    running_ = &attempt;
  }
  const struct NotRunning {
    Supervisor& supervisor;
    ~NotRunning() {
      const std::lock_guard lock(supervisor.mutex_);
      supervisor.running_ = nullptr;
    }
  } not_running{*this};
  bool stopping = false;
  bool ending = false;
  std::uint64_t last_seen = 0;
  std::optional<std::uint64_t> final_commit;  // the count of commits that ends the attempt
  while (true) {
    if (attempt.scheduler->has_failed()) {
      attempt.scheduler->stop();
      attempt.scheduler->rethrow_failure();
    }
    if (checkpoint_requested_.exchange(false)) attempt.coordinator->request();
    const StopMode mode = stop_mode_;
    if (mode == StopMode::kCancel) {
      attempt.scheduler->stop();
      return Outcome::kStopped;
    }
    if (!draining && mode == StopMode::kDrain) {
      draining = true;
      drain();
      set_state(JobProgress::State::kStopping);
    }
    if (!stopping && mode > StopMode::kDrain) {
      stopping = true;
      attempt.control.stopped = true;
      set_state(JobProgress::State::kStopping);
    }
    if (!attempt.coordinator->is_in_flight() && take_up_savepoints(stopping))
      attempt.coordinator->request_savepoint();
    if (!ending && attempt.scheduler->has_ended()) ending = true;
    if ((stopping || ending) && !final_commit && !attempt.coordinator->is_in_flight()) {
      attempt.coordinator->request(ending);
      final_commit = attempt.coordinator->num_committed() + 1;
    }
    const bool did_something = attempt.coordinator->step();
    const std::uint64_t committed = attempt.coordinator->num_committed();
    if (committed != last_seen) {
      last_seen = committed;
      committed_in_attempt_ = true;
      if (settings_.take_over) {
        // Decided. No record flows: what must follow comes first.
        attempt.scheduler->stop();
        taken_over_ = attempt.point.lineage;
        return Outcome::kStopped;
      }
      attempt.control.released = true;
      choice_ = {};  // a choice counts once
      state_changes_ = {};
      if (attempt.coordinator->is_last_savepoint())
        answer_savepoints(attempt.coordinator->last_committed());
      const std::lock_guard lock(mutex_);
      ++progress_.committed;
      progress_.last_checkpoint = attempt.coordinator->last_committed();
      progress_.last_commit_at = clock_.monotonic();
    }
    if (final_commit && committed >= *final_commit) {
      attempt.scheduler->stop();
      return ending ? Outcome::kFinished : Outcome::kStopped;
    }
    if (!did_something) wait_for_work();
  }
}

void Supervisor::wait_for_work() {
  std::unique_lock lock(mutex_);
  something_happened_.wait_for(lock, std::chrono::milliseconds(2), [&] { return has_news_; });
  has_news_ = false;
}

void Supervisor::set_state(JobProgress::State state) {
  const std::lock_guard lock(mutex_);
  enter(state);
}

void Supervisor::enter(JobProgress::State state) {
  if (progress_.state != state || progress_.state_since_ms == 0)
    progress_.state_since_ms = clock_.processing_time().ms;
  progress_.state = state;
}

bool Supervisor::back_off(Duration pause) {
  std::unique_lock lock(mutex_);
  // What a drain or a savepoint wants takes another attempt.
  const auto is_stopped = [&] { return stop_mode_ > StopMode::kSavepoint; };
  something_happened_.wait_for(lock, pause, is_stopped);
  return !is_stopped();
}

}  // namespace tidemill
