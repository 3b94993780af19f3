#include "connectors/kafka/source.h"

#include <chrono>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "connectors/kafka/consumer.h"
#include "connectors/kafka/source_splits.h"
#include "connectors/kafka/transaction.h"
#include "engine/base/bytes.h"
#include "engine/base/log.h"

namespace tidemill::kafka {
namespace {

constexpr std::chrono::milliseconds kServe{100};
constexpr std::chrono::seconds kTellBlocked{5};
constexpr std::string_view kStopsPart = "stops";

// One subtask's reader.
class Reader final : public SourceReader<RawRecord>, private Snapshotable {
 public:
  Reader(OperatorContext& ctx, const SourceSettings& settings,
         std::shared_ptr<SourceSplits> all_splits)
      : settings_(settings),
        all_splits_(std::move(all_splits)),
        context_(ctx),
        subtask_(static_cast<std::size_t>(ctx.subtask())),
        parallelism_(static_cast<std::size_t>(ctx.parallelism())),
        consumer_(settings, (all_splits_->size() + parallelism_ - 1) / parallelism_,
                  ctx.metrics()) {
    add_splits();
    if (settings_.stop.kind != PositionSpec::Kind::kNone) ctx.attach(*this);
  }

  void poll(SourceBatch<RawRecord>& out, std::size_t max_records) override {
    all_splits_->check();
    if (all_splits_->size() > num_seen_) add_splits();
    const auto now = std::chrono::steady_clock::now();
    if (now - served_ >= kServe) {
      served_ = now;
      consumer_.serve();
      report_lag();
    }
    // Each poll begins with the split after the one the last poll began with.
    const std::size_t count = statuses_.size();
    for (std::size_t i = 0; i < count && out.size() < max_records; ++i) {
      const std::size_t index = (first_ + i) % count;
      if (statuses_[index].is_paused) continue;
      consumer_.hold(index, statuses_[index].hold);
      consumer_.poll(index, max_records - out.size(), out);
      update(index);
    }
    if (count > 0) first_ = (first_ + 1) % count;
  }

  std::vector<SplitStatus>& splits() override { return statuses_; }

 private:
  struct Lag {
    std::optional<std::chrono::steady_clock::time_point> blocked_since = {};
    bool is_told = false;
    Gauge* to_stable;
    Gauge* to_high_watermark;
    Gauge* blocked;
    Gauge* blocked_for;
    Gauge* seconds;
    std::optional<std::chrono::steady_clock::time_point> unreachable_since = {};
    Gauge* unreachable_for;
  };

  void add_splits() {
    for (; num_seen_ < all_splits_->size(); ++num_seen_) {
      if (num_seen_ % parallelism_ != subtask_) continue;
      const SourceSplit split = all_splits_->split(num_seen_);
      consumer_.add(split.partition, split.start, split.stop);
      SplitStatus status;
      status.name = to_string(split.partition);
      status.source = split.partition.first;
      status.partition = split.partition.second;
      statuses_.push_back(std::move(status));
      const Labels labels{{"topic", split.partition.first},
                          {"partition", std::to_string(split.partition.second)}};
      lags_.push_back({{},
                       false,
                       &context_.gauge("tidemill_kafka_lag_records", labels),
                       &context_.gauge("tidemill_kafka_lag_to_high_watermark_records", labels),
                       &context_.gauge("tidemill_kafka_open_transaction_records", labels),
                       &context_.gauge("tidemill_kafka_open_transaction_seconds", labels),
                       &context_.gauge("tidemill_kafka_lag_seconds", labels),
                       {},
                       &context_.gauge("tidemill_kafka_unreachable_seconds", labels)});
      lags_.back().unreachable_for->set(0);  // what the last attempt said
      update(statuses_.size() - 1);
    }
  }

  void update(std::size_t index) {
    const Consumer::Position& position = consumer_.positions()[index];
    SplitStatus& status = statuses_[index];
    status.next_offset = position.next;
    status.state = position.is_finished() ? SplitState::kFinished
                   : position.is_at_end   ? SplitState::kAtEnd
                                          : SplitState::kReading;
    status.is_held = !position.is_reachable;
  }

  void report_lag() {
    const std::int64_t now_ms = context_.clock().processing_time().ms;
    for (std::size_t i = 0; i < statuses_.size(); ++i) {
      const Consumer::Position& position = consumer_.positions()[i];
      update(i);
      note_reachable(lags_[i], position);
      if (position.last_stable < 0) continue;
      const auto behind = [&](std::int64_t end) {
        return position.is_at_end ? 0 : std::max<std::int64_t>(0, end - position.next);
      };
      statuses_[i].lag = behind(position.last_stable);
      lags_[i].to_stable->set(static_cast<double>(statuses_[i].lag));
      lags_[i].to_high_watermark->set(
          static_cast<double>(std::max<std::int64_t>(0, position.high_watermark - position.next)));
      // Stays above zero while somebody's open transaction holds readers back (rows K and L).
      lags_[i].blocked->set(static_cast<double>(
          std::max<std::int64_t>(0, position.high_watermark - position.last_stable)));
      tell_if_blocked(lags_[i], position);
      const bool is_behind = !position.is_at_end && position.last_timestamp_ms > 0;
      lags_[i].seconds->set(
          is_behind ? static_cast<double>(now_ms - position.last_timestamp_ms) / 1000 : 0);
    }
  }

  static void note_reachable(Lag& lag, const Consumer::Position& position) {
    if (position.is_reachable || position.is_finished()) {
      if (lag.unreachable_since) lag.unreachable_for->set(0);
      lag.unreachable_since.reset();
      return;
    }
    const auto now = std::chrono::steady_clock::now();
    if (!lag.unreachable_since) lag.unreachable_since = now;
    lag.unreachable_for->set(std::chrono::duration<double>(now - *lag.unreachable_since).count());
  }

  void tell_if_blocked(Lag& lag, const Consumer::Position& position) const {
    const auto now = std::chrono::steady_clock::now();
    if (position.high_watermark <= position.last_stable || position.next < position.last_stable) {
      lag.blocked_since.reset();
      lag.blocked_for->set(0);
      lag.is_told = false;
      return;
    }
    if (!lag.blocked_since) lag.blocked_since = now;
    lag.blocked_for->set(std::chrono::duration<double>(now - *lag.blocked_since).count());
    if (!lag.is_told && now - *lag.blocked_since >= kTellBlocked) {
      lag.is_told = true;
      log(LogLevel::kWarn, "kafka: an open transaction of its producer holds back partition " +
                               to_string(position.partition) + " at offset " +
                               std::to_string(position.next) + "; " +
                               std::to_string(position.high_watermark - position.next) +
                               " records wait until that transaction ends or times out");
    }
  }

  // Where a bounded run ends is part of its checkpoints.
  void freeze(CheckpointId) override {}
  bool drain(StageSnapshot& out, std::size_t) override {
    Bytes bytes;
    append_sized(bytes, to_string(settings_.stop));
    append_varint(bytes, statuses_.size());
    for (const Consumer::Position& position : consumer_.positions()) {
      append_sized(bytes, position.partition.first);
      append_u32(bytes, static_cast<std::uint32_t>(position.partition.second));
      append_u64(bytes, static_cast<std::uint64_t>(position.stop));
    }
    out.parts.push_back({std::string(kStopsPart), std::move(bytes)});
    return true;
  }

  const SourceSettings settings_;
  const std::shared_ptr<SourceSplits> all_splits_;
  OperatorContext& context_;
  const std::size_t subtask_;
  const std::size_t parallelism_;
  Consumer consumer_;
  std::size_t num_seen_ = 0;  // splits of all subtasks looked at
  std::vector<SplitStatus> statuses_;
  std::vector<Lag> lags_;
  std::size_t first_ = 0;
  std::chrono::steady_clock::time_point served_{};
};

RestoredSource restored_of(const OperatorContext& ctx,
                           const std::vector<SplitPosition>& positions) {
  RestoredSource restored{.positions = positions};
  for (const ByteView part : ctx.restored(kStopsPart)) {
    ByteReader in(part);
    restored.stop_spec = in.sized();
    for (std::uint64_t left = in.varint(); left > 0; --left) {
      const std::string topic(in.sized());
      const auto partition = static_cast<std::int32_t>(in.u32());
      restored.stops[{topic, partition}] = static_cast<std::int64_t>(in.u64());
    }
  }
  return restored;
}

}  // namespace

ReaderFactory<RawRecord> source(const SourceSettings& settings) {
  struct Shared {
    std::mutex mutex;
    std::weak_ptr<SourceSplits> splits;  // of the attempt that is running
  };
  auto shared = std::make_shared<Shared>();
  return [settings, shared](OperatorContext& ctx, const std::vector<SplitPosition>& positions) {
    const std::lock_guard lock(shared->mutex);
    std::shared_ptr<SourceSplits> splits = shared->splits.lock();
    if (!splits) {
      auto* transaction = ctx.resources().find<Transaction>();
      splits = std::make_shared<SourceSplits>(settings, restored_of(ctx, positions),
                                              [transaction](const std::string& text) {
                                                if (transaction != nullptr) transaction->note(text);
                                              });
      shared->splits = splits;
    }
    return std::make_unique<Reader>(ctx, settings, std::move(splits));
  };
}

std::vector<std::string> source_parts() { return {std::string(kStopsPart)}; }

}  // namespace tidemill::kafka
