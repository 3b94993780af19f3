#include "bench/nexmark/queries/queries.h"

#include <algorithm>
#include <string>
#include <vector>

namespace tidemill::nexmark {

std::span<const Query> queries() {
  static const std::vector<Query> kAll = [] {
    std::vector<Query> all;
    for (const auto part :
         {stateless_queries(), window_queries(), join_queries(), aggregate_queries()})
      all.insert(all.end(), part.begin(), part.end());
    const auto number = [](const Query& q) { return std::stoi(std::string(q.name.substr(1))); };
    std::sort(all.begin(), all.end(),
              [&](const Query& a, const Query& b) { return number(a) < number(b); });
    return all;
  }();
  return kAll;
}

const Query* find_query(std::string_view name) {
  const auto all = queries();
  const auto found =
      std::find_if(all.begin(), all.end(), [&](const Query& q) { return q.name == name; });
  return found == all.end() ? nullptr : &*found;
}

}  // namespace tidemill::nexmark
