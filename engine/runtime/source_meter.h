// What a source subtask tells about itself.
#pragma once

#include <algorithm>
#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/operator/context.h"
#include "engine/operator/source.h"
#include "engine/runtime/bad_samples.h"

namespace tidemill {

// Owned by its source stage, one thread.
class SourceMeter {
 public:
  explicit SourceMeter(OperatorContext& ctx)
      : records(ctx.counter("tidemill_source_records_total")),
        bytes(ctx.counter("tidemill_source_bytes_total")),
        late_sample(ctx.late_sample({{"reason", "late"}})),
        watermark(ctx.gauge("tidemill_watermark_timestamp_seconds")),
        context_(ctx),
        bad_samples_(ctx.resources().find<BadSamples>()) {}

  void add_split(const std::string& name) {
    splits_.push_back(
        {&context_.counter("tidemill_late_records_total", {{"reason", "late"}, {"split", name}})});
  }

  // Rare: looked up by name.
  void bad(std::string_view reason, const std::string& split, bool is_written) {
    context_
        .counter("tidemill_bad_records_total", {{"reason", std::string(reason)}, {"split", split}})
        .add();
    if (is_written)
      context_.counter("tidemill_dead_letters_total", {{"reason", std::string(reason)}}).add();
  }
  template <class Make>
  void bad_sample(std::string_view reason, Make&& make) {
    if (bad_samples_ != nullptr)
      bad_samples_->offer(context_.clock().monotonic(), reason, std::forward<Make>(make));
  }

  // `by`: how far beyond the allowed lateness. `disorder`: the split's bound, which would have
  // saved the record had it been greater by that; none: its watermarks follow another rule. Only
  // late records pay: two atomic adds each.
  void late(std::size_t split, const std::string& name, Duration by,
            std::optional<Duration> disorder) {
    Split& s = splits_[split];
    s.late->add();
    if (s.late_by == nullptr) {
      const Labels labels{{"operator", context_.name()}, {"split", name}};
      s.late_by = &context_.metrics().histogram("tidemill_late_by_seconds", labels);
      if (disorder)
        context_.metrics()
            .gauge("tidemill_disorder_bound_seconds", labels)
            .set(static_cast<double>(disorder->count()) / 1000);
    }
    constexpr std::int64_t kMostMs = 10'000'000'000'000;  // 300 years
    s.late_by->record(static_cast<std::uint64_t>(std::clamp<std::int64_t>(by.count(), 0, kMostMs)) *
                      1000);
  }

  // Some times a second: how far each split is behind its end, where the reader knows.
  [[nodiscard]] bool is_due(std::chrono::nanoseconds now) {
    if (now - told_ < std::chrono::milliseconds(100)) return false;
    told_ = now;
    return true;
  }
  void lag(std::size_t split, const SplitStatus& status, EventTime greatest) {
    Split& lag = splits_[split];
    // Without the subtask: a split may move to another one.
    const auto gauge = [&](Gauge*& kept, const char* name) -> Gauge& {
      if (kept == nullptr)
        kept = &context_.metrics().gauge(name,
                                         {{"operator", context_.name()}, {"split", status.name}});
      return *kept;
    };
    gauge(lag.offset, "tidemill_source_offset").set(static_cast<double>(status.next_offset));
    const bool is_behind = status.state == SplitState::kReading;
    if (status.lag >= 0 || !is_behind) {
      gauge(lag.lag, "tidemill_source_lag_records")
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
  LateSample& late_sample;
  Gauge& watermark;

 private:
  struct Split {
    Counter* late = nullptr;
    Histogram* late_by = nullptr;  // from its first late record on
    Gauge* offset = nullptr;
    Gauge* lag = nullptr;
    Gauge* time = nullptr;
  };
  OperatorContext& context_;
  BadSamples* const bad_samples_;  // null: nobody looks
  std::vector<Split> splits_;
  std::chrono::nanoseconds told_{};
};

}  // namespace tidemill
