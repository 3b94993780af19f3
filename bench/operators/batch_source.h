// A source that costs next to nothing, so that what is left is what comes behind it.
#pragma once

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "engine/runtime/source_stage.h"
#include "operators/stream.h"

namespace tidemill {

// Copies rows, which have an instant `at`, into batches, and says how far event time is.
template <class T>
class BatchDriver final : public SourceDriver {
 public:
  BatchDriver(OperatorContext& ctx, const std::vector<T>& rows)
      : rows_(rows), control_(ctx.resources().get<SourceControl>()), out_(ctx.output<T>(0)) {}
  bool step() override {
    if (has_ended_ || !control_.released) return false;
    const std::size_t end = std::min(rows_.size(), at_ + kBatchRows<T>);
    for (; at_ < end; ++at_) out_.emit(rows_[at_], rows_[at_].at);
    out_.signal(Signal::watermark(rows_[at_ - 1].at));
    if (at_ == rows_.size()) {
      has_ended_ = true;
      out_.signal(Signal::end());
    }
    return true;
  }
  void on_blocked() override {}
  [[nodiscard]] bool has_ended() const override { return has_ended_; }

 private:
  const std::vector<T>& rows_;
  const SourceControl& control_;
  Emitter<T>& out_;
  std::size_t at_ = 0;
  bool has_ended_ = false;
};

// Requires: there are rows, in the order of their instants; they outlive the job.
template <class T>
Stream<T> read_batches(const std::shared_ptr<GraphBuilder>& graph, const std::vector<T>& rows) {
  Node node;
  node.name = node.kind = "batches";
  node.make_source = [&](OperatorContext& ctx) {
    return std::make_unique<BatchDriver<T>>(ctx, rows);
  };
  const NodeId id = graph->add(std::move(node));
  return {graph, {{id, 0}}};
}

}  // namespace tidemill
