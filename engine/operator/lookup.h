// A store outside the job that is asked for values while records wait: what a look-up join needs of
// a connector.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/base/clock.h"

namespace tidemill {

template <class V>
struct LookupAnswer {
  std::uint64_t request = 0;
  std::optional<V> value;  // nothing: the store has none
  std::string error;       // not empty: there is no answer, and this is why
};

// One thread: the operator's. Nothing blocks. Lost connections are its own business: it goes on by
// itself, and answers what it cannot know with an error.
template <class K, class V>
class LookupClient {
 public:
  virtual ~LookupClient() = default;
  // Asks. Requests have numbers of their own; each is answered once at most.
  virtual void request(std::uint64_t number, const K& key) = 0;
  // Moves things on, and appends the answers that have come, in any order.
  virtual void poll(std::vector<LookupAnswer<V>>& answers) = 0;
};

// Makes the client of one subtask. `clock` outlives it.
template <class K, class V>
using LookupFactory = std::function<std::unique_ptr<LookupClient<K, V>>(const Clock& clock)>;

}  // namespace tidemill
