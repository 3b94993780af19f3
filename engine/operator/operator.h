// The operator contract. The runtime calls; operators never forward signals, so none can lose a
// watermark or a barrier.
#pragma once

#include "engine/base/error.h"
#include "engine/base/time.h"
#include "engine/data/batch.h"
#include "engine/data/message.h"
#include "engine/data/rows_view.h"

namespace tidemill {

// Whether a piece of resumable work is finished. kMore: call again; other messages, also a barrier,
// may come in between.
enum class Progress { kDone, kMore };

// Complete after its constructor, which takes outputs and (restored) state from the
// OperatorContext. Everything mutable in it is state, an output, or derivable from state. Lives and
// dies on one thread.
class Operator {
 public:
  virtual ~Operator() = default;

  // Takes one batch from input `input`. The watermark in force is the one given to the last
  // on_watermark call.
  virtual void on_batch(int input, AnyBatch batch) = 0;

  // Whether it also reads rows where they lie (engine/data/rows_view.h), which spares copying them
  // into a batch for it: always or never. And one such view for input `input`, of the type that it
  // takes batches of; who takes views overrides both.
  [[nodiscard]] virtual bool takes_views() const { return false; }
  virtual void on_view(int /*input*/, const AnyView& /*rows*/) { TM_CHECK(false); }

  // Event time has advanced to `watermark`: every later record has time >= it. Do a bounded amount
  // of work (some thousand rows); kMore if work is left: called again with the same or a later
  // watermark.
  virtual Progress on_watermark(EventTime /*watermark*/) { return Progress::kDone; }

  // The watermark that holds for what this operator may still emit, once on_watermark(`watermark`)
  // is done.
  virtual EventTime output_watermark(EventTime watermark) const { return watermark; }

  // The whole input has become idle, or active again.
  virtual void on_idle(bool /*is_idle*/) {}

  // All inputs have ended; the last finite watermark has been given. Emit what is left; a bounded
  // piece a call.
  virtual Progress on_end() { return Progress::kDone; }

  // A barrier is about to pass: move anything cached into state.
  virtual void before_snapshot() {}

  // Called between messages, at least once a millisecond: asynchronous work, processing-time
  // timers. Never blocks.
  virtual void on_tick() {}

  // True while this operator can take no more batches (a sink whose buffer is full): its task is
  // not stepped for data.
  [[nodiscard]] virtual bool is_blocked() const { return false; }
};

// An operator with one typed input.
template <class In>
class OneInput : public Operator {
 public:
  virtual void process(Batch<In>& batch) = 0;

  void on_batch(int /*input*/, AnyBatch batch) final { process(static_cast<Batch<In>&>(*batch)); }
};

// An operator with one typed input whose rows it only reads.
template <class In>
class OneReadInput : public Operator {
 public:
  virtual void process(const RowsView<In>& rows) = 0;

  void on_batch(int /*input*/, AnyBatch batch) final {
    process(RowsView<In>(static_cast<const Batch<In>&>(*batch)));
  }
  [[nodiscard]] bool takes_views() const final { return true; }
  void on_view(int /*input*/, const AnyView& rows) final {
    process(static_cast<const RowsView<In>&>(rows));
  }
};

// An operator with two typed inputs: 0 is the left one.
template <class Left, class Right>
class TwoInput : public Operator {
 public:
  virtual void process_left(Batch<Left>& batch) = 0;
  virtual void process_right(Batch<Right>& batch) = 0;

  void on_batch(int input, AnyBatch batch) final {
    if (input == 0) {
      process_left(static_cast<Batch<Left>&>(*batch));
    } else {
      process_right(static_cast<Batch<Right>&>(*batch));
    }
  }
};

}  // namespace tidemill
