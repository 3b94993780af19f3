// The one exception type, and the check for broken invariants. Who can act decides the form: nobody
// -> TM_CHECK; the supervisor -> throw Error; the caller -> a return value; the user, later -> a
// counter and a side output.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <utility>

namespace tidemill {

enum class ErrorCode {
  kConfig,    // wrong usage or configuration: exit 2
  kRefused,   // would lose or double data: exit 3
  kCorrupt,   // a checkpoint file is damaged: exit 3
  kBadData,   // a record under policy `fail`: exit 1, a restart would meet it again
  kStop,      // restarts have been tried or cannot help: exit 1
  kIo,        // disk, network, server: the supervisor restarts the job
  kFenced,    // another instance took over or our transaction timed out: restart
  kUser,      // a user's function threw
  kInternal,  // a bug that is safe to stop on
};

// Message: static text first, values last: "checkpoint part is truncated: spend_1h/3, 812 of 1024
// bytes". It ends with the next thing to do where there is one.
class Error : public std::runtime_error {
 public:
  Error(ErrorCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
  [[nodiscard]] ErrorCode code() const { return code_; }

 private:
  ErrorCode code_;
};

// The exit code a program ends with when this error stops it.
constexpr int exit_code(ErrorCode code) {
  switch (code) {
    case ErrorCode::kConfig: return 2;
    case ErrorCode::kRefused:
    case ErrorCode::kCorrupt: return 3;
    default: return 1;
  }
}

// True if running again from the last committed checkpoint may help.
constexpr bool is_restartable(ErrorCode code) {
  return code == ErrorCode::kIo || code == ErrorCode::kFenced || code == ErrorCode::kUser ||
         code == ErrorCode::kInternal;
}

[[noreturn]] inline void check_failed(const char* expression, const char* file, int line) {
  std::fprintf(stderr, "%s:%d: invariant broken: %s\n", file, line, expression);
  std::abort();
}

}  // namespace tidemill

// Stops the process when the code itself is wrong; on in release. Never for what a peer, a file or
// a user can cause.
#define TM_CHECK(expression)               \
  (static_cast<bool>(expression) ? void(0) \
                                 : ::tidemill::check_failed(#expression, __FILE__, __LINE__))
