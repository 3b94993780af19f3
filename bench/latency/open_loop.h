// An open loop: every event has an instant at which it is due, decided before the run; a source
// that is late emits what is due as fast as it can, and nothing is skipped or moved.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "bench/latency/log_linear.h"
#include "engine/operator/operator.h"
#include "engine/runtime/source_settings.h"
#include "engine/runtime/source_stage.h"
#include "operators/window.h"

namespace tidemill {

struct Schedule {
  double rate = 0;  // events a second, of all subtasks together
  std::int64_t seconds = 0;
  std::uint64_t keys = 0;
  std::size_t poll = 0;  // rows a step at most
  bool is_paced = true;  // false: all is due at the start, which shows what the rate may be
  std::chrono::steady_clock::time_point start;  // event time 0

  [[nodiscard]] std::uint64_t events() const {
    return static_cast<std::uint64_t>(rate * static_cast<double>(seconds));
  }
  [[nodiscard]] EventTime time_of(std::uint64_t event) const {
    return EventTime{static_cast<std::int64_t>(static_cast<double>(event) * 1000 / rate)};
  }
  // Events that are due by now.
  [[nodiscard]] std::uint64_t due() const {
    if (!is_paced) return events();
    const double elapsed =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    if (elapsed < 0) return 0;
    return std::min(events(), static_cast<std::uint64_t>(elapsed * rate) + 1);
  }
  [[nodiscard]] std::uint64_t key_of(std::uint64_t event) const {
    std::uint64_t mixed = (event + 1) * 0x9E3779B97F4A7C15ULL;
    mixed ^= mixed >> 32;
    return mixed * 0xD6E8FEB86659FD93ULL % keys;
  }
};

struct Event {
  std::uint64_t key;
};

// Emits each event when it is due; subtask i has those whose number leaves i. A watermark follows
// whatever a step has emitted.
class ScheduledSource final : public SourceDriver {
 public:
  ScheduledSource(OperatorContext& ctx, const Schedule& schedule, std::uint64_t subtasks)
      : schedule_(schedule),
        subtasks_(subtasks),
        next_(static_cast<std::uint64_t>(ctx.subtask())),
        control_(ctx.resources().get<SourceControl>()),
        out_(ctx.output<Event>(0)) {}

  bool step() override {
    if (has_ended_ || !control_.released) return false;
    const std::uint64_t due = schedule_.due();
    const std::uint64_t end = std::min(due, next_ + schedule_.poll * subtasks_);
    const bool has_any = next_ < end;
    EventTime last = watermark_;
    for (; next_ < end; next_ += subtasks_) {
      last = schedule_.time_of(next_);
      out_.emit(Event{schedule_.key_of(next_)}, last);
    }
    out_.flush();
    if (last > watermark_) out_.signal(Signal::watermark(watermark_ = last));
    if (next_ < schedule_.events()) return has_any;
    has_ended_ = true;
    out_.signal(Signal::end());
    return true;
  }
  void on_blocked() override {}
  [[nodiscard]] bool has_ended() const override { return has_ended_; }

 private:
  const Schedule& schedule_;
  const std::uint64_t subtasks_;
  std::uint64_t next_;
  const SourceControl& control_;
  Emitter<Event>& out_;
  EventTime watermark_ = EventTime::min();
  bool has_ended_ = false;
};

// Latencies of rows, and of the windows that end in one second of the run.
struct Latencies {
  using PerSecond = LogLinear<4>;
  LogLinear<10> all;
  std::vector<PerSecond> by_second;
  std::uint64_t rows = 0;       // all, also those that are not measured
  std::uint64_t sum = 0;        // of the counts in them
  std::uint64_t full_rows = 0;  // of windows that lie within the schedule

  explicit Latencies(std::int64_t seconds) : by_second(static_cast<std::size_t>(seconds)) {}
  void merge(const Latencies& other) {
    all.merge(other.all);
    for (std::size_t i = 0; i < by_second.size(); ++i) by_second[i].merge(other.by_second[i]);
    rows += other.rows;
    sum += other.sum;
    full_rows += other.full_rows;
  }
};

// What all subtasks saw. Thread-safe.
struct Observed {
  std::mutex mutex;
  Latencies latencies;
};

// Sees each row: its latency is from when the event that ends its window was due.
class Observe final : public OneInput<Windowed<std::uint64_t, std::int64_t>> {
 public:
  using Out = Event;  // none
  using Row = Windowed<std::uint64_t, std::int64_t>;

  Observe(OperatorContext& /*ctx*/, const Schedule* schedule, std::int64_t warm_up,
          Observed* observed)
      : schedule_(*schedule),
        warm_up_(warm_up),
        observed_(*observed),
        mine_(std::make_unique<Latencies>(schedule->seconds)) {}

  void process(Batch<Row>& batch) override {
    const auto now = std::chrono::steady_clock::now();
    mine_->rows += batch.size();
    std::uint64_t same = 0;
    EventTime end = EventTime::min();
    for (const auto& [row, _] : batch) {
      mine_->sum += static_cast<std::uint64_t>(row.value);
      if (row.window.start >= EventTime{0} && row.window.end.ms < schedule_.seconds * 1000)
        ++mine_->full_rows;
      if (row.window.end != end) {
        note(now, end, same);
        end = row.window.end;
        same = 0;
      }
      ++same;
    }
    note(now, end, same);
  }
  Progress on_end() override {
    const std::lock_guard lock(observed_.mutex);
    observed_.latencies.merge(*mine_);
    mine_ = std::make_unique<Latencies>(schedule_.seconds);
    return Progress::kDone;
  }

 private:
  // Windows that end with the input, which no event has ended, are not measured.
  void note(std::chrono::steady_clock::time_point now, EventTime end, std::uint64_t rows) {
    if (rows == 0 || end.ms < 0 || end.ms >= schedule_.seconds * 1000) return;
    const std::int64_t ns =
        std::chrono::nanoseconds(now - schedule_.start - std::chrono::milliseconds(end.ms)).count();
    const std::int64_t second = end.ms / 1000;
    mine_->by_second[static_cast<std::size_t>(second)].record(ns, rows);
    if (second >= warm_up_) mine_->all.record(ns, rows);
  }

  const Schedule& schedule_;
  const std::int64_t warm_up_;
  Observed& observed_;
  std::unique_ptr<Latencies> mine_;
};

}  // namespace tidemill
