#include "app/stop_signals.h"

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <optional>
#include <string>
#include <utility>

#include "engine/base/log.h"

namespace tidemill {
namespace {

sigset_t stop_set() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  return set;
}

}  // namespace

StopSignals::StopSignals(std::function<void()> on_stop, Duration timeout)
    : on_stop_(std::move(on_stop)), timeout_(timeout) {
  const sigset_t set = stop_set();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  thread_ = std::thread([this] { run(); });
}

StopSignals::~StopSignals() {
  done_ = true;
  thread_.join();
}

void StopSignals::run() {
  const sigset_t set = stop_set();
  std::optional<std::chrono::steady_clock::time_point> stop_by;
  while (!done_) {
    const timespec wait{0, 50'000'000};
    if (sigtimedwait(&set, nullptr, &wait) > 0) {
      if (stop_by) {
        log(LogLevel::kWarn, "second signal: stopping at once; the last commit stands");
        std::_Exit(0);
      }
      stop_by = std::chrono::steady_clock::now() + timeout_;
      log(LogLevel::kInfo, "signal received: taking a checkpoint, committing, stopping");
      on_stop_();
    }
    if (stop_by && std::chrono::steady_clock::now() > *stop_by) {
      log(LogLevel::kError,
          "the stop has taken longer than stop_timeout (" + std::to_string(timeout_.count()) +
              " ms); giving up: the last commit stands, the next start goes on from there");
      std::_Exit(1);
    }
  }
}

}  // namespace tidemill
