// When an ended process is started again: a pure function of how the last ones ended.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>

namespace tidemill::server {

struct RestartSettings {
  std::int64_t first_backoff_ms = 1'000;  // doubles with each end that follows no new checkpoint
  std::int64_t max_backoff_ms = 60'000;
  // As many ends of one cause within the window, without a checkpoint in between, are a loop: it is
  // tried further, at the longest back-off soon, but somebody should look.
  int loop_count = 3;
  std::int64_t loop_window_ms = 600'000;
  // As many ends without a checkpoint in between, whatever the causes: it stays down.
  int limit = 100;
};

struct RunEnd {
  std::int64_t at_ms = 0;
  std::optional<std::int64_t> exit;
  std::optional<std::int64_t> signal;  // neither: nobody saw how
  std::string cause;
  bool committed = false;  // it made a checkpoint
};

enum class AfterEnd {
  kDone,    // exit 0: as asked, or the input is done
  kFailed,  // exit 2 or 3, which another start would only repeat; or the limit
  kRetry,
};

// One thread.
class RestartPolicy {
 public:
  explicit RestartPolicy(const RestartSettings& settings) : settings_(settings) {}

  AfterEnd on_end(const RunEnd& end);
  // A running process has made a checkpoint: what was before does not count any more.
  void on_commit();

  [[nodiscard]] std::int64_t start_at_ms() const { return start_at_ms_; }  // after kRetry
  [[nodiscard]] int failures() const { return failures_; }  // in a row, without a checkpoint
  // The cause if it is a crash loop, and how often it was seen in the window.
  struct Loop {
    std::string cause;
    int count = 0;
    std::int64_t since_ms = 0;
  };
  [[nodiscard]] std::optional<Loop> loop() const;

 private:
  struct Seen {
    std::int64_t at_ms;
    std::string cause;
    std::string kind;
  };

  RestartSettings settings_;
  std::deque<Seen> seen_;
  int failures_ = 0;
  std::int64_t start_at_ms_ = 0;
};

// How it ended, for people: "exit 1", "killed by signal 9 (SIGKILL)", "nobody saw how it ended".
[[nodiscard]] std::string describe_end(const std::optional<std::int64_t>& exit,
                                       const std::optional<std::int64_t>& signal);

}  // namespace tidemill::server
