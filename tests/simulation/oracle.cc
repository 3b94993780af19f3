#include "tests/simulation/oracle.h"

#include <algorithm>
#include <map>
#include <tuple>

namespace tidemill::simulation {
namespace {

bool is_before(const Event& a, const Event& b) {
  return std::tie(a.time, a.partition, a.offset) < std::tie(b.time, b.partition, b.offset);
}

std::vector<Event> accepted(const std::vector<std::vector<Event>>& partitions, const Rules& rules,
                            Rows& rows) {
  std::vector<Event> kept;
  for (const auto& partition : partitions) {
    EventTime greatest = EventTime::min();
    for (const Event& e : partition) {
      if (e.time < greatest - rules.disorder - rules.lateness) {
        rows.insert(late_row(e.partition, e.offset));
        continue;
      }
      greatest = std::max(greatest, e.time);
      kept.push_back(e);
    }
  }
  return kept;
}

void add_windows(const std::vector<Event>& events, const Rules& rules, Rows& rows) {
  std::map<std::pair<std::int64_t, EventTime>, std::int64_t> sums;
  for (const Event& e : events) {
    for (EventTime start = floor_to(e.time, rules.slide); start + rules.size > e.time;
         start = start - rules.slide) {
      sums[{e.key, start}] += e.value;
    }
  }
  for (const auto& [place, sum] : sums) {
    rows.insert(window_row(place.first, place.second, place.second + rules.size, sum));
  }
}

EventTime leave(const Event& e, const std::pair<Duration, Duration>& window) {
  return ceil_to(e.time, window.second) + window.first;
}

// A row for each record and each instant at which a slice leaves a window, decays before records.
void add_trailing(std::vector<Event> events, const Rules& rules, EventTime end, Rows& rows) {
  std::sort(events.begin(), events.end(), is_before);
  const auto row_at = [&](EventTime at, std::size_t taken) {
    std::vector<std::int64_t> counts;
    for (const auto& window : rules.trailing) {
      counts.push_back(std::count_if(events.begin(),
                                     events.begin() + static_cast<std::ptrdiff_t>(taken),
                                     [&](const Event& e) { return at < leave(e, window); }));
    }
    rows.insert(trailing_row(events.front().key, at, counts));
  };
  std::set<EventTime> decays;
  for (const Event& e : events) {
    for (const auto& window : rules.trailing) decays.insert(leave(e, window));
  }
  for (const EventTime at : decays) {
    if (at > end) break;
    const auto taken =
        std::find_if(events.begin(), events.end(), [&](const Event& e) { return e.time >= at; });
    row_at(at, static_cast<std::size_t>(taken - events.begin()));
  }
  for (std::size_t i = 0; i < events.size(); ++i) row_at(events[i].time, i + 1);
}

}  // namespace

std::string window_row(std::int64_t key, EventTime start, EventTime end, std::int64_t sum) {
  return "window " + std::to_string(key) + " [" + std::to_string(start.ms) + "," +
         std::to_string(end.ms) + ")=" + std::to_string(sum);
}

std::string trailing_row(std::int64_t key, EventTime at, const std::vector<std::int64_t>& counts) {
  std::string row = "trailing " + std::to_string(key) + "@" + std::to_string(at.ms);
  for (const std::int64_t count : counts) row += " " + std::to_string(count);
  return row;
}

std::string late_row(std::int32_t partition, std::int64_t offset) {
  return "late " + std::to_string(partition) + ":" + std::to_string(offset);
}

Rows expected(const std::vector<std::vector<Event>>& partitions, const Rules& rules) {
  Rows rows;
  const std::vector<Event> events = accepted(partitions, rules, rows);
  // With lateness the source lets records pass that aligned windows without lateness would refuse.
  if (rules.lateness == Duration::zero()) add_windows(events, rules, rows);
  std::map<std::int64_t, std::vector<Event>> by_key;
  EventTime end = EventTime::min();
  for (const Event& e : events) {
    by_key[e.key].push_back(e);
    end = std::max(end, e.time);
  }
  for (auto& [key, of_key] : by_key) add_trailing(std::move(of_key), rules, end, rows);
  return rows;
}

}  // namespace tidemill::simulation
