// The operator in front of a connector's sink: encodes records and hands the bytes on.
#pragma once

#include <memory>
#include <utility>

#include "engine/operator/operator.h"
#include "engine/operator/sink.h"

namespace tidemill {

// Encode: void(const T&, EventTime, OutputBatch&): begin_row, key, end_key, value, end_row; nothing
// for a record that gives no row.
template <class T, class Encode>
class SinkStage final : public OneInput<T> {
 public:
  SinkStage(OperatorContext& ctx, const SinkSpec& spec, Encode encode)
      : encode_(std::move(encode)),
        sink_(spec.make(ctx)),
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
  }

  void before_snapshot() override { encoded_.set_epoch(encoded_.epoch() + 1); }
  void on_tick() override { sink_->poll(); }
  [[nodiscard]] bool is_blocked() const override { return sink_->is_full(); }

 private:
  Encode encode_;
  std::unique_ptr<Sink> sink_;
  OutputBatch encoded_;
  Counter& rows_;
  Counter& bytes_;
};

}  // namespace tidemill
