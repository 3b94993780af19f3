#include "service/server/restart_policy.h"

#include <algorithm>
#include <cctype>
#include <csignal>
#include <cstring>

namespace tidemill::server {
namespace {

// Two errors are one cause though their numbers differ: offsets, times, addresses.
std::string kind_of(const RunEnd& end) {
  std::string kind = describe_end(end.exit, end.signal) + " ";
  // Killed from outside: what it happened to print last has nothing to do with it.
  if (end.signal && *end.signal != SIGABRT) return kind;
  for (const char c : end.cause) {
    const bool is_digit = std::isdigit(static_cast<unsigned char>(c)) != 0;
    if (!is_digit) {
      kind += c;
    } else if (kind.back() != '#') {
      kind += '#';
    }
  }
  return kind;
}

}  // namespace

std::string describe_end(const std::optional<std::int64_t>& exit,
                         const std::optional<std::int64_t>& signal) {
  if (exit) return "exit " + std::to_string(*exit);
  if (!signal) return "nobody saw how it ended";
  const char* name = sigabbrev_np(static_cast<int>(*signal));
  return "killed by signal " + std::to_string(*signal) +
         (name != nullptr ? " (SIG" + std::string(name) + ")" : "");
}

AfterEnd RestartPolicy::on_end(const RunEnd& end) {
  if (end.committed) on_commit();
  if (end.exit == 0) {
    on_commit();
    return AfterEnd::kDone;
  }
  ++failures_;
  seen_.push_back({end.at_ms, end.cause, kind_of(end)});
  while (seen_.front().at_ms < end.at_ms - settings_.loop_window_ms) seen_.pop_front();
  if (end.exit == 2 || end.exit == 3 || failures_ >= settings_.limit) return AfterEnd::kFailed;
  std::int64_t wait = settings_.first_backoff_ms;
  for (int i = 1; i < failures_ && wait < settings_.max_backoff_ms; ++i) wait *= 2;
  start_at_ms_ = end.at_ms + std::min(wait, settings_.max_backoff_ms);
  return AfterEnd::kRetry;
}

void RestartPolicy::on_commit() {
  seen_.clear();
  failures_ = 0;
}

std::optional<RestartPolicy::Loop> RestartPolicy::loop() const {
  if (seen_.empty()) return std::nullopt;
  Loop loop{seen_.back().cause, 0, 0};
  for (const Seen& seen : seen_) {
    if (seen.kind != seen_.back().kind) continue;
    if (loop.count++ == 0) loop.since_ms = seen.at_ms;
  }
  if (loop.count < settings_.loop_count) return std::nullopt;
  return loop;
}

}  // namespace tidemill::server
