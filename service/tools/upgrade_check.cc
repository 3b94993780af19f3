#include "service/tools/upgrade_check.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utility>
#include <vector>

#include "engine/base/error.h"

extern char** environ;

namespace tidemill::tools {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kMostSaid = std::size_t{16} << 20;

// Of a pipe: what a child writes there.
class Heard {
 public:
  Heard() {
    if (::pipe2(ends_.data(), O_CLOEXEC) != 0)
      throw Error(ErrorCode::kIo, std::string("no pipe can be made: ") + std::strerror(errno));
  }
  ~Heard() {
    close(0);
    close(1);
  }
  Heard(const Heard&) = delete;
  Heard& operator=(const Heard&) = delete;

  void close(std::size_t end) {
    if (ends_[end] >= 0) ::close(std::exchange(ends_[end], -1));
  }
  [[nodiscard]] int end(std::size_t end) const { return ends_[end]; }
  void read() {
    std::array<char, 65536> piece{};
    const ssize_t size = ::read(ends_[0], piece.data(), piece.size());
    if (size <= 0) {
      close(0);
    } else if (text.size() < kMostSaid) {
      text.append(piece.data(), static_cast<std::size_t>(size));
    }
  }

  std::string text;

 private:
  std::array<int, 2> ends_{-1, -1};
};

pid_t start(const std::vector<std::string>& command, const Heard& out, const Heard& err) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, out.end(1), 1);
  posix_spawn_file_actions_adddup2(&actions, err.end(1), 2);
  std::vector<char*> words;
  for (const std::string& word : command) words.push_back(const_cast<char*>(word.c_str()));
  words.push_back(nullptr);
  pid_t pid = 0;
  const int error =
      ::posix_spawn(&pid, command.front().c_str(), &actions, nullptr, words.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0)
    throw Error(ErrorCode::kConfig,
                "the program cannot be started: " + command.front() + ": " + std::strerror(error));
  return pid;
}

std::string last_line(std::string text) {
  while (text.ends_with('\n')) text.pop_back();
  if (const std::size_t newline = text.rfind('\n'); newline != std::string::npos)
    text.erase(0, newline + 1);
  if (text.starts_with("error: ")) text.erase(0, 7);
  return text;
}

}  // namespace

std::string ask_upgrade(const UpgradeAsked& asked) {
  std::vector<std::string> command = {std::filesystem::absolute(asked.binary).string()};
  if (!asked.config.empty()) command.insert(command.end(), {"--config", asked.config.string()});
  command.push_back("--check-upgrade=" +
                    (std::filesystem::absolute(asked.checkpoint) / "").string());
  Heard out;
  Heard err;
  const pid_t pid = start(command, out, err);
  out.close(1);
  err.close(1);
  const auto deadline = Clock::now() + asked.time;
  const auto left = [&] {
    const auto time =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
    return static_cast<int>(std::max<std::int64_t>(0, time));
  };
  while (left() > 0 && (out.end(0) >= 0 || err.end(0) >= 0)) {
    std::array<pollfd, 2> waited{{{out.end(0), POLLIN, 0}, {err.end(0), POLLIN, 0}}};
    if (::poll(waited.data(), waited.size(), left()) <= 0) continue;
    if (waited[0].revents != 0) out.read();
    if (waited[1].revents != 0) err.read();
  }
  int status = 0;
  bool has_ended = false;
  while (!(has_ended = ::waitpid(pid, &status, WNOHANG) == pid) && left() > 0)
    ::poll(nullptr, 0, 2);
  if (!has_ended) {
    ::kill(pid, SIGKILL);
    ::waitpid(pid, &status, 0);
    throw Error(ErrorCode::kConfig, "the program did not answer --check-upgrade within " +
                                        std::to_string(asked.time.count() / 1000) +
                                        " s: " + asked.binary.string() + "; is it a Tidemill job?");
  }
  if (out.text.starts_with('{') && out.text.ends_with("}\n")) {
    out.text.pop_back();
    return std::move(out.text);
  }
  const std::string words = last_line(err.text.empty() ? out.text : err.text);
  throw Error(ErrorCode::kConfig,
              "the program does not say whether it can go on from the checkpoint: " +
                  (words.empty() ? "it ended without a word; is it a Tidemill job?" : words));
}

}  // namespace tidemill::tools
