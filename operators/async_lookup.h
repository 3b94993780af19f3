// Look-up join: each record with what a store outside the job has of its key. The store is asked
// asynchronously: many requests are in flight while records go on coming (docs/semantics.md 4).
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <boost/describe.hpp>
#include <boost/unordered/unordered_flat_map.hpp>

#include "engine/base/error.h"
#include "engine/operator/context.h"
#include "engine/operator/lookup.h"
#include "engine/operator/operator.h"
#include "operators/stream.h"
#include "state/key_encoding.h"
#include "state/operator_state.h"

namespace tidemill {

// What becomes of a record for which there is no answer after the last attempt.
enum class LookupFailure : std::uint8_t {
  kFail,  // the job stops, and is restarted from its last checkpoint
  kSkip,  // it goes to the port of failed records
};

struct LookupOptions {
  std::size_t in_flight = 256;  // requests at a time, of one subtask
  // Of one attempt, from when it was sent.
  Duration timeout = Duration(10s);
  int attempts = 3;
  // Between an attempt that failed and the next.
  Duration pause = Duration(100ms);
  // Rows come in the order of the records; else as the answers come, but never across a watermark.
  bool is_ordered = false;
  LookupFailure failure = LookupFailure::kFail;
  // Answers remembered, the last used ones, for no longer than the TTL. 0: none.
  std::size_t cache_size = 0;
  Duration cache_ttl = Duration(1min);
};

// Answers of a store, of the keys that were used last. Not state: after a restart it is empty. One
// thread.
template <class K, class V>
class LookupCache {
 public:
  using Instant = std::chrono::nanoseconds;

  LookupCache(std::size_t size, Duration ttl) : size_(size), ttl_(ttl) {}

  // Null: not remembered. Else what the store had, which may be nothing.
  const std::optional<V>* find(const K& key, Instant now) {
    const auto it = places_.find(key);
    if (it == places_.end()) return nullptr;
    if (it->second->until <= now) {
      entries_.erase(it->second);
      places_.erase(it);
      return nullptr;
    }
    entries_.splice(entries_.begin(), entries_, it->second);
    return &it->second->value;
  }
  void put(const K& key, const std::optional<V>& value, Instant now) {
    if (size_ == 0) return;
    if (const auto it = places_.find(key); it != places_.end()) {
      entries_.erase(it->second);
      places_.erase(it);
    } else if (places_.size() >= size_) {
      places_.erase(entries_.back().key);
      entries_.pop_back();
    }
    entries_.push_front({key, value, now + ttl_});
    places_[key] = entries_.begin();
  }

 private:
  struct Entry {
    K key;
    std::optional<V> value;
    Instant until;
  };
  struct HashOf {
    std::size_t operator()(const K& key) const { return static_cast<std::size_t>(key_hash(key)); }
  };

  const std::size_t size_;
  const Duration ttl_;
  std::list<Entry> entries_;  // the last used one first
  boost::unordered_flat_map<K, typename std::list<Entry>::iterator, HashOf> places_;
};

// KeyOf: K(const In&). F: Row(const In&, const V*), null if the store has nothing.
// Port 0: rows at the record's time. Port 1: records without an answer (kSkip), as they came.
//
// A watermark is forwarded when all records before it have their answers; until then nothing more
// is taken, barriers behind it included: a checkpoint is held up for at most attempts x (timeout +
// pause), times the rounds of `in_flight` requests that the waiting records need. State: the
// records that wait. After a restore, also with another parallelism, they are asked for again, each
// by one subtask.
template <class In, class K, class V, class KeyOf, class F>
class AsyncLookup final : public OneInput<In> {
 public:
  using Out = std::remove_cvref_t<std::invoke_result_t<const F&, const In&, const V*>>;
  static constexpr OutputPort<In> kFailed{1};

  // Throws Error(kConfig) for impossible options.
  AsyncLookup(OperatorContext& ctx, const LookupOptions& options, LookupFactory<K, V> make,
              KeyOf key_of, F f)
      : options_(check(options)),
        clock_(ctx.clock()),
        key_of_(std::move(key_of)),
        f_(std::move(f)),
        client_(ctx.resources().find<Rehearsal>() == nullptr ? make(ctx.clock()) : nullptr),
        cache_(options.cache_size, options.cache_ttl),
        stored_(ctx, "waiting"),
        out_(ctx.output<Out>(0)),
        failed_(ctx.output(kFailed)),
        requests_(ctx.counter("tidemill_lookup_requests_total")),
        hits_(ctx.counter("tidemill_lookup_cache_hits_total")),
        failures_(ctx.counter("tidemill_lookup_failures_total")) {
    std::size_t number = 0;
    for (const std::vector<Stored>& former : stored_.restored()) {
      for (const Stored& record : former) {
        if (number++ % static_cast<std::size_t>(ctx.parallelism()) ==
            static_cast<std::size_t>(ctx.subtask()))
          waiting_.emplace(next_++, Waiting{record.value, record.time});
      }
    }
  }

  void process(Batch<In>& batch) override {
    for (Record<In>& record : batch)
      waiting_.emplace(next_++, Waiting{std::move(record.value), record.time});
    move_on();
  }
  Progress on_watermark(EventTime /*watermark*/) override {
    move_on();
    is_draining_ = !waiting_.empty();
    return is_draining_ ? Progress::kMore : Progress::kDone;
  }
  Progress on_end() override { return on_watermark(EventTime::max()); }
  void on_tick() override { move_on(); }
  [[nodiscard]] bool is_blocked() const override {
    return !waiting_.empty() && (is_draining_ || waiting_.size() >= options_.in_flight);
  }
  void before_snapshot() override {
    stored_->clear();
    for (const auto& [number, record] : waiting_) stored_->push_back({record.value, record.time});
  }

 private:
  using Instant = std::chrono::nanoseconds;
  enum class Step : std::uint8_t { kToAsk, kAsked, kAnswered, kGivenUp };
  struct Waiting {
    In value;
    EventTime time;
    Step step = Step::kToAsk;
    int attempts = 0;
    Instant alarm{0};           // kToAsk: not before; kAsked: no longer than
    std::uint64_t request = 0;  // kAsked: its number
    std::optional<V> answer{};
  };
  struct Stored {
    In value;
    EventTime time;
    BOOST_DESCRIBE_CLASS(Stored, (), (value, time), (), ())
  };

  static const LookupOptions& check(const LookupOptions& options) {
    if (options.in_flight == 0 || options.attempts < 1 || options.timeout <= Duration::zero())
      throw Error(ErrorCode::kConfig,
                  "a look-up needs at least one request in flight, one attempt and a timeout");
    if (options.pause < Duration::zero() || options.cache_ttl < Duration::zero())
      throw Error(ErrorCode::kConfig,
                  "the pause and the cache's TTL of a look-up are not negative");
    return options;
  }

  void move_on() {
    if (waiting_.empty()) return;
    const Instant now = clock_.monotonic();
    client_->poll(answers_);
    for (LookupAnswer<V>& answer : answers_) take(answer, now);
    answers_.clear();
    for (auto& [number, record] : waiting_) {
      if (record.step == Step::kAsked && record.alarm <= now) fail(record, "timed out", now);
      if (record.step == Step::kToAsk && record.alarm <= now) ask(number, record, now);
    }
    give_out();
  }

  void ask(std::uint64_t number, Waiting& record, Instant now) {
    const K key = std::invoke(key_of_, std::as_const(record.value));
    if (const std::optional<V>* known = cache_.find(key, now)) {
      hits_.add();
      record.answer = *known;
      record.step = Step::kAnswered;
      return;
    }
    if (requested_.size() >= options_.in_flight) return;
    ++record.attempts;
    record.step = Step::kAsked;
    record.alarm = now + options_.timeout;
    requests_.add();
    // Every attempt has a number of its own, so that no old answer is taken for a new one.
    record.request = next_request_++;
    requested_[record.request] = number;
    client_->request(record.request, key);
  }

  void take(LookupAnswer<V>& answer, Instant now) {
    const auto it = requested_.find(answer.request);
    if (it == requested_.end()) return;  // too late
    Waiting& record = waiting_.at(it->second);
    if (!answer.error.empty()) {
      fail(record, answer.error, now);
      return;
    }
    requested_.erase(it);
    cache_.put(std::invoke(key_of_, std::as_const(record.value)), answer.value, now);
    record.answer = std::move(answer.value);
    record.step = Step::kAnswered;
  }

  void fail(Waiting& record, const std::string& why, Instant now) {
    requested_.erase(record.request);
    record.step = Step::kToAsk;
    record.alarm = now + options_.pause;
    if (record.attempts < options_.attempts) return;
    failures_.add();
    if (options_.failure == LookupFailure::kFail) {
      throw Error(ErrorCode::kIo, "a look-up has no answer after " +
                                      std::to_string(record.attempts) +
                                      " attempts; see whether the store can be reached: " + why);
    }
    record.step = Step::kGivenUp;
  }

  void give_out() {
    for (auto it = waiting_.begin(); it != waiting_.end();) {
      Waiting& record = it->second;
      if (record.step == Step::kAnswered) {
        const V* value = record.answer ? &*record.answer : nullptr;
        out_.emit(std::invoke(f_, std::as_const(record.value), value), record.time);
      } else if (record.step == Step::kGivenUp) {
        failed_.emit(std::move(record.value), record.time);
      } else if (options_.is_ordered) {
        return;
      } else {
        ++it;
        continue;
      }
      it = waiting_.erase(it);
    }
  }

  const LookupOptions options_;
  const Clock& clock_;
  const KeyOf key_of_;
  const F f_;
  const std::unique_ptr<LookupClient<K, V>> client_;
  LookupCache<K, V> cache_;
  OperatorState<std::vector<Stored>> stored_;  // up to date at a barrier only
  Emitter<Out>& out_;
  Emitter<In>& failed_;
  Counter& requests_;
  Counter& hits_;
  Counter& failures_;

  // Derived from stored_, or begun anew: every record that waits is asked for again.
  std::map<std::uint64_t, Waiting> waiting_;  // in the order of coming
  std::uint64_t next_ = 0;
  boost::unordered_flat_map<std::uint64_t, std::uint64_t>
      requested_;  // request in flight -> record
  std::uint64_t next_request_ = 0;
  bool is_draining_ = false;
  std::vector<LookupAnswer<V>> answers_;  // empty between calls
};

// The DSL's: lookup_join<V>(orders, "customers", redis, &Order::customer, MakeRow{}). `name`
// identifies the state; failed records are `.side(Op::kFailed)`.
template <class K, class V, class In, class KeyOf, class F>
auto lookup_join(const Stream<In>& stream, std::string name, LookupFactory<K, V> make, KeyOf key_of,
                 F f, const LookupOptions& options = {}) {
  using Op = AsyncLookup<In, K, V, KeyOf, F>;
  return stream.template process<Op>(std::move(name), options, std::move(make), std::move(key_of),
                                     std::move(f));
}

}  // namespace tidemill
