// What a subtask's tables and the backend below them hold of one key, for whoever asks a running
// job. Changes nothing, loads nothing.
#pragma once

#include <optional>
#include <utility>

#include "engine/operator/snapshot.h"
#include "state/backend.h"
#include "state/codec.h"
#include "state/namespace_table.h"

namespace tidemill {

// The operator's thread, between batches. Throws Error(kCorrupt) if query.key is no K.
template <class K, class V>
void answer_key(const Backend& backend, const StateLayout& layout, const Tables<K, V>& tables,
                StateQuery& query) {
  query.is_known = true;
  const K key = decode<K>(query.key);
  for (const auto& [ns, t] : tables) {
    Bytes value;
    if (const auto found = t->table.find(key, query.hash); found.entry != nullptr) {
      if (found.entry->has(Table<K, V>::kDeleted)) continue;
      Codec<V>::encode(value, found.entry->value);
    } else if (t->is_resident || t->is_dropped(layout.group_of(query.hash)) ||
               !backend.get(RowEncoder<K, V>(layout, ns).key(key, query.hash), value)) {
      continue;
    }
    std::optional<EventTime> window;
    if (layout.namespaces != Namespaces::kNone) window = ns;
    query.rows.push_back({window, std::move(value)});
  }
}

}  // namespace tidemill
