// What the main job reads and what it keeps per user and window.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include <boost/describe.hpp>

#include "engine/base/time.h"
#include "operators/accumulator.h"
#include "operators/aggregates.h"
#include "operators/collections.h"
#include "operators/trailing_window.h"

namespace tidemill::features {

// One input record, with its place in the log: it breaks ties of time.
struct UserEvent {
  std::string user_id;
  std::string action;
  double value = 0;
  EventTime timestamp{};
  std::int32_t partition = 0;
  std::int64_t offset = 0;
};

// What one window counts of one user.
struct WindowTotals {
  Mean<double> value;  // its n is the event count
  Distinct<std::string> actions;
  Last<std::string> last_action;

  void add(const UserEvent& e, const Stamp& at) {
    value.add(e.value);
    actions.add(e.action);
    last_action.add(e.action, at);
  }
  void merge(const WindowTotals& other) {
    value.merge(other.value);
    actions.merge(other.actions);
    last_action.merge(other.last_action);
  }
  void evict(const WindowTotals& oldest) {
    value.subtract(oldest.value);
    actions.subtract(oldest.actions);
    last_action.evict(oldest.last_action);
  }
  BOOST_DESCRIBE_CLASS(WindowTotals, (), (value, actions, last_action), (), ())
};

// What a row says of one window.
struct WindowFeatures {
  std::int64_t event_count = 0;
  std::int64_t unique_actions = 0;
  std::optional<double> avg_value;
  std::optional<std::string> last_action;  // and its time: of the largest window only
  EventTime last_time{};

  friend bool operator==(const WindowFeatures&, const WindowFeatures&) = default;
};

struct FinishFeatures {
  std::size_t largest = 0;  // the number of the largest window

  WindowFeatures operator()(const WindowTotals& t, std::size_t window) const {
    WindowFeatures features{t.value.n, t.actions.result(), t.value.result(), std::nullopt, {}};
    if (window == largest) {
      features.last_action = t.last_action.result();
      features.last_time = t.last_action.event_time();
    }
    return features;
  }
};

struct UserOf {
  const std::string& operator()(const UserEvent& e) const { return e.user_id; }
};
struct LogOrder {
  TieOrder operator()(const UserEvent& e) const { return {e.partition, e.offset}; }
};

// One output row: a user's features at an instant of event time.
using FeatureRow = TrailingRow<std::string, WindowFeatures>;
using FeatureWindow = TrailingWindow<UserEvent, WindowTotals, UserOf, LogOrder, FinishFeatures>;

}  // namespace tidemill::features
