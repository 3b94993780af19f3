// What a subtask's tables and the backend below them hold of one key, for whoever asks a running
// job. Changes nothing, loads nothing.
#pragma once

#include <optional>
#include <utility>

#include "engine/operator/snapshot.h"
#include "state/backend.h"
#include "state/codec.h"
#include "state/table_loader.h"

namespace tidemill {

// The operator's thread, between batches. Throws Error(kCorrupt) if query.key is no K.
template <class K, class V>
void answer_key(const TableLoader<K, V>& loader, const StateLayout& layout,
                const Tables<K, V>& tables, StateQuery& query) {
  query.is_known = true;
  const K key = decode<K>(query.key);
  for (const auto& [ns, t] : tables) {
    Bytes value;
    if (!loader.encode_content(*t, key, query.hash, value)) continue;
    std::optional<EventTime> window;
    if (layout.namespaces != Namespaces::kNone) window = ns;
    query.rows.push_back({window, std::move(value)});
  }
}

}  // namespace tidemill
