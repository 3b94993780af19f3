#include "engine/runtime/task.h"

#include <algorithm>
#include <utility>

#include "engine/base/error.h"
#include "engine/base/fault.h"

namespace tidemill {
namespace {

constexpr std::size_t kDrainEntries = 2048;  // copied out of frozen state per step
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

Task::Step Task::step(std::size_t turn) {
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
  if (source_) return source_->driver().step();
  auto next = gate_->next(turn);
  if (!next) return false;
  Stage& head = *stages_.front();
  if (next->message.batch) {
    head.on_batch(next->port, std::move(next->message.batch));
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
    meter_.stalled(clock_.monotonic() - begin);
    TM_CRASH_POINT("at_barrier");
    draining_ = signal.checkpoint;
    drained_stages_ = 0;
  }
  return true;
}

void Task::tick() {
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
  meter_.stalled(clock_.monotonic() - begin);
  TM_CRASH_POINT("at_barrier");
  draining_ = id;
  drained_stages_ = 0;
  return true;
}

// Copies a piece of the frozen state; when all is copied the checkpoint is acknowledged.
bool Task::drain() {
  if (!draining_) return false;
  if (drained_stages_ == 0) {
    if (source_ && !source_->drain(kDrainEntries)) return true;
    ++drained_stages_;
  }
  while (drained_stages_ <= stages_.size()) {
    if (!stages_[drained_stages_ - 1]->drain(kDrainEntries)) return true;
    ++drained_stages_;
    if (drained_stages_ > stages_.size()) break;
  }
  TaskSnapshot snapshot;
  snapshot.checkpoint = *draining_;
  if (source_)
    snapshot.entries.push_back(
        {source_->context().name(), source_->context().subtask(), source_->take_snapshot()});
  for (const auto& stage : stages_)
    snapshot.entries.push_back({stage->name(), stage->context().subtask(), stage->take_snapshot()});
  draining_.reset();
  acknowledge_(std::move(snapshot));
  return true;
}

void Task::flush_exchanges() {
  steps_since_flush_ = 0;
  for (const auto& exchange : exchanges_) exchange->flush();
}

}  // namespace tidemill
