// The N best records of each key, as a changelog of ranks (docs/semantics.md 4.1). Top-N of a
// window is an aggregate (collections.h).
#pragma once

#include <algorithm>
#include <concepts>
#include <cstddef>
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
#include "operators/aggregates.h"
#include "operators/batch_keys.h"
#include "operators/changelog.h"
#include "state/keyed_value.h"
#include "state/prefetch.h"

namespace tidemill {

enum class RankOrder : std::uint8_t { kDescending, kAscending };

// A row of a ranking, identified by key and rank.
template <class Key, class Row>
struct Ranked {
  Key key{};
  std::int32_t rank = 0;  // from 1
  Row row{};

  friend bool operator==(const Ranked&, const Ranked&) = default;
  BOOST_DESCRIBE_CLASS(Ranked, (), (key, rank, row), (), ())
};

// What is shown at a rank: by default the whole record.
struct WholeRecord {
  template <class In>
  const In& operator()(const In& record) const {
    return record;
  }
};

// By the value that ValueOf picks; equal ones by time, then by arrival: earlier is better, in both
// orders. NaN is left out. At the end of each batch one row for each rank whose row changed, an
// insert for a rank that was empty, at the greatest time of the records that changed the key.
// Nothing is late. State: at most n rows per key, for ever. Row must be storable and have ==.
template <class In, class KeyOf, class ValueOf, class RowOf = WholeRecord>
class TopNPerKey final : public OneInput<In> {
 public:
  using Key = typename BatchKeys<In, KeyOf>::Key;
  using Value = std::remove_cvref_t<std::invoke_result_t<const ValueOf&, const In&>>;
  using Row = std::remove_cvref_t<std::invoke_result_t<const RowOf&, const In&>>;
  using Out = Change<Ranked<Key, Row>>;
  static_assert(std::equality_comparable<Row>,
                "what is shown at a rank needs operator==, or a RowOf that picks what has it");

  // Throws Error(kConfig) if n is 0.
  TopNPerKey(OperatorContext& ctx, std::size_t n, RankOrder order, KeyOf key_of, ValueOf value_of,
             RowOf row_of = {})
      : n_(check(n)),
        order_(order),
        value_of_(std::move(value_of)),
        row_of_(std::move(row_of)),
        batch_keys_(std::move(key_of)),
        tops_(ctx, "tops"),
        out_(ctx.output<Out>(0)) {}

  void process(Batch<In>& batch) override {
    const std::span<const KeyRef<Key>> refs = batch_keys_.read(batch);
    tops_.prefetch(refs);
    ++batch_number_;
    // Most rankings lie beyond the cache, and most records are compared with their last row.
    known_.clear();
    for (std::size_t i = 0; i < batch.size(); ++i) {
      const Top* known = known_.emplace_back(tops_.find(*refs[i].key, refs[i].hash, i));
      if (known != nullptr && !known->kept.empty()) prefetch_line(&known->kept.back());
    }
    for (std::size_t i = 0; i < batch.size(); ++i) take(batch[i], refs[i], i);
    for (std::size_t i = 0; i < num_changed_; ++i) give_out(changed_[i]);
    num_changed_ = 0;
  }

 private:
  struct Kept {
    Value value{};
    EventTime time{};
    Row row{};
    BOOST_DESCRIBE_CLASS(Kept, (), (value, time, row), (), ())
  };
  struct Top {
    std::vector<Kept> kept;   // the best first
    std::uint64_t batch = 0;  // not stored: the batch in which it changed, and where in `changed_`
    std::uint32_t place = 0;
    BOOST_DESCRIBE_CLASS(Top, (), (kept), (), ())
  };
  // A key that the batch has changed.
  struct Changed {
    const Key* key = nullptr;
    const Top* top = nullptr;  // stays where it is until the next batch
    EventTime time = EventTime::min();
    std::size_t first = 0;    // the place, from 0, above which nothing has changed
    std::vector<Row> former;  // what was there at the start of the batch, from `first` on
  };

  static std::size_t check(std::size_t n) {
    if (n == 0) throw Error(ErrorCode::kConfig, "a ranking needs at least one rank");
    return n;
  }
  [[nodiscard]] bool is_better(const Value& a, EventTime a_time, const Kept& b) const {
    if (strictly_less(a, b.value)) return order_ == RankOrder::kAscending;
    if (strictly_less(b.value, a)) return order_ == RankOrder::kDescending;
    return a_time < b.time;
  }

  void take(const Record<In>& record, const KeyRef<Key>& ref, PlaceAhead ahead) {
    const Value value = std::invoke(value_of_, record.value);
    if (is_nan(value)) return;
    const Top* known = known_[ahead];
    if (known == nullptr) known = tops_.find(*ref.key, ref.hash, ahead);
    if (known != nullptr && known->kept.size() == n_ &&
        !is_better(value, record.time, known->kept.back()))
      return;
    Top& top = tops_.at(*ref.key, ref.hash, ahead);
    Changed& changed = note_change(top, *ref.key);
    changed.time = std::max(changed.time, record.time);
    auto place = top.kept.end();
    while (place != top.kept.begin() && is_better(value, record.time, *std::prev(place))) --place;
    const auto at = static_cast<std::size_t>(place - top.kept.begin());
    keep_former(changed, top.kept, at);
    if (top.kept.size() == n_) top.kept.pop_back();
    make_room(top.kept);
    top.kept.insert(top.kept.begin() + static_cast<std::ptrdiff_t>(at),
                    Kept{value, record.time, std::invoke(row_of_, record.value)});
  }

  // Never for more than n rows: most of a ranking's memory is theirs.
  void make_room(std::vector<Kept>& kept) const {
    if (kept.size() == kept.capacity())
      kept.reserve(std::min(n_, std::max<std::size_t>(2 * kept.size(), 1)));
  }
  Changed& note_change(Top& top, const Key& key) {
    if (top.batch != batch_number_) {
      top.batch = batch_number_;
      top.place = static_cast<std::uint32_t>(num_changed_);
      if (num_changed_ == changed_.size()) changed_.emplace_back();
      Changed& fresh = changed_[num_changed_++];
      fresh.key = &key;
      fresh.top = &top;
      fresh.time = EventTime::min();
      fresh.first = top.kept.size();
    }
    return changed_[top.place];
  }
  // Before anything from `at` on changes: what lies before `first` is as it was.
  static void keep_former(Changed& changed, const std::vector<Kept>& kept, std::size_t at) {
    if (at >= changed.first) return;
    changed.former.insert(changed.former.begin(), changed.first - at, Row{});
    for (std::size_t i = at; i < changed.first; ++i) changed.former[i - at] = kept[i].row;
    changed.first = at;
  }

  void give_out(Changed& changed) {
    const std::vector<Kept>& kept = changed.top->kept;
    for (std::size_t i = changed.first; i < kept.size(); ++i) {
      const std::size_t place = i - changed.first;
      const bool is_update = place < changed.former.size();
      if (is_update && changed.former[place] == kept[i].row) continue;
      out_.emit_made(changed.time, [&](Out& change) {
        change.kind = is_update ? ChangeKind::kUpdate : ChangeKind::kInsert;
        change.row.key = *changed.key;
        change.row.rank = static_cast<std::int32_t>(i + 1);
        change.row.row = kept[i].row;
      });
    }
    if (changed.former.capacity() > kMostKept) changed.former = std::vector<Row>();
    changed.former.clear();
  }

  static constexpr std::size_t kMostKept = 64;  // rows' worth of memory, of each of `changed_`

  const std::size_t n_;
  const RankOrder order_;
  const ValueOf value_of_;
  const RowOf row_of_;
  BatchKeys<In, KeyOf> batch_keys_;
  KeyedValue<Key, Top> tops_;
  Emitter<Out>& out_;
  std::uint64_t batch_number_ = 0;
  std::vector<const Top*> known_;  // of the batch's records; null: there was none at its start
  // Empty between calls; the memory is kept.
  std::vector<Changed> changed_;
  std::size_t num_changed_ = 0;
};

}  // namespace tidemill
