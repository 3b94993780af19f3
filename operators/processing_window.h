// Tumbling aggregates of keyed streams by the clock of the machine instead of event time.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <boost/describe.hpp>

#include "engine/operator/context.h"
#include "engine/operator/operator.h"
#include "operators/accumulator.h"
#include "operators/batch_keys.h"
#include "operators/window.h"
#include "state/operator_state.h"
#include "state/windowed_value.h"

namespace tidemill {

// KeyOf: key of a record. Finish: what a row carries of an accumulator.
// Port 0: Windowed<Key, Result> once the clock has reached the window's end, its time the window's
// last instant, by the clock. At the end of input what is left follows at once. A record belongs to
// the window in which its batch comes: another run gives other rows, and nothing is late.
//
// State: one accumulator per key and window; dropped as the window's rows are given out. A clock
// that goes back stands still.
template <class In, class A, class KeyOf, class Finish = FinishWithResult>
requires Accumulator<A, In>
class ProcessingWindow final : public OneInput<In> {
 public:
  using Key = typename BatchKeys<In, KeyOf>::Key;
  using Result = std::remove_cvref_t<std::invoke_result_t<const Finish&, const A&>>;
  using Out = Windowed<Key, Result>;

  // `firing_budget`: rows after which other messages pass. Throws Error(kConfig) for a size that is
  // not positive, or if the checkpoint was made with another one.
  ProcessingWindow(OperatorContext& ctx, ProcessingTumbling windows, std::size_t firing_budget,
                   KeyOf key_of, Finish finish = {})
      : windows_(Tumbling{windows.size, windows.offset}),
        firing_budget_(firing_budget),
        finish_(std::move(finish)),
        groups_(ctx.key_groups()),
        clock_(ctx.clock()),
        batch_keys_(std::move(key_of)),
        contents_(ctx, "windows"),
        progress_(ctx, "progress"),
        out_(ctx.output<Out>(0)) {
    progress_->size = windows.size;
    progress_->offset = windows.offset;
    for (const OperatorProgress& former : progress_.restored()) {
      if (former.size != windows.size || former.offset != windows.offset)
        throw Error(ErrorCode::kConfig,
                    "the checkpoint was made with other windows; keep size and offset as they "
                    "were, or give the operator another name: " +
                        ctx.name());
      progress_->now = std::max(progress_->now, former.now);
    }
    note_first_end();
  }

  void process(Batch<In>& batch) override {
    const std::span<const KeyRef<Key>> refs = batch_keys_.read(batch);
    const EventTime end = windows_.slice_of(now()).end;
    contents_.accumulate(end, refs, [&](std::size_t i, A& content) {
      add_to(content, batch[i].value, Stamp{batch[i].time});
    });
    first_end_ = std::min(first_end_, end);
  }

  void on_tick() override {
    if (now() >= first_end_) fire(progress_->now);
  }

  Progress on_end() override { return fire(EventTime::max()); }

 private:
  struct OperatorProgress {
    EventTime now = EventTime::min();  // the greatest that the clock has shown
    Duration size{};
    Duration offset{};
    BOOST_DESCRIBE_CLASS(OperatorProgress, (), (now, size, offset), (), ())
  };

  EventTime now() { return progress_->now = std::max(progress_->now, clock_.processing_time()); }

  // Group after group of the windows that end until `until`; each is dropped as it is given out, so
  // what is left is what is owed.
  Progress fire(EventTime until) {
    std::size_t rows = 0;
    for (const EventTime end : contents_.namespaces()) {
      if (end > until) break;
      for (KeyGroup group = groups_.begin; group < groups_.end; ++group) {
        if (rows >= firing_budget_) {
          note_first_end();
          return Progress::kMore;
        }
        const Window window = windows_.window_ending(end);
        contents_.for_each(end, group, [&](const Key& key, std::uint64_t, const A& content) {
          out_.emit(Out{key, window, finish_(content)}, window.last());
          ++rows;
        });
        contents_.drop(end, group);
      }
      contents_.drop(end);
    }
    note_first_end();
    return Progress::kDone;
  }

  void note_first_end() {
    const std::vector<EventTime> ends = contents_.namespaces();
    first_end_ = ends.empty() ? EventTime::max() : ends.front();
  }

  const AlignedWindows windows_;
  const std::size_t firing_budget_;
  const Finish finish_;
  const KeyGroupRange groups_;
  const Clock& clock_;
  BatchKeys<In, KeyOf> batch_keys_;
  WindowedValue<Key, A> contents_;  // by the end of the window
  OperatorState<OperatorProgress> progress_;
  Emitter<Out>& out_;
  EventTime first_end_ = EventTime::max();  // derived: the first namespace of contents_
};

}  // namespace tidemill
