#include "engine/runtime/stage.h"

#include <algorithm>
#include <utility>

#include "engine/base/bytes.h"
#include "engine/base/error.h"
#include "engine/base/operator_error.h"

namespace tidemill {
namespace {

constexpr const char* kClockPart = "#clock";

// After a change of parallelism a subtask may take over groups of several former ones: the smallest
// clock is right for all of them, because operators keep a clock per key group.
StageClock restored_clock(const OperatorContext& context) {
  StageClock clock;
  bool first = true;
  for (const ByteView bytes : context.restored(kClockPart)) {
    ByteReader in(bytes);
    const EventTime target{unordered(in.u64())};
    const EventTime forwarded{unordered(in.u64())};
    clock.target = first ? target : std::min(clock.target, target);
    clock.forwarded = first ? forwarded : std::min(clock.forwarded, forwarded);
    first = false;
  }
  return clock;
}

// Blocked stages are asked by their task directly.
class OnlyInlet final : public Outlet {
 public:
  OnlyInlet(Stage& stage, int input) : stage_(stage), input_(input) {}
  void push(AnyBatch batch) override { stage_.on_batch(input_, std::move(batch)); }
  [[nodiscard]] bool takes_views() const override { return stage_.takes_views(); }
  void push(const AnyView& rows) override { stage_.on_view(input_, rows); }
  void push(const Signal& signal) override { stage_.on_signal(signal); }
  [[nodiscard]] bool is_blocked() const override { return false; }

 private:
  Stage& stage_;
  const int input_;
};

// One of several, whose signals are merged as those of channels are.
class MergedInlet final : public Outlet {
 public:
  MergedInlet(Stage& stage, int input, SignalMerger& signals, std::size_t number)
      : stage_(stage), input_(input), signals_(signals), number_(number) {}
  void push(AnyBatch batch) override {
    // A barrier has passed through all of a task before a row follows it.
    TM_CHECK(!signals_.is_blocked(number_));
    stage_.on_batch(input_, std::move(batch));
  }
  [[nodiscard]] bool takes_views() const override { return stage_.takes_views(); }
  void push(const AnyView& rows) override {
    TM_CHECK(!signals_.is_blocked(number_));
    stage_.on_view(input_, rows);
  }
  void push(const Signal& signal) override {
    signals_.take(number_, signal);
    while (const auto merged = signals_.next()) stage_.on_signal(*merged);
  }
  [[nodiscard]] bool is_blocked() const override { return false; }

 private:
  Stage& stage_;
  const int input_;
  SignalMerger& signals_;
  const std::size_t number_;
};

}  // namespace

Stage::Stage(std::unique_ptr<OperatorContext> context,
             const std::function<std::unique_ptr<Operator>(OperatorContext&)>& make)
    : context_(std::move(context)),
      operator_(make(*context_)),
      clock_(restored_clock(*context_)),
      records_in_(context_->counter("tidemill_records_in_total")),
      watermark_(context_->gauge("tidemill_watermark_timestamp_seconds")) {
  show_watermark();
  // A firing that a checkpoint interrupted goes on.
  firing_ = clock_.forwarded < clock_.target;
  // Who comes behind may have been told less: it waited for another one when the checkpoint was
  // made.
  must_tell_ = context_->is_restored() && clock_.forwarded > EventTime::min();
}

std::unique_ptr<Outlet> Stage::make_inlet(int input, std::size_t number, std::size_t count) {
  if (count == 1) return std::make_unique<OnlyInlet>(*this, input);
  // They all come from one chain, and are one edge.
  if (!inlets_) inlets_.emplace(std::vector<std::size_t>(count, 0), clock_.target);
  return std::make_unique<MergedInlet>(*this, input, *inlets_, number);
}

void Stage::on_batch(int input, AnyBatch batch) {
  records_in_.add(batch->size());
  try {
    operator_->on_batch(input, std::move(batch));
  } catch (...) {
    rethrow_named();
  }
  flush();
}

void Stage::on_view(int input, const AnyView& rows) {
  records_in_.add(rows.size());
  try {
    operator_->on_view(input, rows);
  } catch (...) {
    rethrow_named();
  }
  if (!rows.has_more()) flush();
}

void Stage::on_exchanged(int input, AnyBatch batch) {
  if (exchanged_age_ == nullptr) {
    exchanged_age_ = &context_->metrics().histogram(
        "tidemill_event_age_seconds", {{"stage", "after_exchange"}, {"operator", name()}});
  }
  if (const EventTime last = batch->last_time(); last.is_finite()) {
    exchanged_age_->record(OutputMeter::age_us(last, context_->clock().processing_time()),
                           batch->size());
  }
  on_batch(input, std::move(batch));
}

void Stage::on_signal(const Signal& signal) {
  switch (signal.kind) {
    case SignalKind::kWatermark:
      if (signal.time <= clock_.target) {
        if (must_tell_ && !firing_) tell_watermark();
        return;
      }
      clock_.target = signal.time;
      firing_ = true;
      fire();
      return;
    case SignalKind::kIdle: idle_pending_ = true; break;
    case SignalKind::kActive: idle_pending_ = false; break;
    case SignalKind::kBarrier:
      operator_->before_snapshot();
      flush();
      freeze(signal.checkpoint);
      emit_signal(signal);
      return;
    case SignalKind::kEnd: ending_ = true; break;
  }
  if (!firing_) settle();
}

void Stage::work() {
  if (firing_) {
    fire();
  } else if (ending_ && !ended_) {
    settle();
  }
}

void Stage::tick() {
  try {
    operator_->on_tick();
    for (Snapshotable* part : context_->snapshotables()) part->give_back_memory();
  } catch (...) {
    rethrow_named();
  }
  flush();
  context_->count_emitted();
}

bool Stage::is_outlet_blocked() const {
  const auto& ports = context_->ports();
  return std::any_of(ports.begin(), ports.end(),
                     [](const auto& port) { return port && port->is_blocked(); });
}

void Stage::fire() {
  Progress progress = Progress::kDone;
  try {
    progress = operator_->on_watermark(clock_.target);
  } catch (...) {
    rethrow_named();
  }
  flush();
  if (progress == Progress::kMore) return;
  firing_ = false;
  const EventTime out = operator_->output_watermark(clock_.target);
  if (out > clock_.forwarded || must_tell_) {
    clock_.forwarded = std::max(clock_.forwarded, out);
    tell_watermark();
  }
  settle();
}

void Stage::tell_watermark() {
  must_tell_ = false;
  show_watermark();
  emit_signal(Signal::watermark(clock_.forwarded));
}

void Stage::show_watermark() {
  if (clock_.forwarded.is_finite()) watermark_.set(static_cast<double>(clock_.forwarded.ms) / 1000);
}

void Stage::settle() {
  if (idle_pending_) {
    const bool idle = *std::exchange(idle_pending_, std::nullopt);
    operator_->on_idle(idle);
    emit_signal(idle ? Signal::idle() : Signal::active());
  }
  if (!ending_ || ended_) return;
  Progress progress = Progress::kDone;
  try {
    progress = operator_->on_end();
  } catch (...) {
    rethrow_named();
  }
  if (progress == Progress::kDone) {
    ended_ = true;
    emit_signal(Signal::end());
  } else {
    flush();
  }
}

void Stage::flush() {
  for (auto& port : context_->ports()) {
    if (port) port->flush();
  }
}

void Stage::emit_signal(const Signal& signal) {
  for (auto& port : context_->ports()) {
    if (port) port->signal(signal);
  }
}

void Stage::freeze(CheckpointId id) {
  snapshot_ = {};
  Bytes clock;
  append_u64(clock, ordered(clock_.target.ms));
  append_u64(clock, ordered(clock_.forwarded.ms));
  snapshot_.parts.push_back({kClockPart, std::move(clock)});
  for (Snapshotable* part : context_->snapshotables()) part->freeze(id);
  draining_ = 0;
}

bool Stage::answer(StateQuery& query) {
  if (query.operator_name != name()) return false;
  const KeyGroupRange groups = context_->key_groups();
  query.subtask = context_->subtask();
  query.key_group = key_group_of(query.hash, groups.groups);
  query.watermark = clock_.target;
  for (Snapshotable* part : context_->snapshotables()) part->answer(query);
  return true;
}

bool Stage::drain(std::size_t max_entries) {
  const auto& parts = context_->snapshotables();
  while (draining_ < parts.size()) {
    if (!parts[draining_]->drain(snapshot_, max_entries)) return false;
    ++draining_;
  }
  return true;
}

// The innermost of the operators that are on the stack.
void Stage::rethrow_named() {
  const ErrorPlace here{name(), context_->subtask(), ""};
  const std::string who = "operator " + name() + "/" + std::to_string(context_->subtask());
  try {
    throw;
  } catch (const OperatorError&) {
    throw;
  } catch (const Error& e) {
    throw OperatorError(e.code(), who + ": " + e.what(), here);
  } catch (const std::exception& e) {
    throw OperatorError(ErrorCode::kUser, who + " threw: " + e.what(), here);
  }
}

}  // namespace tidemill
