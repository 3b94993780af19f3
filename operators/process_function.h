// Process functions: code per record and per timer with keyed state, as Flink's
// KeyedProcessFunction and KeyedCoProcessFunction.
//
//   struct Silent {                                // users who were silent for 10 minutes
//     using Out = std::string;
//     explicit Silent(StateContext<std::string>& state) : last(state, "last") {}
//     void process(const Click&, ProcessContext<std::string, Out>& ctx) {
//       if (const EventTime* t = last.find()) ctx.delete_timer(*t + 10min);
//       last.set(ctx.time());
//       ctx.set_timer(ctx.time() + 10min);
//     }
//     void on_timer(const FiredTimer&, ProcessContext<std::string, Out>& ctx) {
//       ctx.emit(ctx.key());
//     }
//     ValueState<std::string, EventTime> last;
//   };
//   clicks.key_by(&Click::user).process<Silent>("silent")
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <boost/describe.hpp>

#include "engine/operator/context.h"
#include "engine/operator/operator.h"
#include "operators/batch_keys.h"
#include "operators/state_context.h"
#include "state/named_timers.h"
#include "state/operator_state.h"

namespace tidemill {

// A timer whose time has come. In event time: once the watermark is greater, so behind every record
// of that time. In processing time: when the clock has reached it.
struct FiredTimer {
  EventTime time;
  std::string_view name;
  TimeDomain clock = TimeDomain::kEvent;
};

template <class F, class K>
class FunctionRunner;

// Given to every call of a process function; good for that call.
template <class K, class Out>
class ProcessContext {
 public:
  [[nodiscard]] const K& key() const { return *current_->key; }
  [[nodiscard]] std::uint64_t hash() const { return current_->hash; }
  // Of the record; of the event-time timer; for a processing-time timer the watermark, or before
  // the first one the clock. What is emitted without a time has this one.
  [[nodiscard]] EventTime time() const { return current_->time; }
  // EventTime::max() once the input has ended: what is then set in event time fires as well, so a
  // timer that sets the next one asks for this first.
  [[nodiscard]] EventTime watermark() const { return watermark_; }
  // The clock, read once for each batch and firing.
  [[nodiscard]] EventTime processing_time() const { return current_->processing_now; }

  void emit(Out value) { out_->emit(std::move(value), current_->time); }
  void emit(Out value, EventTime time) { out_->emit(std::move(value), time); }

  // Timers of the key in progress. Those of one (time, name) are one. One whose time has passed
  // already fires at the end of its batch; of those that are left when the input ends event-time
  // timers fire, processing-time timers do not. EventTime::max() counts as the millisecond before.
  void set_timer(EventTime time, std::string_view name = {}) {
    ++num_event_sets_;
    passed_event_ |= set(event_, time, name, event_limit_);
  }
  void delete_timer(EventTime time, std::string_view name = {}) {
    ++num_event_sets_;
    erase(event_, time, name, event_limit_);
  }
  void set_processing_timer(EventTime time, std::string_view name = {}) {
    ++num_processing_sets_;
    passed_processing_ |= set(processing_, time, name, processing_limit());
  }
  void delete_processing_timer(EventTime time, std::string_view name = {}) {
    ++num_processing_sets_;
    erase(processing_, time, name, processing_limit());
  }

 private:
  template <class F, class Key>
  friend class FunctionRunner;

  static EventTime finite(EventTime time) {
    return std::min(time, EventTime{EventTime::max().ms - 1});
  }
  [[nodiscard]] EventTime processing_limit() const {
    return current_->processing_now + Duration(1);
  }
  // True if the timer is due already.
  bool set(NamedTimers<K>* timers, EventTime time, std::string_view name, EventTime limit) {
    require(timers);
    time = finite(time);
    timers->set(time, name, key(), hash(), limit, current_->place);
    return time < limit;
  }
  void erase(NamedTimers<K>* timers, EventTime time, std::string_view name, EventTime limit) {
    require(timers);
    timers->erase(finite(time), name, key(), hash(), limit, current_->place);
  }
  static void require(const NamedTimers<K>* timers) {
    if (timers == nullptr)
      throw Error(ErrorCode::kUser, "a process function that uses timers needs on_timer");
  }

  KeyInProgress<K>* current_ = nullptr;
  EventTime watermark_ = EventTime::min();
  Emitter<Out>* out_ = nullptr;
  NamedTimers<K>* event_ = nullptr;
  NamedTimers<K>* processing_ = nullptr;
  // Event-time timers before this are fired by whoever is at work on the key.
  EventTime event_limit_ = EventTime::min();
  // Timers that were due already have been set since this was last asked.
  bool passed_event_ = false;
  bool passed_processing_ = false;
  // How many timers the batch in progress has set or deleted.
  std::size_t num_event_sets_ = 0;
  std::size_t num_processing_sets_ = 0;
};

// Options of the operator around a function.
struct ProcessOptions {
  // Timers after which a firing lets other messages pass.
  std::size_t firing_budget = 2048;
  // And those that one tick of the clock fires; ticks come about every millisecond.
  std::size_t tick_budget = 4096;
};

// The function with its timers and its clock: what the operators with one and with two inputs
// share.
template <class F, class K>
class FunctionRunner {
 public:
  using Out = typename F::Out;
  using Context = ProcessContext<K, Out>;
  static constexpr bool kHasTimers = requires(F & f, const FiredTimer& timer, Context& ctx) {
    f.on_timer(timer, ctx);
  };

  template <class... Args>
  FunctionRunner(OperatorContext& ctx, const ProcessOptions& options, const Args&... args)
      : options_(options),
        groups_(ctx.key_groups()),
        clock_(ctx.clock()),
        progress_(ctx, "progress"),
        function_(make_function(ctx, args...)) {
    if constexpr (kHasTimers) {
      event_timers_.emplace(ctx, "timers");
      processing_timers_.emplace(ctx, "processing_timers");
      context_.event_ = &*event_timers_;
      context_.processing_ = &*processing_timers_;
    }
    context_.current_ = &current_;
    context_.out_ = &ctx.output<Out>(0);
    for (const OperatorProgress& former : progress_.restored())
      progress_->watermark = std::max(progress_->watermark, former.watermark);
    note_watermark();
  }
  FunctionRunner(const FunctionRunner&) = delete;
  FunctionRunner& operator=(const FunctionRunner&) = delete;

  // Whether many of an input's last batch have set or deleted timers: those of its next one are
  // likely to.
  struct SetsTimers {
    bool event = true;
    bool processing = false;
  };

  // A batch of these keys: begin, take for each record in order, finish. The keys stay where they
  // are meanwhile.
  void begin(std::span<const KeyRef<K>> keys, const SetsTimers& sets) {
    read_clock();
    load_states(keys);
    place_ = 0;
    if constexpr (kHasTimers) {
      is_behind_ = event_timers_->fired_until() < progress_->watermark;
      if (sets.event || is_behind_) event_timers_->prefetch(keys);
      if (sets.processing) processing_timers_->prefetch(keys);
      context_.num_event_sets_ = context_.num_processing_sets_ = 0;
    }
  }
  template <class Call>
  void take(const KeyRef<K>& ref, EventTime time, Call&& call) {
    if constexpr (kHasTimers) {
      // A firing is not finished and has not come to this key's group: what is due comes first.
      if (is_behind_ && event_timers_->fired_until(group_of(ref.hash)) < progress_->watermark)
        fire_event(*ref.key, ref.hash, progress_->watermark);
    }
    work_on(*ref.key, ref.hash, progress_->watermark, time);
    current_.place = place_++;
    call(function_, context_);
    current_.place = kNoPlace;
    if constexpr (kHasTimers) {
      if (context_.passed_event_ || context_.passed_processing_) {
        context_.passed_event_ = context_.passed_processing_ = false;
        overdue_.push_back(ref);
      }
    }
  }
  void finish(SetsTimers& sets) {
    if constexpr (kHasTimers) {
      // Loading a key's timers for nothing costs less than looking one up that is not loaded.
      sets = {context_.num_event_sets_ * 8 > place_, context_.num_processing_sets_ * 8 > place_};
      for (const KeyRef<K>& ref : overdue_) {
        fire_event(*ref.key, ref.hash, progress_->watermark);
        fire_processing(*ref.key, ref.hash);
      }
      overdue_.clear();
    }
  }

  Progress on_watermark(EventTime watermark) {
    progress_->watermark = std::max(progress_->watermark, watermark);
    note_watermark();
    read_clock();
    std::size_t left = options_.firing_budget;
    if constexpr (kHasTimers) {
      const auto fire = [&](const K& key, std::uint64_t hash, EventTime time) {
        --left;
        fire_event(key, hash, time + Duration(1));
      };
      if (fire_due(*event_timers_, progress_->watermark, left, fire) == Progress::kMore)
        return Progress::kMore;
    }
    return expire(TimeDomain::kEvent, progress_->watermark, left);
  }

  // Processing time may have moved on.
  void on_tick() {
    if (states_.empty() && !kHasTimers) return;
    read_clock();
    std::size_t left = options_.tick_budget;
    if constexpr (kHasTimers) {
      if (!processing_timers_->is_empty()) {
        const auto fire = [&](const K& key, std::uint64_t hash, EventTime) {
          --left;
          fire_processing(key, hash);
        };
        (void)fire_due(*processing_timers_, current_.processing_now + Duration(1), left, fire);
      }
    }
    (void)expire(TimeDomain::kProcessing, current_.processing_now + Duration(1), left);
  }

 private:
  struct OperatorProgress {
    EventTime watermark = EventTime::min();
    BOOST_DESCRIBE_CLASS(OperatorProgress, (), (watermark), (), ())
  };

  template <class... Args>
  F make_function(OperatorContext& ctx, const Args&... args) {
    StateContext<K> state(ctx, current_, states_);
    return F(state, args...);
  }
  [[nodiscard]] KeyGroup group_of(std::uint64_t hash) const {
    return key_group_of(hash, groups_.groups);
  }
  void load_states(std::span<const KeyRef<K>> keys) {
    for (FunctionState<K>* state : states_) state->prefetch(keys);
  }
  void read_clock() { current_.processing_now = clock_.processing_time(); }
  void note_watermark() {
    context_.watermark_ = progress_->watermark;
    context_.event_limit_ = progress_->watermark;
  }
  void work_on(const K& key, std::uint64_t hash, EventTime event_now, EventTime time) {
    current_.key = &key;
    current_.hash = hash;
    current_.event_now = event_now;
    current_.time = time;
  }

  // fn(const K&, hash, EventTime) for each timer that is due, about `left` of them, once what it
  // needs has been loaded.
  template <class Fire>
  Progress fire_due(NamedTimers<K>& timers, EventTime until, const std::size_t& left, Fire&& fn) {
    KeyGroup loaded = groups_.begin;
    const auto load = [&](KeyGroup group) { loaded = load_due(timers, group, until, left); };
    const auto fire = [&](const K& key, std::uint64_t hash, EventTime time) {
      if (is_load_full_ && num_fired_since_load_++ == due_refs_.size()) load(group_of(hash));
      current_.place = place_of_due(key, hash);
      fn(key, hash, time);
      current_.place = kNoPlace;
    };
    return timers.fire_due(until, left, fire, [&](KeyGroup group) {
      if (group >= loaded) load(group);
    });
  }
  // Loads what the timers that are due need, of several groups together, from `group` on; returns
  // the first one of the others.
  KeyGroup load_due(NamedTimers<K>& timers, KeyGroup group, EventTime until, std::size_t most) {
    most = std::min(most, kMostLoaded);
    due_keys_.clear();
    for (; group < groups_.end && due_keys_.size() < most;
         group = timers.next_due_group(group + 1, until)) {
      timers.for_each_due(
          group, until, most - due_keys_.size(),
          [&](const K& key, std::uint64_t hash) { due_keys_.emplace_back(key, hash); });
    }
    is_load_full_ = due_keys_.size() == most;
    due_refs_.clear();
    num_due_fired_ = num_fired_since_load_ = 0;
    for (const auto& [key, hash] : due_keys_) due_refs_.push_back({&key, hash});
    if (!due_refs_.empty()) {
      timers.prefetch(due_refs_);
      load_states(due_refs_);
    }
    return group;
  }

  // Which of the keys that `load_due` has loaded this one is. They fire in that order, but for what
  // callbacks set and erase meanwhile.
  [[nodiscard]] PlaceAhead place_of_due(const K& key, std::uint64_t hash) {
    const std::size_t end = std::min(due_refs_.size(), num_due_fired_ + kMostSkipped);
    for (PlaceAhead place = num_due_fired_; place < end; ++place) {
      if (due_refs_[place].hash != hash || !(*due_refs_[place].key == key)) continue;
      num_due_fired_ = place + 1;
      return place;
    }
    return kNoPlace;
  }

  // Fires the event-time timers of the key before `until`.
  void fire_event(const K& key, std::uint64_t hash, EventTime until) {
    context_.event_limit_ = until;
    fire_event_timers(key, hash);
    fire_passed(key, hash);
    context_.event_limit_ = progress_->watermark;
  }
  // Fires the processing-time timers of the key that are due.
  void fire_processing(const K& key, std::uint64_t hash) {
    fire_processing_timers(key, hash);
    fire_passed(key, hash);
  }
  // And what callbacks have set meanwhile that is due already.
  void fire_passed(const K& key, std::uint64_t hash) {
    while (context_.passed_event_ || context_.passed_processing_) {
      if (std::exchange(context_.passed_event_, false)) fire_event_timers(key, hash);
      if (std::exchange(context_.passed_processing_, false)) fire_processing_timers(key, hash);
    }
  }
  void fire_event_timers(const K& key, std::uint64_t hash) {
    event_timers_->fire_key(
        key, hash, context_.event_limit_,
        [&](const NamedTimer& timer) {
          work_on(key, hash, timer.time, timer.time);
          function_.on_timer(FiredTimer{timer.time, timer.name, TimeDomain::kEvent}, context_);
        },
        current_.place);
  }
  void fire_processing_timers(const K& key, std::uint64_t hash) {
    const EventTime until = current_.processing_now + Duration(1);
    processing_timers_->fire_key(
        key, hash, until,
        [&](const NamedTimer& timer) {
          const EventTime time =
              progress_->watermark.is_finite() ? progress_->watermark : current_.processing_now;
          work_on(key, hash, progress_->watermark, time);
          function_.on_timer(FiredTimer{timer.time, timer.name, TimeDomain::kProcessing}, context_);
        },
        current_.place);
  }

  Progress expire(TimeDomain clock, EventTime until, std::size_t budget) {
    for (FunctionState<K>* state : states_) {
      if (state->expire(clock, until, budget) == Progress::kMore) return Progress::kMore;
    }
    return Progress::kDone;
  }

  // Timers: what they need should still be in the cache when they fire.
  static constexpr std::size_t kMostLoaded = 512;
  static constexpr std::size_t kMostSkipped = 8;  // of those that were to fire

  const ProcessOptions options_;
  const KeyGroupRange groups_;
  const Clock& clock_;
  OperatorState<OperatorProgress> progress_;
  KeyInProgress<K> current_;
  std::vector<FunctionState<K>*> states_;
  F function_;
  std::optional<NamedTimers<K>> event_timers_;
  std::optional<NamedTimers<K>> processing_timers_;
  Context context_;
  // Of the batch in progress.
  bool is_behind_ = false;
  PlaceAhead place_ = 0;
  std::vector<KeyRef<K>> overdue_;
  // Of a firing.
  std::vector<std::pair<K, std::uint64_t>> due_keys_;
  std::vector<KeyRef<K>> due_refs_;
  std::size_t num_due_fired_ = 0;  // of them, or passed over
  std::size_t num_fired_since_load_ = 0;
  bool is_load_full_ = false;  // there may be more in their groups
};

// F: built from (StateContext<K>&, args...), `using Out`, process(const In&, ProcessContext<K,
// Out>&), optionally on_timer(const FiredTimer&, ProcessContext<K, Out>&). Calls of one key never
// overlap. Nothing is late: the function sees records behind the watermark too. Port 0: Out; the
// others by F's own OutputPorts.
template <class F, class In, class KeyOf>
class KeyedProcess final : public OneInput<In> {
 public:
  using Key = typename BatchKeys<In, KeyOf>::Key;
  using Out = typename F::Out;

  template <class... Args>
  KeyedProcess(OperatorContext& ctx, ProcessOptions options, KeyOf key_of, const Args&... args)
      : keys_(std::move(key_of)), runner_(ctx, options, args...) {}

  void process(Batch<In>& batch) override {
    const std::span<const KeyRef<Key>> refs = keys_.read(batch);
    runner_.begin(refs, sets_timers_);
    for (std::size_t i = 0; i < batch.size(); ++i) {
      runner_.take(refs[i], batch[i].time, [&](F& function, auto& ctx) {
        function.process(std::as_const(batch[i].value), ctx);
      });
    }
    runner_.finish(sets_timers_);
  }
  Progress on_watermark(EventTime watermark) override { return runner_.on_watermark(watermark); }
  Progress on_end() override { return on_watermark(EventTime::max()); }
  void on_tick() override { runner_.on_tick(); }

 private:
  BatchKeys<In, KeyOf> keys_;
  FunctionRunner<F, Key> runner_;
  typename FunctionRunner<F, Key>::SetsTimers sets_timers_;
};

// The same with two inputs over shared keyed state: F has process_left and process_right.
template <class F, class Left, class Right, class LeftKey, class RightKey>
class KeyedCoProcess final : public TwoInput<Left, Right> {
 public:
  using Key = typename BatchKeys<Left, LeftKey>::Key;
  using Out = typename F::Out;
  static_assert(std::is_same_v<Key, typename BatchKeys<Right, RightKey>::Key>,
                "both inputs must be keyed by the same type");

  template <class... Args>
  KeyedCoProcess(OperatorContext& ctx, ProcessOptions options, LeftKey left, RightKey right,
                 const Args&... args)
      : left_{BatchKeys<Left, LeftKey>(std::move(left)), {}},
        right_{BatchKeys<Right, RightKey>(std::move(right)), {}},
        runner_(ctx, options, args...) {}

  void process_left(Batch<Left>& batch) override {
    take_all(batch, left_, [](F& f, const Left& value, auto& ctx) { f.process_left(value, ctx); });
  }
  void process_right(Batch<Right>& batch) override {
    take_all(batch, right_,
             [](F& f, const Right& value, auto& ctx) { f.process_right(value, ctx); });
  }
  Progress on_watermark(EventTime watermark) override { return runner_.on_watermark(watermark); }
  Progress on_end() override { return on_watermark(EventTime::max()); }
  void on_tick() override { runner_.on_tick(); }

 private:
  template <class B, class S, class Call>
  void take_all(B& batch, S& side, Call call) {
    const std::span<const KeyRef<Key>> refs = side.keys.read(batch);
    runner_.begin(refs, side.sets_timers);
    for (std::size_t i = 0; i < batch.size(); ++i) {
      runner_.take(refs[i], batch[i].time,
                   [&](F& function, auto& ctx) { call(function, batch[i].value, ctx); });
    }
    runner_.finish(side.sets_timers);
  }

  template <class T, class KeyOf>
  struct Side {
    BatchKeys<T, KeyOf> keys;
    typename FunctionRunner<F, Key>::SetsTimers sets_timers;
  };

  Side<Left, LeftKey> left_;
  Side<Right, RightKey> right_;
  FunctionRunner<F, Key> runner_;
};

}  // namespace tidemill
