// What the main job reads and what it keeps per user and window.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "engine/base/time.h"
#include "jobs/feature_pipeline/user_totals.h"
#include "operators/accumulator.h"
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
  using Result = WindowFeatures;
  std::size_t largest = 0;  // the number of the largest window

  void operator()(const UserTotals::Shared& user, const UserTotals::Total& total,
                  std::size_t window, WindowFeatures& features) const {
    features.event_count = total.num_events;
    features.unique_actions = total.num_actions;
    features.avg_value = total.mean();
    if (window == largest && total.num_events != 0) {
      features.last_action.emplace(user.actions.text(user.last_action));
      features.last_time = user.last_stamp.time;
    }
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
using FeatureWindow = TrailingWindow<UserEvent, UserTotals, UserOf, LogOrder, FinishFeatures>;

}  // namespace tidemill::features
