// The operator in front of a connector's sink: encodes records and hands the bytes on.
#pragma once

#include <algorithm>
#include <memory>
#include <utility>

#include "engine/operator/freshness.h"
#include "engine/operator/operator.h"
#include "engine/operator/sink.h"

namespace tidemill {

// Ages of a sink's rows: when written, when everything before a barrier is safe, and (told on) when
// that checkpoint is committed. Joins the snapshot behind the sink, so it is drained after it.
class SinkAges final : public Snapshotable {
 public:
  explicit SinkAges(OperatorContext& ctx)
      : clock_(ctx.clock()),
        freshness_(ctx.resources().find<OutputFreshness>()),
        written_(age(ctx, "written")),
        acknowledged_(age(ctx, "acknowledged")),
        committed_(age(ctx, "committed")) {
    ctx.attach(*this);
  }

  void wrote(std::size_t rows, EventTime last) {
    if (!last.is_finite()) return;  // a bad record of a file
    written_.record(OutputMeter::age_us(last, clock_.processing_time()), rows);
    newest_ = std::max(newest_, last);
  }

 private:
  static Histogram& age(OperatorContext& ctx, const char* stage) {
    return ctx.metrics().histogram("tidemill_event_age_seconds",
                                   {{"stage", stage}, {"operator", ctx.name()}});
  }
  void freeze(CheckpointId checkpoint) override {
    frozen_ = std::exchange(newest_, EventTime::min());
    checkpoint_ = checkpoint;
  }
  bool drain(StageSnapshot& /*out*/, std::size_t /*max_entries*/) override {
    if (!frozen_.is_finite()) return true;
    acknowledged_.record(OutputMeter::age_us(frozen_, clock_.processing_time()));
    if (freshness_ != nullptr) freshness_->acknowledged(checkpoint_, frozen_, committed_);
    return true;
  }

  const Clock& clock_;
  OutputFreshness* const freshness_;
  Histogram& written_;
  Histogram& acknowledged_;
  Histogram& committed_;
  EventTime newest_ = EventTime::min();  // since the last barrier
  EventTime frozen_ = EventTime::min();
  CheckpointId checkpoint_ = 0;
};

// Encode: void(const T&, EventTime, OutputBatch&): begin_row, key, end_key, value, end_row; nothing
// for a record that gives no row.
template <class T, class Encode>
class SinkStage final : public OneInput<T> {
 public:
  SinkStage(OperatorContext& ctx, const SinkSpec& spec, Encode encode)
      : encode_(std::move(encode)),
        sink_(spec.make(ctx)),
        ages_(ctx),
        rows_(ctx.counter("tidemill_records_out_total")),
        bytes_(ctx.counter("tidemill_bytes_out_total")) {
    if (const auto* attempt = ctx.resources().template find<AttemptInfo>())
      encoded_.set_epoch(attempt->next_checkpoint);
  }

  void process(Batch<T>& batch) override {
    encoded_.clear();
    for (const auto& record : batch) encode_(record.value, record.time, encoded_);
    rows_.add(encoded_.size());
    bytes_.add(encoded_.bytes());
    sink_->write(encoded_);
    if (encoded_.size() > 0) ages_.wrote(encoded_.size(), batch.last_time());
  }

  void before_snapshot() override { encoded_.set_epoch(encoded_.epoch() + 1); }
  void on_tick() override { sink_->poll(); }
  [[nodiscard]] bool is_blocked() const override { return sink_->is_full(); }

 private:
  Encode encode_;
  std::unique_ptr<Sink> sink_;
  SinkAges ages_;
  OutputBatch encoded_;
  Counter& rows_;
  Counter& bytes_;
};

}  // namespace tidemill
