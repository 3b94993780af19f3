#include "app/diagnosis.h"

#include <algorithm>
#include <cstdio>

namespace tidemill {
namespace {

// Less than these is what a healthy job does now and then.
constexpr double kHeldSeconds = 5;
constexpr double kNeverMs = 1e14;  // behind by so much: it has no watermark at all
constexpr double kLateShare = 0.01;
constexpr double kBadShare = 0.01;
constexpr double kLeastPerSecond = 0.5;
constexpr double kHotShare = 0.25;
constexpr double kHotEventsPerSecond = 100;
constexpr double kSlowSinkP50Ms = 100;
constexpr std::size_t kNamed = 3;
constexpr double kManyRowsWaiting = 4096;
constexpr std::int64_t kRecentMs = 60'000;
constexpr std::size_t kSlowInARow = 3;
constexpr std::size_t kLoop = 3;
constexpr std::int64_t kNoCheckpointMs = 60'000;

std::string number(double value) {
  char text[40];
  std::snprintf(text, sizeof text, value < 10 ? "%.1f" : "%.0f", value);
  return text;
}

std::string span(double ms) {
  if (ms < 1000) return number(ms) + " ms";
  if (ms < 120'000) return number(ms / 1000) + " s";
  return number(ms / 60'000) + " min";
}

bool tells_of_full_disk(const std::string& message) {
  return message.find("No space left") != std::string::npos ||
         message.find("ENOSPC") != std::string::npos ||
         message.find("Disk quota exceeded") != std::string::npos;
}

bool tells_of_brokers(const std::string& message) {
  return message.find("brokers are down") != std::string::npos ||
         message.find("Broker transport failure") != std::string::npos ||
         message.find("no broker") != std::string::npos;
}

Problem brokers_gone(const std::string& why) {
  return {"broker_gone", true, "the Kafka brokers do not answer: " + why,
          "bring the brokers back, or the network to them; the job goes on by itself",
          std::nullopt};
}

class Diagnosis {
 public:
  explicit Diagnosis(const JobFacts& facts) : f_(facts) {}

  std::vector<Problem> run() {
    const bool has_cause = failures_and_disk();
    if (f_.state == "running") {
      const bool is_sink_slow = slow_sink();
      if (!has_cause && !is_sink_slow) slow_checkpoints();
      transactions();
      sources();
      hot_keys();
      records();
      if (!has_cause && !is_sink_slow) no_checkpoint();
    }
    std::stable_sort(problems_.begin(), problems_.end(),
                     [](const Problem& a, const Problem& b) { return a.is_error > b.is_error; });
    return std::move(problems_);
  }

 private:
  void add(std::string id, bool is_error, std::string text, std::string next,
           std::optional<std::int64_t> since = std::nullopt) {
    problems_.push_back({std::move(id), is_error, std::move(text), std::move(next), since});
  }

  [[nodiscard]] bool is_recent(std::int64_t at_ms) const { return f_.now_ms - at_ms <= kRecentMs; }

  // True if there is what explains that nothing is committed.
  bool failures_and_disk() {
    std::string why;
    std::int64_t since = f_.now_ms;
    for (const auto& c : f_.checkpoints) {
      if (c.declined.empty()) break;
      if (why.empty() && is_recent(c.at_ms)) why = c.declined;
      since = c.at_ms;
    }
    std::size_t failed = 0;  // since the last commit
    for (const auto& failure : f_.failures) {
      if (f_.last_commit_ms && failure.at_ms <= *f_.last_commit_ms) break;
      if (why.empty() && is_recent(failure.at_ms)) why = failure.message;
      ++failed;
      since = std::min(since, failure.at_ms);
    }
    auto surroundings = problem_of_surroundings(why);
    if ((!surroundings || surroundings->id != "disk_full") && leaders_gone()) return true;
    if (surroundings) {
      surroundings->since_ms = since;
      problems_.push_back(*std::move(surroundings));
      return true;
    }
    if (failed >= kLoop) {
      add("crash_loop", true,
          std::to_string(failed) + " attempts in a row failed without a checkpoint: " + why,
          "mend the cause that the message names; nothing is lost, each attempt begins at the last "
          "committed checkpoint",
          since);
      return true;
    }
    if (f_.state == "restarting") {
      add("restarting", false, "an attempt failed and is tried again: " + why,
          "wait for the restart; look at the exceptions if it repeats", since);
      return true;
    }
    return false;
  }

  // From the connections, while the job goes on trying.
  bool leaders_gone() {
    std::size_t gone = 0;
    double for_s = 0;
    std::string names;
    for (const auto& u : f_.unreachable) {
      if (u.for_s < kHeldSeconds) continue;
      if (gone++ < kNamed) names += (names.empty() ? "" : ", ") + u.partition;
      for_s = std::max(for_s, u.for_s);
    }
    if (gone == 0) return false;
    if (gone > kNamed) names += " and " + std::to_string(gone - kNamed) + " more";
    problems_.push_back(
        brokers_gone("no connection to who leads " + names + " for " + span(for_s * 1000)));
    problems_.back().since_ms = f_.now_ms - static_cast<std::int64_t>(for_s * 1000);
    return true;
  }

  bool slow_sink() {
    const bool is_slow = f_.redis_p50_ms.value_or(0) >= kSlowSinkP50Ms;
    if (!is_slow && f_.redis_rows_waiting < kManyRowsWaiting) return false;
    add("slow_sink", false,
        "Redis takes long to acknowledge rows of " + f_.redis_sink + ": p50 " +
            span(f_.redis_p50_ms.value_or(0)) + ", p99 " + span(f_.redis_p99_ms.value_or(0)) +
            ", " + number(f_.redis_rows_waiting) + " rows wait",
        "look at Redis (SLOWLOG, CPU, memory, network); rows wait and nothing is lost");
    return true;
  }

  void slow_checkpoints() {
    if (f_.checkpoints.size() < kSlowInARow) return;
    std::int64_t longest = 0;
    for (std::size_t i = 0; i < kSlowInARow; ++i) {
      const auto& c = f_.checkpoints[i];
      if (!c.declined.empty() || c.duration_us <= f_.interval_ms * 1000) return;
      longest = std::max(longest, c.duration_us);
    }
    const auto& last = f_.checkpoints.front();
    add("checkpoint_slow", false,
        "checkpoints take longer than their interval: " +
            span(static_cast<double>(longest) / 1000) + " of " +
            span(static_cast<double>(f_.interval_ms)) + "; " + where_time_goes(last),
        "raise checkpoint.interval, or find what is slow: the page's checkpoints show each phase",
        f_.checkpoints[kSlowInARow - 1].at_ms);
  }

  static std::string where_time_goes(const JobFacts::Checkpoint& c) {
    const auto most = std::max({c.drain_us, c.store_us, c.commit_us});
    if (most == c.commit_us && c.commit_us > 0) return "most of it until it was committed";
    if (most == c.store_us && c.store_us > 0) return "most of it until it was on disk";
    return "the last part came from " + c.slowest;
  }

  [[nodiscard]] bool is_held(const std::string& partition) const {
    return std::any_of(f_.held.begin(), f_.held.end(), [&](const JobFacts::Held& held) {
      return held.partition == partition && held.for_s >= kHeldSeconds;
    });
  }

  [[nodiscard]] bool is_unreachable(const std::string& partition) const {
    return std::any_of(f_.unreachable.begin(), f_.unreachable.end(), [&](const auto& u) {
      return u.partition == partition && u.for_s >= kHeldSeconds;
    });
  }

  void transactions() {
    for (const auto& held : f_.held) {
      if (held.for_s < kHeldSeconds) continue;
      add("held_by_transaction", false,
          "an open transaction of its producer holds partition " + held.partition + " back for " +
              span(held.for_s * 1000) + "; " + number(held.records) + " records wait behind it",
          "find its producer (tidemill txn status) and let it commit, or end the transaction "
          "(tidemill txn abort)",
          f_.now_ms - static_cast<std::int64_t>(held.for_s * 1000));
    }
  }

  void sources() {
    for (const auto& s : f_.splits) {
      if (s.is_finished || is_held(s.name) || is_unreachable(s.name)) continue;
      const bool has_no_data = s.lag_records.value_or(0) == 0;
      const bool others_flow =
          std::any_of(f_.splits.begin(), f_.splits.end(), [&](const JobFacts::Split& o) {
            return o.source == s.source && !o.is_idle && !o.is_finished && o.name != s.name;
          });
      if (s.is_idle && others_flow && f_.events_per_s > 0) {
        add("partition_idle", false,
            "partition " + s.name + " of " + s.source +
                " has no data; it is idle and does not hold the watermark",
            "see whether its producers run and whether their keys reach it");
      } else if (s.is_holder && s.since_s >= kHeldSeconds && s.behind_ms >= 1000 * kHeldSeconds &&
                 has_no_data) {
        add("partition_idle", false,
            "partition " + s.name + " of " + s.source +
                (s.behind_ms < kNeverMs
                     ? " has no new data and holds the watermark back by " + span(s.behind_ms) +
                           ", for "
                     : " has had no data yet and holds the watermark back, for ") +
                span(s.since_s * 1000),
            "see whether its producers run; event_time.idle says when it stops to count",
            f_.now_ms - static_cast<std::int64_t>(s.since_s * 1000));
      }
    }
  }

  void hot_keys() {
    if (f_.events_per_s < kHotEventsPerSecond) return;
    for (const auto& key : f_.hot_keys) {
      if (key.parallelism < 2 || key.share < kHotShare) continue;
      add("hot_key", false,
          "key " + key.key + " has " + number(key.share * 100) + " % of the records to " + key.to +
              ": one of " + std::to_string(key.parallelism) + " subtasks does most of the work",
          "see who sends it; filter it, or split it into several keys and add up behind them");
    }
  }

  // "12 late records/s (3 %)"; nothing if they are few among all.
  [[nodiscard]] std::optional<std::string> burst(double per_s, double least_share,
                                                 const std::string& what) const {
    if (per_s < kLeastPerSecond || per_s < least_share * f_.events_per_s) return std::nullopt;
    return number(per_s) + " " + what + " records/s (" +
           number(100 * per_s / std::max(f_.events_per_s, per_s)) + " %)";
  }

  void records() {
    if (const auto late = burst(f_.late_per_s, kLateShare, "late")) {
      add("late_producer", false,
          *late + (f_.late_origin.empty() ? "" : ", most from " + f_.late_origin),
          "look at the late records (page: late data; /late) for their producer; raise "
          "event_time.disorder or lateness if they are to count");
    }
    if (const auto bad = burst(f_.bad_per_s, kBadShare, "bad")) {
      add("bad_data", true, *bad + (f_.bad_reason.empty() ? "" : ", most: " + f_.bad_reason),
          "look at the dead letters for their origin and mend the producer; they can be replayed "
          "afterwards");
    }
  }

  void no_checkpoint() {
    const std::int64_t since = f_.last_commit_ms.value_or(f_.started_ms);
    const std::int64_t open_ms = f_.now_ms - since;
    if (open_ms < std::max(kNoCheckpointMs, 10 * f_.interval_ms)) return;
    for (const Problem& p : problems_) {
      if (p.id == "checkpoint_slow") return;
    }
    add("no_checkpoint", true, "nothing was committed for " + span(static_cast<double>(open_ms)),
        "look at the graph for who is back-pressured, and at the log", since);
  }

  const JobFacts& f_;
  std::vector<Problem> problems_;
};

}  // namespace

std::optional<Problem> problem_of_surroundings(const std::string& message) {
  if (tells_of_full_disk(message)) {
    return Problem{"disk_full", true, "checkpoints cannot be stored: " + message,
                   "free space on the checkpoint folder's file system; the job goes on by itself",
                   std::nullopt};
  }
  if (tells_of_brokers(message)) return brokers_gone(message);
  return std::nullopt;
}

std::vector<Problem> diagnose(const JobFacts& facts) { return Diagnosis(facts).run(); }

void FirstTold::date(std::vector<Problem>& problems, std::int64_t now_ms) {
  std::map<std::string, std::int64_t> since;
  for (Problem& problem : problems) {
    const auto told = since_.find(problem.id);
    const std::int64_t first = told == since_.end() ? now_ms : told->second;
    since[problem.id] = first;
    if (!problem.since_ms) problem.since_ms = first;
  }
  since_ = std::move(since);
}

}  // namespace tidemill
