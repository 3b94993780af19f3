#include "engine/checkpoint/coordinator.h"

#include <algorithm>
#include <utility>

#include "engine/base/error.h"
#include "engine/base/fault.h"
#include "engine/base/log.h"
#include "engine/checkpoint/state_changes.h"

namespace tidemill {
namespace {

std::int64_t us(std::chrono::nanoseconds from, std::chrono::nanoseconds to) {
  return std::chrono::duration_cast<std::chrono::microseconds>(to - from).count();
}

}  // namespace

void publish_prepared(const Graph& graph, const std::vector<Manifest::Prepared>& prepared) {
  require_sinks(graph, prepared);
  for (const Manifest::Prepared& p : prepared) {
    graph.find(p.operator_name)->publish(p.bytes);
    TM_CRASH_POINT("in_outbox_apply");
  }
}

Coordinator::Coordinator(Settings settings, const Plan& plan, CheckpointStorage& storage,
                         SnapshotStore& store, CommitProtocol& protocol, MetricRegistry& metrics,
                         const Clock& clock)
    : settings_(std::move(settings)),
      plan_(plan),
      storage_(storage),
      store_(store),
      protocol_(protocol),
      clock_(clock),
      metrics_(metrics),
      duration_us_(
          metrics.histogram("tidemill_checkpoint_duration_seconds", {}, "Trigger to commit")),
      completed_(metrics.counter("tidemill_checkpoints_committed_total")),
      declined_(metrics.counter("tidemill_checkpoints_declined_total")),
      last_committed_(metrics.gauge("tidemill_checkpoint_last_committed_seq")),
      last_committed_at_(metrics.gauge("tidemill_checkpoint_last_committed_timestamp_seconds")),
      last_bytes_(metrics.gauge("tidemill_checkpoint_last_bytes")),
      next_(settings_.next),
      parent_(settings_.parent),
      last_end_(clock.monotonic()),
      opened_at_(last_end_) {}

void Coordinator::acknowledge(TaskSnapshot snapshot) {
  const auto now = clock_.monotonic();
  const std::lock_guard lock(mutex_);
  if (!snapshot.entries.empty()) {
    const TaskSnapshot::Entry& head = snapshot.entries.front();
    parts_.push_back({head.operator_name, head.subtask, us(triggered_at_, snapshot.aligned_at),
                      us(triggered_at_, now)});
  }
  stall_ = std::max(stall_, snapshot.stall);
  acknowledged_.push_back(std::move(snapshot));
}

bool Coordinator::step() {
  if (in_flight_) {
    {
      const std::lock_guard lock(mutex_);
      if (acknowledged_.size() < job_->num_tasks()) return false;
    }
    complete();
    return true;
  }
  const bool is_due =
      settings_.interval > Duration::zero() && clock_.monotonic() - last_end_ >= settings_.interval;
  if (!requested_ && !is_due) return false;
  trigger();
  return true;
}

void Coordinator::trigger() {
  requested_ = false;
  is_savepoint_ = std::exchange(savepoint_requested_, false);
  in_flight_ = next_++;
  triggered_at_ = clock_.monotonic();
  triggered_ms_ = clock_.processing_time().ms;
  {
    const std::lock_guard lock(mutex_);
    parts_.clear();
    stall_ = {};
  }
  job_->request_checkpoint(*in_flight_);
}

void Coordinator::complete() {
  const std::string id = CheckpointStorage::new_id(*in_flight_);
  std::optional<std::pair<Manifest, std::uint64_t>> stored;
  const auto record_of = [&](const Manifest& m, std::uint64_t hash) {
    return CommitRecord{settings_.job, m.checkpoint, m.seq, settings_.lineage, hash, m.sources};
  };
  if (TM_BROKEN("commit_before_snapshot")) {
    const std::lock_guard lock(mutex_);
    const auto acknowledged = acknowledged_;
    protocol_.commit(record_of(collect(id), 0));
    acknowledged_ = acknowledged;
    TM_CRASH_POINT("commit_before_snapshot");
  }
  drained_at_ = clock_.monotonic();
  stored = store(id);
  if (!stored) return;
  stored_at_ = clock_.monotonic();
  TM_CRASH_POINT("after_snapshot");
  const auto& [manifest, hash] = *stored;
  if (!TM_BROKEN("commit_before_snapshot")) protocol_.commit(record_of(manifest, hash));
  TM_CRASH_POINT("after_commit");
  carried_.clear();
  protocol_.begin(next_);
  publish_prepared(plan_.graph, manifest.prepared);
  parent_ = id;
  is_last_savepoint_ = is_savepoint_;
  ++num_committed_;
  completed_.add();
  last_committed_.set(static_cast<double>(manifest.seq));
  const EventTime now = clock_.processing_time();
  last_committed_at_.set(static_cast<double>(now.ms) / 1000);
  if (freshness_ != nullptr) freshness_->committed(manifest.seq, now);
  last_end_ = clock_.monotonic();
  opened_at_ = last_end_;
  duration_us_.record(static_cast<std::uint64_t>(us(triggered_at_, last_end_)));
  note(id, CheckpointRun::Result::kCommitted, "");
  in_flight_.reset();
  remove_old();
}

std::optional<std::pair<Manifest, std::uint64_t>> Coordinator::store(const std::string& id) {
  std::vector<TaskSnapshot> snapshots;
  try {
    const auto folder = storage_.begin(id);
    std::vector<StoredFile> files = store_.snapshot(*in_flight_, folder);
    TM_CRASH_POINT("mid_snapshot");
    Manifest manifest;
    {
      const std::lock_guard lock(mutex_);
      manifest = collect(id);
    }
    manifest.files = std::move(files);
    std::uint64_t bytes = 0;
    for (const StoredFile& f : manifest.files) bytes += f.size;
    last_bytes_.set(static_cast<double>(bytes));
    for (const StoreMemory& memory : store_.memory()) {
      metrics_.gauge("tidemill_state_store_memory_bytes", {{"use", memory.use}})
          .set(static_cast<double>(memory.bytes));
    }
    bytes_ = bytes;
    const std::uint64_t hash = storage_.finish(manifest, is_savepoint_);
    const std::lock_guard lock(mutex_);
    acknowledged_.clear();
    return std::pair(std::move(manifest), hash);
  } catch (const Error& e) {
    if (e.code() != ErrorCode::kIo) throw;
    decline(id, e.what());
    return std::nullopt;
  }
}

Manifest Coordinator::collect(const std::string& id) {
  Manifest m;
  m.job = settings_.job;
  m.checkpoint = id;
  m.seq = *in_flight_;
  m.lineage = settings_.lineage;
  m.parent = parent_;
  m.created_ms = std::chrono::duration_cast<std::chrono::milliseconds>(
                     std::chrono::system_clock::now().time_since_epoch())
                     .count();
  m.key_groups = plan_.key_groups;
  m.parallelism = static_cast<std::uint32_t>(plan_.parallelism);
  m.backend = settings_.backend;
  m.is_final = is_final_;
  m.is_drained = is_drained_;
  m.prepared = carried_;
  std::vector<TaskSnapshot::Entry*> entries;
  for (TaskSnapshot& task : acknowledged_) {
    for (auto& entry : task.entries) entries.push_back(&entry);
  }
  std::sort(entries.begin(), entries.end(), [](const auto* a, const auto* b) {
    return std::tie(a->operator_name, a->subtask) < std::tie(b->operator_name, b->subtask);
  });
  for (const TaskSnapshot::Entry* entry : entries) {
    m.operators[entry->operator_name].subtasks.push_back({entry->snapshot.parts, {}});
    if (!entry->snapshot.prepared.empty())
      m.prepared.push_back({entry->operator_name, entry->snapshot.prepared});
    if (plan_.graph.find(entry->operator_name)->make_source) {
      if (m.sources.empty() || m.sources.back().source != entry->operator_name)
        m.sources.push_back({entry->operator_name, {}});
      auto& splits = m.sources.back().splits;
      splits.insert(splits.end(), entry->snapshot.positions.begin(),
                    entry->snapshot.positions.end());
    }
  }
  for (SourcePositions& s : m.sources) {
    std::sort(s.splits.begin(), s.splits.end(),
              [](const auto& a, const auto& b) { return a.split < b.split; });
  }
  return m;
}

// Nothing was committed and nothing is lost: what this checkpoint froze is part of the next one,
// the open transaction stays open.
void Coordinator::decline(const std::string& id, const std::string& why) {
  storage_.abandon(id);
  declined_.add();
  const auto now = clock_.monotonic();
  last_end_ = stored_at_ = now;
  note(id, CheckpointRun::Result::kDeclined, why);
  const Duration open_for = std::chrono::duration_cast<Duration>(now - opened_at_);
  const Duration patience = protocol_.patience();
  if (open_for > patience) {
    throw Error(ErrorCode::kStop,
                "checkpoints cannot be stored, and nothing was committed for " +
                    std::to_string(open_for.count()) + " ms (the limit is " +
                    std::to_string(patience.count()) +
                    "); nothing is lost: free space in or mend the checkpoint folder, then start "
                    "the job again: " +
                    storage_.folder().string() + ": " + why);
  }
  log(LogLevel::kWarn, "checkpoint " + std::to_string(*in_flight_) +
                           " could not be stored and is declined; trying again: " + why);
  {
    const std::lock_guard lock(mutex_);
    carried_ = collect(id).prepared;
    acknowledged_.clear();
  }
  in_flight_.reset();
  requested_ = settings_.interval <= Duration::zero();
  savepoint_requested_ = savepoint_requested_ || is_savepoint_;
  protocol_.begin(next_);
}

void Coordinator::note(const std::string& id, CheckpointRun::Result result,
                       const std::string& reason) {
  if (log_ == nullptr) return;
  CheckpointRun run;
  run.id = id;
  run.seq = *in_flight_;
  run.triggered_ms = triggered_ms_;
  run.duration_us = us(triggered_at_, last_end_);
  {
    const std::lock_guard lock(mutex_);
    run.parts = parts_;
    run.stall_us = us({}, stall_);
  }
  for (const CheckpointRun::Part& part : run.parts)
    run.align_us = std::max(run.align_us, part.aligned_us);
  run.drain_us = us(triggered_at_, drained_at_) - run.align_us;
  run.store_us = us(drained_at_, stored_at_);
  run.commit_us = us(stored_at_, last_end_);
  run.bytes = bytes_;
  if (!run.parts.empty()) {
    run.slowest = run.parts.back().operator_name;
    run.slowest_subtask = run.parts.back().subtask;
  }
  // The last ones are those that were waited for.
  if (run.parts.size() > CheckpointRun::kMostParts)
    run.parts.erase(run.parts.begin(), run.parts.end() - CheckpointRun::kMostParts);
  run.result = result;
  run.reason = reason;
  log_->add(std::move(run));
}

void Coordinator::remove_old() {
  auto all = storage_.list();
  std::erase_if(all, [](const CheckpointName& name) { return name.is_savepoint; });
  if (all.size() <= settings_.retained) return;
  all.resize(all.size() - settings_.retained);
  for (const CheckpointName& name : all) storage_.remove(name.id);
}

}  // namespace tidemill
