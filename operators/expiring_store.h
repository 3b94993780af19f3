// Values that expire: what the states of process functions are made of.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include "engine/operator/context.h"
#include "engine/operator/operator.h"
#include "operators/state_context.h"
#include "state/codec.h"
#include "state/keyed_store.h"
#include "state/memory_size.h"
#include "state/timers.h"

namespace tidemill {

// How long a value is kept after it was last written. In event time it expires once the watermark
// is greater than the time of that record or timer + `after`, in processing time when the clock is
// there. An expired value is never seen again, also before it has been let go.
//
// May be given to a state that has been kept without, and taken away again: a value that was
// written without one has no end until it is written the next time.
struct Ttl {
  Duration after;
  TimeDomain clock = TimeDomain::kEvent;
  bool refresh_on_read = false;  // a read counts as a write
};

// A value and its end; without one it is stored as the value alone.
template <class V>
struct Expiring {
  V value{};
  EventTime expires = EventTime::max();  // none
  EventTime wake = EventTime::max();     // the timer that is set
};

template <class V>
struct Codec<Expiring<V>> {
  static void encode(Bytes& out, const Expiring<V>& kept) {
    Codec<V>::encode(out, kept.value);
    if (kept.expires == EventTime::max() && kept.wake == EventTime::max()) return;
    Codec<EventTime>::encode(out, kept.expires);
    Codec<EventTime>::encode(out, kept.wake);
  }
  static Expiring<V> decode(ByteReader& in) {
    Expiring<V> kept{Codec<V>::decode(in)};
    if (in.empty()) return kept;
    kept.expires = Codec<EventTime>::decode(in);
    kept.wake = Codec<EventTime>::decode(in);
    return kept;
  }
  static StoredType stored_type() {
    return stored::of(StoredType::Kind::kTail, tidemill::stored_type<V>(),
                      tidemill::stored_type<EventTime>(), tidemill::stored_type<EventTime>());
  }
};

template <class V>
struct HeapSize<Expiring<V>> {
  static constexpr bool kHasHeap = tidemill::kHasHeap<V>;
  static std::size_t of(const Expiring<V>& kept) { return memory_size(kept.value); }
};

// One thread: the operator's. Id: a key, or a key and what lies under it; `hash` is KeyHash<Id>.
template <class Id, class V>
class ExpiringStore {
 public:
  using OnExpiry = std::function<void(const Id&, V&, EventTime)>;

  // Throws Error(kConfig) if the time to live is not positive.
  ExpiringStore(OperatorContext& ctx, const std::string& name, std::string_view kind,
                std::optional<Ttl> ttl, OnExpiry on_expiry)
      : ttl_(check(ttl)),
        on_expiry_(std::move(on_expiry)),
        groups_(ctx.key_groups()),
        store_(ctx, name, kind, Namespaces::kNone) {
    // Those of a former time to live are kept: the values of that time remember them.
    const std::string wakes = name + ".expiry";
    if (ttl_ || ctx.resources().get<Backend>().has_state({ctx.name(), wakes}))
      wakes_.emplace(ctx, wakes);
  }

  // `place`: as KeyedStore's.
  template <class K>
  V* find(const Id& id, std::uint64_t hash, const KeyInProgress<K>& now,
          PlaceAhead place = kNoPlace) {
    const bool refreshes = ttl_ && ttl_->refresh_on_read;
    Expiring<V>* kept = store_.find(kOnly, id, hash, place);
    if (kept == nullptr || is_expired(*kept, now)) return nullptr;
    if (refreshes) touch(*(kept = store_.find_for_update(kOnly, id, hash)), id, hash, now);
    return &kept->value;
  }
  template <class K>
  V& at(const Id& id, std::uint64_t hash, const KeyInProgress<K>& now,
        PlaceAhead place = kNoPlace) {
    if (ttl_) let_go_if_expired(id, hash, now);
    Expiring<V>& kept = store_.at(kOnly, id, hash, place);
    touch(kept, id, hash, now);
    return kept.value;
  }
  // True if there was one.
  template <class K>
  bool erase(const Id& id, std::uint64_t hash, const KeyInProgress<K>& now) {
    if (ttl_ && let_go_if_expired(id, hash, now)) return false;
    return store_.erase(kOnly, id, hash);
  }
  void prefetch(std::span<const KeyRef<Id>> ids) { store_.prefetch(kOnly, ids); }

  // Calls fn(const Id&) for those of the group whose hashes are in [first, last], in any order,
  // expired ones too.
  template <class F>
  void for_each_key(KeyGroup group, std::uint64_t first, std::uint64_t last, F&& fn) {
    store_.for_each(kOnly, group,
                    {std::max(first, first_hash_of(group, groups_.groups)),
                     std::min(last, first_hash_of(group + 1, groups_.groups) - 1)},
                    [&](const Id& id, std::uint64_t, const Expiring<V>&) { fn(id); });
  }

  // As FunctionState::expire; begin(const Id&, hash) is called before each callback.
  template <class F>
  Progress expire(TimeDomain clock, EventTime until, std::size_t budget, F&& begin) {
    if (!ttl_ || ttl_->clock != clock || wakes_->is_empty()) return Progress::kDone;
    return wakes_->fire_due(until, budget,
                            [&](EventTime time, const Id& id, std::uint64_t hash, std::uint64_t) {
                              wake(time, id, hash, begin);
                            });
  }

 private:
  static constexpr EventTime kOnly = KeyedStore<Id, Expiring<V>>::kOnly;

  static std::optional<Ttl> check(std::optional<Ttl> ttl) {
    if (ttl && ttl->after <= Duration::zero())
      throw Error(ErrorCode::kConfig, "the time to live of a state must be positive");
    return ttl;
  }

  template <class K>
  [[nodiscard]] bool is_expired(const Expiring<V>& kept, const KeyInProgress<K>& now) const {
    if (!ttl_ || kept.expires == EventTime::max()) return false;
    return ttl_->clock == TimeDomain::kEvent ? now.event_now > kept.expires
                                             : now.processing_now >= kept.expires;
  }
  template <class K>
  void touch(Expiring<V>& kept, const Id& id, std::uint64_t hash, const KeyInProgress<K>& now) {
    if (!ttl_) {
      kept.expires = EventTime::max();
      return;
    }
    const EventTime written = ttl_->clock == TimeDomain::kEvent ? now.time : now.processing_now;
    const EventTime expires = written + ttl_->after;
    // An older record does not bring the end nearer.
    kept.expires = kept.expires == EventTime::max() ? expires : std::max(kept.expires, expires);
    arm(kept, id, hash);
  }
  void arm(Expiring<V>& kept, const Id& id, std::uint64_t hash) {
    if (kept.expires >= kept.wake) return;
    wakes_->set(kept.expires, id, hash);
    kept.wake = kept.expires;
  }
  template <class K>
  bool let_go_if_expired(const Id& id, std::uint64_t hash, const KeyInProgress<K>& now) {
    Expiring<V>* kept = store_.find(kOnly, id, hash);
    if (kept == nullptr || !is_expired(*kept, now)) return false;
    let_go(id, hash);
    return true;
  }
  void let_go(const Id& id, std::uint64_t hash) {
    Expiring<V>& kept = *store_.find_for_update(kOnly, id, hash);
    Expiring<V> gone = std::move(kept);
    store_.erase(kOnly, id, hash);
    if (on_expiry_) on_expiry_(id, gone.value, gone.expires);
  }

  template <class F>
  void wake(EventTime time, const Id& id, std::uint64_t hash, F& begin) {
    const Expiring<V>* found = store_.find(kOnly, id, hash);
    if (found == nullptr || found->wake != time) return;  // an earlier timer has taken over
    if (found->expires == time) {
      begin(id, hash);
      let_go(id, hash);
      return;
    }
    Expiring<V>& kept = *store_.find_for_update(kOnly, id, hash);
    kept.wake = EventTime::max();
    if (kept.expires != EventTime::max()) arm(kept, id, hash);
  }

  const std::optional<Ttl> ttl_;
  const OnExpiry on_expiry_;
  const KeyGroupRange groups_;
  KeyedStore<Id, Expiring<V>> store_;
  std::optional<Timers<Id>> wakes_;
};

}  // namespace tidemill
