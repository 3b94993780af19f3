// What is wrong with a job, from what can be seen of it: at most a line for each problem, with the
// next step. A problem that another one explains is not told.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace tidemill {

struct Problem {
  std::string id;  // stable, for programs: "partition_idle", …
  bool is_error = false;
  std::string text;  // what, where, how much
  std::string next;  // what to do
  std::optional<std::int64_t> since_ms;
};

// All that there are; the last two are of a job that has ended, so only the server sees them.
inline constexpr const char* kProblemIds[] = {
    "disk_full",     "broker_gone",     "crash_loop",     "restarting",     "slow_sink",
    "hot_key",       "bad_data",        "no_checkpoint",  "partition_idle", "held_by_transaction",
    "late_producer", "checkpoint_slow", "offset_expired", "failed"};

// A window of some seconds.
struct JobFacts {
  std::string state;  // "running", …
  std::int64_t now_ms = 0;
  std::int64_t started_ms = 0;
  struct Failure {
    std::int64_t at_ms = 0;
    std::string message;
  };
  std::vector<Failure> failures;  // the newest first
  std::optional<std::int64_t> last_commit_ms;
  std::int64_t interval_ms = 1000;
  struct Checkpoint {
    std::int64_t at_ms = 0;
    std::int64_t duration_us = 0;
    std::string slowest;
    std::string declined;  // why; empty: committed
    // Parts of the duration: until everybody had given its part, until that was durable, until it
    // counted.
    std::int64_t drain_us = 0;
    std::int64_t store_us = 0;
    std::int64_t commit_us = 0;
  };
  std::vector<Checkpoint> checkpoints;  // the newest first
  struct Split {
    std::string source;
    std::string name;
    bool is_idle = false;
    bool is_finished = false;
    bool is_holder = false;
    double behind_ms = 0;  // of the holder
    double since_s = 0;    // for how long it has been the holder
    std::optional<double> lag_records;
  };
  std::vector<Split> splits;
  struct Held {             // by somebody's open transaction
    std::string partition;  // "TOPIC:P"
    double records = 0;     // wait behind it
    double for_s = 0;
  };
  std::vector<Held> held;
  struct Unreachable {      // no connection to the broker that has it
    std::string partition;  // "TOPIC:P"
    double for_s = 0;
  };
  std::vector<Unreachable> unreachable;
  double events_per_s = 0;
  double late_per_s = 0;
  double bad_per_s = 0;
  std::string late_origin;  // the partition with most of the late records of late; empty: not known
  std::string bad_reason;   // of most
  struct HotKey {
    std::string to;
    std::string key;
    double share = 0;
    int parallelism = 1;
  };
  std::vector<HotKey> hot_keys;
  double redis_rows_waiting = 0;
  std::optional<double> redis_p50_ms;  // of the last seconds; one pause among many rows is none
  std::optional<double> redis_p99_ms;
  std::string redis_sink;
};

// What a failure's message says of the surroundings, where they have to be mended: `disk_full` or
// `broker_gone`.
[[nodiscard]] std::optional<Problem> problem_of_surroundings(const std::string& message);

// The most urgent first. Pure.
[[nodiscard]] std::vector<Problem> diagnose(const JobFacts& facts);

// Since when a problem is there whose facts do not say: since it was told first. One that goes and
// comes back begins anew. One thread.
class FirstTold {
 public:
  void date(std::vector<Problem>& problems, std::int64_t now_ms);

 private:
  std::map<std::string, std::int64_t> since_;  // by id
};

}  // namespace tidemill
