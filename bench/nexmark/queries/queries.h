// The queries by name.
#pragma once

#include <span>
#include <string_view>

#include "bench/nexmark/outputs.h"
#include "bench/nexmark/queries/events.h"

namespace tidemill::nexmark {

struct Query {
  std::string_view name;
  void (*build)(const Events& in, const Outputs& out);
  const char* bucket = "";  // of a file sink (connectors/file/README.md)
};

// In the order of their numbers.
std::span<const Query> queries();
// Null: there is none of this name.
const Query* find_query(std::string_view name);

// Parts of the list, compiled side by side.
std::span<const Query> stateless_queries();
std::span<const Query> window_queries();
std::span<const Query> join_queries();
std::span<const Query> aggregate_queries();

}  // namespace tidemill::nexmark
