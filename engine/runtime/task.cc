#include "engine/runtime/task.h"

#include <algorithm>
#include <chrono>
#include <typeinfo>
#include <utility>

#include "engine/base/error.h"
#include "engine/base/fault.h"
#include "engine/base/operator_error.h"

namespace tidemill {
namespace {

// What a step copies out of frozen state, at most: rows wait meanwhile, and an entry may be large.
constexpr std::size_t kDrainEntries = 2048;
constexpr std::size_t kDrainPiece = 128;
constexpr std::chrono::microseconds kDrainFor{500};
constexpr std::size_t kStepsBetweenFlushes =
    16;  // bounds how long a row waits for company in an exchange

}  // namespace

void SourceHead::freeze(CheckpointId id) {
  snapshot_ = {};
  for (Snapshotable* part : context_->snapshotables()) part->freeze(id);
  draining_ = 0;
}

bool SourceHead::drain(std::size_t max_entries) {
  const auto& parts = context_->snapshotables();
  while (draining_ < parts.size()) {
    if (!parts[draining_]->drain(snapshot_, max_entries)) return false;
    ++draining_;
  }
  return true;
}

bool SourceHead::is_blocked() const {
  const auto& ports = context_->ports();
  return std::any_of(ports.begin(), ports.end(),
                     [](const auto& port) { return port && port->is_blocked(); });
}

Stage& Task::add_stage(std::unique_ptr<Stage> stage) {
  stages_.push_back(std::move(stage));
  return *stages_.back();
}

bool Task::is_blocked() const {
  if (source_ && source_->is_blocked()) return true;
  return std::any_of(stages_.begin(), stages_.end(),
                     [](const auto& stage) { return stage->is_blocked(); });
}

bool Task::has_ended() const {
  if (source_ && !source_->driver().has_ended()) return false;
  return std::all_of(stages_.begin(), stages_.end(),
                     [](const auto& stage) { return stage->has_ended(); });
}

bool Task::has_pending_work() const {
  if (draining_ || requested_.load(std::memory_order_acquire) > begun_) return true;
  if (gate_ && gate_->has_message()) return true;
  return std::any_of(stages_.begin(), stages_.end(),
                     [](const auto& stage) { return stage->has_work(); });
}

std::future<StateQuery> Task::ask(StateQuery query) {
  const std::lock_guard lock(queries_mutex_);
  auto& [_, answer] = queries_.emplace_back(std::move(query), std::promise<StateQuery>());
  has_queries_.store(true, std::memory_order_relaxed);
  return answer.get_future();
}

// Whoever asks has asked for something that does not exist, at worst: that is no failure of the
// job.
void Task::answer_queries() {
  const std::lock_guard lock(queries_mutex_);
  has_queries_.store(false, std::memory_order_relaxed);
  for (auto& [query, answer] : queries_) {
    try {
      for (const auto& stage : stages_) {
        if (stage->answer(query)) break;
      }
    } catch (const std::exception& e) {
      query.error = e.what();
    }
    answer.set_value(std::move(query));
  }
  queries_.clear();
}

Task::Step Task::step(std::size_t turn) {
  if (has_queries_.load(std::memory_order_relaxed)) [[unlikely]]
    answer_queries();
  bool worked = drain();
  if (source_ && begin_checkpoint()) worked = true;
  if (is_blocked()) {
    if (source_) source_->driver().on_blocked();
    flush_exchanges();
    return worked ? Step::kWorked : Step::kBlocked;
  }
  for (const auto& stage : stages_) {
    if (!stage->has_work()) continue;
    stage->work();
    worked = true;
    break;
  }
  if (step_input(turn)) worked = true;
  if (!worked || ++steps_since_flush_ >= kStepsBetweenFlushes) flush_exchanges();
  return worked ? Step::kWorked : Step::kIdle;
}

bool Task::step_input(std::size_t turn) {
  if (source_) return step_source();
  auto next = gate_->next(turn);
  if (!next) return false;
  Stage& head = *stages_.front();
  if (next->message.batch) {
    head.on_exchanged(next->port, std::move(next->message.batch));
    gate_->release();
    return true;
  }
  const Signal signal = next->message.signal;
  if (signal.kind != SignalKind::kBarrier) {
    head.on_signal(signal);
  } else {
    TM_CHECK(!draining_);
    const auto begin = clock_.monotonic();
    head.on_signal(signal);
    note_barrier(begin);
    TM_CRASH_POINT("at_barrier");
    draining_ = signal.checkpoint;
    drained_stages_ = 0;
  }
  return true;
}

// What the reader throws does not know whose it is. An error that knows more stays what it is.
bool Task::step_source() {
  try {
    return source_->driver().step();
  } catch (const Error& e) {
    if (typeid(e) != typeid(Error)) throw;
    throw OperatorError(e.code(), e.what(),
                        {source_->context().name(), source_->context().subtask(), ""});
  }
}

void Task::note_barrier(std::chrono::nanoseconds begin) {
  aligned_at_ = begin;
  stall_ = clock_.monotonic() - begin;
  meter_.stalled(stall_);
}

void Task::tick() {
  if (source_) source_->context().count_emitted();
  flush_exchanges();
  for (const auto& stage : stages_) stage->tick();
}

bool Task::begin_checkpoint() {
  const CheckpointId requested = requested_.load(std::memory_order_acquire);
  if (requested <= begun_ || draining_) return false;
  begun_ = requested;
  const CheckpointId id = requested - 1;
  const auto begin = clock_.monotonic();
  for (auto& port : source_->context().ports()) {
    if (port) port->flush();
  }
  source_->freeze(id);
  for (auto& port : source_->context().ports()) {
    if (port) port->signal(Signal::barrier(id));
  }
  flush_exchanges();
  note_barrier(begin);
  TM_CRASH_POINT("at_barrier");
  draining_ = id;
  drained_stages_ = 0;
  return true;
}

// Copies a piece of the frozen state; when all is copied the checkpoint is acknowledged.
bool Task::drain() {
  if (!draining_) return false;
  const auto begin = clock_.monotonic();
  for (std::size_t entries = 0; entries < kDrainEntries; entries += kDrainPiece) {
    if (drain_piece()) {
      acknowledge();
      break;
    }
    if (clock_.monotonic() - begin >= kDrainFor) break;
  }
  return true;
}

// True when all is copied.
bool Task::drain_piece() {
  if (drained_stages_ == 0) {
    if (source_ && !source_->drain(kDrainPiece)) return false;
    ++drained_stages_;
  }
  for (; drained_stages_ <= stages_.size(); ++drained_stages_) {
    if (!stages_[drained_stages_ - 1]->drain(kDrainPiece)) return false;
  }
  return true;
}

void Task::acknowledge() {
  TaskSnapshot snapshot;
  snapshot.checkpoint = *draining_;
  if (source_)
    snapshot.entries.push_back(
        {source_->context().name(), source_->context().subtask(), source_->take_snapshot()});
  for (const auto& stage : stages_)
    snapshot.entries.push_back({stage->name(), stage->context().subtask(), stage->take_snapshot()});
  snapshot.aligned_at = aligned_at_;
  snapshot.stall = stall_;
  draining_.reset();
  acknowledge_(std::move(snapshot));
}

void Task::flush_exchanges() {
  steps_since_flush_ = 0;
  for (const auto& exchange : exchanges_) exchange->flush();
}

}  // namespace tidemill
