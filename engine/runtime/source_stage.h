// The runtime's half of a source: decodes what a reader brings, assigns event time, judges bad and
// late records record by record and split by split, and turns splits into one merged watermark.
#pragma once

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "engine/base/fault.h"
#include "engine/base/hash.h"
#include "engine/base/operator_error.h"
#include "engine/data/raw_record.h"
#include "engine/graph/graph.h"
#include "engine/operator/back_pressure.h"
#include "engine/operator/source.h"
#include "engine/runtime/rejected.h"
#include "engine/runtime/source_hold.h"
#include "engine/runtime/source_meter.h"
#include "engine/runtime/source_settings.h"
#include "engine/time/source_watermarks.h"
#include "engine/time/watermark_generator.h"

namespace tidemill {

// Decode: bool(const Raw&, const Origin&, T& out, Rejection& why). TimeOf: EventTime(const T&).
// Ports: 0 the events, 1 late records, 2 bad records (both RejectedRecord; only for Raw =
// RawRecord).
template <class Raw, class T, class Decode, class TimeOf, class Generator>
class SourceStage final : public SourceDriver, private Snapshotable {
 public:
  static_assert(WatermarkGenerator<Generator, T>);

  SourceStage(OperatorContext& ctx, SourceSettings settings,
              std::shared_ptr<SourceWatermarks> watermarks, const ReaderFactory<Raw>& make_reader,
              Decode decode, TimeOf time_of, Generator generator)
      : settings_(settings),
        watermarks_(std::move(watermarks)),
        decode_(std::move(decode)),
        time_of_(std::move(time_of)),
        generator_(std::move(generator)),
        clock_(ctx.clock()),
        control_(ctx.resources().get<SourceControl>()),
        pressure_(ctx.resources().find<BackPressure>()),
        name_(ctx.name()),
        subtask_(ctx.subtask()),
        out_(ctx.output<T>(0)),
        late_(ctx.output<RejectedRecord>(1)),
        bad_(ctx.output<RejectedRecord>(2)),
        meter_(ctx) {
    if (const RestoredOperator* restored = ctx.restored_operator()) {
      for (const auto& subtask : restored->subtasks) {
        restored_.insert(restored_.end(), subtask.positions.begin(), subtask.positions.end());
      }
    }
    was_finished_ = !restored_.empty() &&
                    std::ranges::all_of(restored_, [](const auto& p) { return p.is_finished; });
    reader_ = make_reader(ctx, restored_);
    ctx.attach(*this);
    if (auto* hold = ctx.resources().find<SourceHold>()) {
      hold_.emplace(*hold, [this]() -> std::vector<SplitStatus>& { return reader_->splits(); });
    }
    add_new_splits();
  }

  bool step() override {
    if (control_.drained.load(std::memory_order_acquire) &&
        control_.released.load(std::memory_order_acquire))
      return end_input();
    if (!control_.released.load(std::memory_order_acquire) ||
        control_.stopped.load(std::memory_order_acquire) ||
        (pressure_ != nullptr && pressure_->is_exhausted()) || (hold_ && !hold_->enter())) {
      on_blocked();
      return forward_event_time();
    }
    const SourceHold::Turn turn(hold_ ? &*hold_ : nullptr);
    is_held_ = hold_ && hold_->is_held();
    watermarks_->start();
    const auto now = clock_.monotonic();
    // By what held since the last step, before what other subtasks have said since.
    count_idle_time(now);
    hold_drifting();
    const bool worked = poll(now);
    if (meter_.is_due(now)) {
      for (std::size_t i = 0; i < splits_.size(); ++i)
        meter_.lag(i, reader_->splits()[i], splits_[i].max_time);
    }
    return forward_event_time() || worked;
  }

  void on_blocked() override { last_step_.reset(); }

  [[nodiscard]] std::chrono::nanoseconds next_alarm() const override {
    auto next = std::chrono::nanoseconds::max();
    if (!settings_.idle || !last_step_ || is_held_) return next;
    for (std::size_t i = 0; i < splits_.size(); ++i) {
      const Split& split = splits_[i];
      if (split.is_idle || split.is_finished || !counts_idle_time(reader_->splits()[i])) continue;
      next = std::min(next, *last_step_ + (*settings_.idle - split.idle_for));
    }
    return next;
  }

  [[nodiscard]] bool has_ended() const override { return ended_; }

 private:
  struct Split {
    std::size_t id = 0;  // in watermarks_
    Generator generator;
    EventTime max_time = EventTime::min();
    EventTime base = EventTime::min();  // watermark at the split, its generator's apart
    std::chrono::nanoseconds idle_for{};
    bool is_idle = false;
    bool is_finished = false;
    bool was_finished = false;  // in the checkpoint: nothing may be added
    bool is_touched = false;    // in the batch at hand
    std::size_t last_record = 0;
    std::int64_t tail_offset = -1;
    std::int64_t tail_timestamp = 0;
    std::uint64_t tail_hash = 0;
  };

  void add_new_splits() {
    auto& all = reader_->splits();
    while (splits_.size() < all.size()) {
      SplitStatus& status = all[splits_.size()];
      if (hold_) hold_->tell(status);
      Split split;
      split.generator = generator_;
      split.was_finished = was_finished_;
      std::optional<EventTime> watermark;
      for (const SplitPosition& p : restored_) {
        if (p.split != status.name) continue;
        watermark = p.watermark;
        split.max_time = p.max_time;
        split.tail_offset = p.tail_offset;
        split.tail_timestamp = p.tail_timestamp;
        split.tail_hash = p.tail_hash;
        split.was_finished = p.is_finished;
        ByteReader in(p.generator);
        if (!in.empty()) split.generator.load(in);
      }
      split.id = watermarks_->add_split(status.name, watermark);
      split.base = watermark.value_or(EventTime::min());
      meter_.add_split(status.name);
      splits_.push_back(std::move(split));
    }
  }

  // While a hold is in force nobody waits for a split that waits at its offset.
  void hold_drifting() {
    auto& all = reader_->splits();
    for (std::size_t i = 0; i < splits_.size(); ++i)
      all[i].is_paused = !is_held_ && watermarks_->must_wait(splits_[i].id);
  }

  // Nothing is read any more: every split ends where it stands.
  bool end_input() {
    watermarks_->start();
    on_blocked();
    for (Split& split : splits_) {
      if (!split.is_finished) finish(split);
    }
    return forward_event_time();
  }

  // Only time during which the split could be polled and was empty counts.
  void count_idle_time(std::chrono::nanoseconds now) {
    if (last_step_ && settings_.idle && !is_held_) {
      const auto passed = now - *last_step_;
      const auto& all = reader_->splits();
      for (std::size_t i = 0; i < splits_.size(); ++i) {
        if (counts_idle_time(all[i])) splits_[i].idle_for += passed;
      }
    }
    last_step_ = now;
  }

  static bool counts_idle_time(const SplitStatus& status) {
    return status.state == SplitState::kAtEnd && !status.is_paused && !status.is_held;
  }

  // True if something came, a record or a word about event time.
  bool poll(std::chrono::nanoseconds now) {
    std::size_t most = settings_.max_poll_records;
    if (settings_.records_limit) most = settings_.records_limit->units(now, 1, most);
    if (settings_.bytes_limit && most > 0)
      most = settings_.bytes_limit->units(now, record_bytes_, most);
    if (most == 0) {
      on_blocked();
      return false;
    }
    batch_.clear();
    reader_->poll(batch_, most);
    add_new_splits();
    if (settings_.bad_budget != nullptr && batch_.size() > 0)
      settings_.bad_budget->count(now, batch_.size());
    take_batch();
    return after_poll() || batch_.size() > 0;
  }

  void take_batch() {
    std::size_t bytes = 0;
    for (std::size_t i = 0; i < batch_.size(); ++i) {
      const Origin& origin = batch_.origins[i];
      Split& split = splits_[origin.split];
      if (!split.is_touched) {
        split.is_touched = true;
        if (split.was_finished) refuse_to_go_on(origin.split);
        wake(split);
      }
      split.last_record = i;
      if constexpr (std::is_same_v<Raw, RawRecord>) bytes += batch_.values[i].value.size();
      take(split, batch_.values[i], origin);
    }
    meter_.records.add(batch_.size());
    meter_.bytes.add(bytes);
    if (bytes > 0) record_bytes_ = static_cast<double>(bytes) / static_cast<double>(batch_.size());
    if (settings_.records_limit) settings_.records_limit->spend(static_cast<double>(batch_.size()));
    if (settings_.bytes_limit) settings_.bytes_limit->spend(static_cast<double>(bytes));
    out_.flush();
    late_.flush();
    bad_.flush();
  }

  // At the end of a bounded run event time has gone to its end and everything has taken effect:
  // rows of later records would go back, and records within the bound of disorder would be late.
  [[noreturn]] void refuse_to_go_on(std::size_t split) const {
    throw Error(ErrorCode::kRefused,
                "the bounded run has finished: " + reader_->splits()[split].name +
                    " was read to its end, where everything took effect, and nothing can be added "
                    "to that; process what has come since under another name (--as NAME, "
                    "--from-offsets), or go back to a checkpoint before the end with --restore ID "
                    "--accept-duplicates (--list-checkpoints). A run that shall go on is stopped "
                    "with SIGTERM, not bounded");
  }

  // The split counts (again): from the merged watermark on, if it was idle.
  void wake(Split& split) {
    split.idle_for = {};
    split.is_idle = false;
    split.base = std::max(split.base, watermarks_->activate(split.id));
    // Before the records: from here on they hold event time back downstream too.
    forward_activity();
  }

  void take(Split& split, const Raw& raw, const Origin& origin) {
    T value;
    Rejection why;
    if (!decode_(raw, origin, value, why)) {
      reject_bad(raw, origin, why);
      return;
    }
    const EventTime time = time_of_(value);
    if (settings_.max_future_skew && origin.timestamp.is_finite() &&
        time > origin.timestamp + *settings_.max_future_skew) {
      why = {"future", "event time is " + std::to_string((time - origin.timestamp).count()) +
                           " ms ahead of the record's timestamp"};
      reject_bad(raw, origin, why);
      return;
    }
    if (settings_.lateness &&
        time < std::max(split.base, split.generator.watermark()) - *settings_.lateness &&
        !TM_BROKEN("accept_late")) {
      note_late(split, raw, origin, time);
      reject_late(raw, origin, time, value);
      return;
    }
    split.generator.observe(value, time);
    split.max_time = std::max(split.max_time, time);
    out_.emit(std::move(value), time);
  }

  bool after_poll() {
    bool was_told = false;
    auto& all = reader_->splits();
    for (std::size_t i = 0; i < splits_.size(); ++i) {
      Split& split = splits_[i];
      SplitStatus& status = all[i];
      if (split.was_finished && status.state == SplitState::kAtEnd) refuse_to_go_on(i);
      if (split.is_touched) {
        keep_tail(split);
        advance(split, split.generator.watermark());
        split.is_touched = false;
      }
      if (status.announced || status.announced_idle) was_told = true;
      if (status.announced) {
        wake(split);
        advance(split, *std::exchange(status.announced, std::nullopt));
      }
      const auto announced_idle = std::exchange(status.announced_idle, std::nullopt);
      if (announced_idle == false) wake(split);
      const bool is_quiet =
          announced_idle == true || (settings_.idle && split.idle_for >= *settings_.idle);
      if (is_quiet && !split.is_idle && !split.is_finished &&
          status.state != SplitState::kFinished) {
        split.is_idle = true;
        watermarks_->set_idle(split.id);
      }
      if (status.state == SplitState::kFinished && !split.is_finished) {
        was_told = true;
        finish(split);
      }
    }
    return was_told;
  }

  void finish(Split& split) {
    split.is_finished = true;
    if (split.max_time > EventTime::min())
      split.base = std::max(split.base, split.max_time + Duration(1));
    watermarks_->finish(split.id, split.base);
  }

  void advance(Split& split, EventTime watermark) {
    split.base = std::max(split.base, watermark);
    watermarks_->advance(split.id, split.base);
  }

  void keep_tail(Split& split) {
    const Origin& origin = batch_.origins[split.last_record];
    split.tail_offset = origin.offset;
    split.tail_timestamp = origin.timestamp.ms;
    if constexpr (std::is_same_v<Raw, RawRecord>)
      split.tail_hash = hash_bytes(batch_.values[split.last_record].value);
  }

  // The end of an idle source does not make it active.
  bool forward_activity() {
    if (!idle_sent_ || watermarks_->is_idle() || watermarks_->all_finished()) return false;
    idle_sent_ = false;
    send(Signal::active());
    return true;
  }

  // The merged watermark may have moved because of other subtasks too. It is asked for last: what
  // idleness or the end has raised it to goes before them.
  bool forward_event_time() {
    bool worked = forward_activity();
    const bool is_finished = watermarks_->all_finished();
    const bool is_idle = watermarks_->is_idle();
    const EventTime merged = watermarks_->merged();
    if (merged > sent_) {
      sent_ = merged;
      if (merged.is_finite()) meter_.watermark.set(static_cast<double>(merged.ms) / 1000);
      send(Signal::watermark(merged));
      worked = true;
    }
    if (!idle_sent_ && is_idle) {
      idle_sent_ = true;
      send(Signal::idle());
      worked = true;
    }
    if (!ended_ && is_finished) {
      ended_ = true;
      send(Signal::end());
      worked = true;
    }
    return worked;
  }

  void send(const Signal& signal) {
    out_.signal(signal);
    late_.signal(signal);
    bad_.signal(signal);
  }

  void reject_bad(const Raw& raw, const Origin& origin, const Rejection& why) {
    const SplitStatus& status = reader_->splits()[origin.split];
    meter_.bad(why.reason, status.name, settings_.bad_data == BadDataPolicy::kDeadLetter);
    if constexpr (std::is_same_v<Raw, RawRecord>) {
      meter_.bad_sample(why.reason, [&] {
        return BadRecord{std::string(why.reason), origin_text(status, origin),
                         std::string(raw.value.substr(0, BadSamples::kMostText))};
      });
    }
    if (settings_.bad_data == BadDataPolicy::kFail)
      stop_at("bad record (policy fail)", origin, why,
              "mend it, or set bad_data.policy to skip or dead_letter");
    if (settings_.bad_budget != nullptr && !settings_.bad_budget->count_error(clock_.monotonic()))
      stop_at("more bad records than the error budget allows, the last", origin, why,
              "what was read since the last commit will be read again: mend what writes them, or "
              "raise bad_data.errors_per_minute or bad_data.error_percent");
    if (settings_.bad_data == BadDataPolicy::kSkip) return;
    if constexpr (std::is_same_v<Raw, RawRecord>) {
      bad_.emit(rejected(raw, status, origin, origin.timestamp, "decode", why), origin.timestamp);
    }
  }

  [[noreturn]] void stop_at(const char* what, const Origin& origin, const Rejection& why,
                            const char* next) const {
    const std::string place = origin_text(reader_->splits()[origin.split], origin);
    throw OperatorError(ErrorCode::kBadData,
                        std::string(what) + ": " + std::string(why.reason) + " (" + why.detail +
                            ") at " + place + "; " + next,
                        {name_, subtask_, place});
  }

  void note_late(const Split& split, const Raw& raw, const Origin& origin, EventTime time) {
    const EventTime watermark = std::max(split.base, split.generator.watermark());
    std::optional<Duration> disorder;
    if constexpr (requires { split.generator.disorder; }) disorder = split.generator.disorder;
    meter_.late(origin.split, reader_->splits()[origin.split].name,
                watermark - *settings_.lateness - time, disorder);
    meter_.late_sample.offer(clock_.monotonic(), [&] {
      LateRecord record{time, watermark, {}, {}};
      if constexpr (std::is_same_v<Raw, RawRecord>) record.key = raw.key;
      record.origin = origin_text(reader_->splits()[origin.split], origin);
      return record;
    });
  }

  void reject_late(const Raw& raw, const Origin& origin, EventTime time, const T&) {
    if constexpr (std::is_same_v<Raw, RawRecord>) {
      Rejection why{"late", ""};
      const Split& split = splits_[origin.split];
      const EventTime watermark = std::max(split.base, split.generator.watermark());
      why.detail = std::to_string((watermark - time).count()) +
                   " ms behind the watermark, lateness " +
                   std::to_string(settings_.lateness->count()) + " ms";
      late_.emit(rejected(raw, reader_->splits()[origin.split], origin,
                          origin.timestamp.is_finite() ? origin.timestamp : time, "source", why),
                 time);
    } else {
      RejectedRecord record;
      record.timestamp = time;
      record.partition = origin.partition;
      record.offset = origin.offset;
      if constexpr (requires { raw.describe(record); }) raw.describe(record);
      record.reason = "late";
      late_.emit(std::move(record), time);
    }
  }

  void freeze(CheckpointId) override {
    frozen_.clear();
    const auto& all = reader_->splits();
    for (std::size_t i = 0; i < splits_.size(); ++i) {
      const Split& split = splits_[i];
      SplitPosition p;
      p.split = all[i].name;
      p.offset = TM_BROKEN("forget_position") ? std::max<std::int64_t>(0, all[i].next_offset - 1)
                                              : all[i].next_offset;
      p.watermark = watermarks_->snapshot_of(split.id);
      p.max_time = split.max_time;
      p.is_finished = split.is_finished;
      p.tail_offset = split.tail_offset;
      p.tail_timestamp = split.tail_timestamp;
      p.tail_hash = split.tail_hash;
      split.generator.save(p.generator);
      frozen_.push_back(std::move(p));
    }
  }

  bool drain(StageSnapshot& out, std::size_t) override {
    out.positions = std::move(frozen_);
    frozen_.clear();
    return true;
  }

  const SourceSettings settings_;
  const std::shared_ptr<SourceWatermarks> watermarks_;
  Decode decode_;
  TimeOf time_of_;
  const Generator generator_;
  const Clock& clock_;
  const SourceControl& control_;
  const BackPressure* const pressure_;  // null: nothing holds it back
  const std::string name_;
  const int subtask_;
  double record_bytes_ = 1024;  // of a record, about
  Emitter<T>& out_;
  Emitter<RejectedRecord>& late_;
  Emitter<RejectedRecord>& bad_;
  SourceMeter meter_;

  std::vector<SplitPosition> restored_;
  bool was_finished_ = false;  // all of it, in the checkpoint
  std::unique_ptr<SourceReader<Raw>> reader_;
  std::optional<SourceHold::Member> hold_;  // none: nobody holds (tests)
  bool is_held_ = false;                    // in the last step
  std::vector<Split> splits_;
  SourceBatch<Raw> batch_;
  std::optional<std::chrono::nanoseconds> last_step_;
  EventTime sent_ = EventTime::min();
  bool idle_sent_ = false;
  bool ended_ = false;
  std::vector<SplitPosition> frozen_;
};

}  // namespace tidemill
