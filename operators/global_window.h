// Aggregates of a key by number of records: of n and then anew, or of all so far at each n-th
// (docs/semantics.md 2).
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <optional>
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
#include "state/keyed_value.h"
#include "state/operator_state.h"

namespace tidemill {

// KeyOf: key of a record. Finish: what a row carries of an accumulator.
// Port 0: Keyed<Key, Result> at the n-th record, its time the greatest record time in it: it may be
// behind the watermark. No record is late; what is not complete never gives a row, at the end of
// input neither.
//
// State: one accumulator per key; of CountWindow only while it holds something, of EveryN for ever.
template <class In, class A, class KeyOf, class Finish = FinishWithResult>
requires Accumulator<A, In>
class GlobalWindow final : public OneInput<In> {
 public:
  using Key = typename BatchKeys<In, KeyOf>::Key;
  using Result = std::remove_cvref_t<std::invoke_result_t<const Finish&, const A&>>;
  using Out = Keyed<Key, Result>;

  // Throws Error(kConfig) if n is 0, or if the checkpoint was made with the other kind.
  GlobalWindow(OperatorContext& ctx, CountWindow window, KeyOf key_of, Finish finish = {})
      : GlobalWindow(ctx, window.n, true, std::move(key_of), std::move(finish)) {}
  GlobalWindow(OperatorContext& ctx, EveryN window, KeyOf key_of, Finish finish = {})
      : GlobalWindow(ctx, window.n, false, std::move(key_of), std::move(finish)) {}

  void process(Batch<In>& batch) override {
    const std::span<const KeyRef<Key>> refs = batch_keys_.read(batch);
    keys_.update(refs, [&](std::size_t i, State& state) {
      const Record<In>& record = batch[i];
      add_to(state.content, record.value, Stamp{record.time});
      state.greatest = std::max(state.greatest, record.time);
      if (++state.count < n_) return;
      out_.emit(Out{*refs[i].key, finish_(state.content)}, state.greatest);
      state.count = 0;
      if (!begins_anew_) return;
      state = State{};
      emptied_.push_back(refs[i]);
    });
    for (const KeyRef<Key>& ref : emptied_) {
      const State* state = keys_.find(*ref.key, ref.hash);
      if (state != nullptr && state->count == 0) keys_.erase(*ref.key, ref.hash);
    }
    emptied_.clear();
  }

 private:
  struct State {
    A content{};
    std::uint64_t count = 0;  // since the last row
    EventTime greatest = EventTime::min();
    BOOST_DESCRIBE_CLASS(State, (), (content, count, greatest), (), ())
  };

  GlobalWindow(OperatorContext& ctx, std::uint64_t n, bool begins_anew, KeyOf key_of, Finish finish)
      : n_(n),
        begins_anew_(begins_anew),
        finish_(std::move(finish)),
        batch_keys_(std::move(key_of)),
        keys_(ctx, "keys"),
        begins_anew_before_(ctx, "begins_anew"),
        out_(ctx.output<Out>(0)) {
    if (n == 0) throw Error(ErrorCode::kConfig, "a window of records needs at least one of them");
    *begins_anew_before_ = begins_anew;
    for (const bool before : begins_anew_before_.restored()) {
      if (before != begins_anew)
        throw Error(ErrorCode::kConfig,
                    "the checkpoint was made with the other kind of window by number (CountWindow, "
                    "EveryN); keep it as it was, or give the operator another name: " +
                        ctx.name());
    }
  }

  const std::uint64_t n_;
  const bool begins_anew_;
  const Finish finish_;
  BatchKeys<In, KeyOf> batch_keys_;
  KeyedValue<Key, State> keys_;
  OperatorState<bool> begins_anew_before_;
  Emitter<Out>& out_;
  std::vector<KeyRef<Key>> emptied_;  // empty between calls
};

}  // namespace tidemill
