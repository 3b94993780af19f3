// What a source subtask tells about itself.
#pragma once

#include <chrono>
#include <string_view>
#include <vector>

#include "engine/operator/context.h"
#include "engine/operator/source.h"

namespace tidemill {

// Owned by its source stage, one thread.
class SourceMeter {
 public:
  explicit SourceMeter(OperatorContext& ctx)
      : records(ctx.counter("tidemill_source_records_total")),
        bytes(ctx.counter("tidemill_source_bytes_total")),
        late(ctx.counter("tidemill_late_records_total", {{"reason", "late"}})),
        late_sample(ctx.late_sample({{"reason", "late"}})),
        watermark(ctx.gauge("tidemill_watermark_timestamp_seconds")),
        context_(ctx) {}

  // Rare: looked up by name.
  void bad(std::string_view reason, bool is_written) {
    const Labels labels{{"reason", std::string(reason)}};
    context_.counter("tidemill_bad_records_total", labels).add();
    if (is_written) context_.counter("tidemill_dead_letters_total", labels).add();
  }

  // Some times a second: how far each split is behind its end, where the reader knows.
  [[nodiscard]] bool is_due(std::chrono::nanoseconds now) {
    if (now - told_ < std::chrono::milliseconds(100)) return false;
    told_ = now;
    return true;
  }
  void lag(std::size_t split, const SplitStatus& status, EventTime greatest) {
    while (lags_.size() <= split) lags_.push_back({});
    Lag& lag = lags_[split];
    // Without the subtask: a split may move to another one.
    const auto gauge = [&](Gauge*& kept, const char* name) -> Gauge& {
      if (kept == nullptr)
        kept = &context_.metrics().gauge(name,
                                         {{"operator", context_.name()}, {"split", status.name}});
      return *kept;
    };
    const bool is_behind = status.state == SplitState::kReading;
    if (status.lag >= 0 || !is_behind) {
      gauge(lag.records, "tidemill_source_lag_records")
          .set(is_behind ? static_cast<double>(status.lag) : 0);
    }
    const EventTime now = context_.clock().processing_time();
    gauge(lag.time, "tidemill_source_lag_seconds")
        .set(is_behind && greatest.is_finite() && greatest < now
                 ? static_cast<double>((now - greatest).count()) / 1000
                 : 0);
  }

  Counter& records;
  Counter& bytes;
  Counter& late;
  LateSample& late_sample;
  Gauge& watermark;

 private:
  struct Lag {
    Gauge* records = nullptr;
    Gauge* time = nullptr;
  };
  OperatorContext& context_;
  std::vector<Lag> lags_;
  std::chrono::nanoseconds told_{};
};

}  // namespace tidemill
