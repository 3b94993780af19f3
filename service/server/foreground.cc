#include "service/server/foreground.h"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <poll.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>

#include "app/config.h"
#include "app/logging.h"
#include "engine/base/clock.h"
#include "engine/base/error.h"
#include "engine/base/log.h"
#include "service/server/effective_config.h"
#include "service/server/log_writer.h"
#include "service/server/process.h"
#include "service/server/supervised_job.h"

namespace tidemill::server {
namespace {

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  [[nodiscard]] int get() const { return fd_; }

 private:
  int fd_;
};

void write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return;  // nobody reads: the job does not wait for that
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
}

class Foreground {
 public:
  explicit Foreground(const ForegroundSettings& settings)
      : settings_(settings), policy_(settings.restarts), signals_(take_signals()) {
    const std::string& binary = settings.command.front();
    if (binary.find('/') == std::string::npos)
      throw Error(ErrorCode::kConfig,
                  "give the program's path: ./" + binary + " instead of " + binary);
    if (::access(binary.c_str(), X_OK) != 0)
      throw Error(ErrorCode::kConfig,
                  "the program cannot be run: " + binary + ": " + std::strerror(errno));
    const JobSettings job = printed_settings(std::filesystem::read_symlink("/proc/self/exe"),
                                             settings.command, Variables::kAll);
    set_up_logging("info", job.log_format);
    checkpoints_ = std::filesystem::path(job.checkpoint_dir) / job.name;
    command_ = settings.command;
    command_.insert(command_.end(), settings.once.begin(), settings.once.end());
  }

  int run() {
    while (true) {
      const std::string newest = newest_checkpoint(checkpoints_);
      RunEnd end = run_once();
      if (num_signals_ > 0) return stopped(end);
      const std::string now_newest = newest_checkpoint(checkpoints_);
      end.committed = !now_newest.empty() && now_newest != newest;
      if (end.committed) command_ = settings_.command;
      const AfterEnd after = policy_.on_end(end);
      if (after == AfterEnd::kDone) return 0;
      if (after == AfterEnd::kFailed) return failed(end);
      tell_restart(end);
      if (!wait_until(policy_.start_at_ms())) {
        log(LogLevel::kInfo, "stopped while the job was down; its last commit stands");
        return code_of(end);
      }
    }
  }

 private:
  static int take_signals() {
    sigset_t set;
    sigemptyset(&set);
    for (const int signal : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&set, signal);
    ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
    std::signal(SIGPIPE, SIG_IGN);
    return ::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
  }

  static int code_of(const RunEnd& end) { return static_cast<int>(end.exit.value_or(1)); }

  static std::string cause_of(const RunEnd& end) {
    const std::string how = describe_end(end.exit, end.signal);
    return end.cause.empty() ? how : how + ": " + end.cause;
  }

  int stopped(const RunEnd& end) const {
    // Before it could take the signal for itself.
    if (end.signal == SIGTERM) return 0;
    if (end.signal == SIGKILL && num_signals_ > 2)
      log(LogLevel::kWarn, "third signal: the job was killed; its last commit stands");
    return code_of(end);
  }

  // What is on top of everything the job has printed is at the bottom of a terminal.
  [[nodiscard]] int failed(const RunEnd& end) const {
    if (policy_.failures() >= settings_.restarts.limit)
      log(LogLevel::kError,
          "gave up after " + std::to_string(policy_.failures()) +
              " ends without a new checkpoint in between; the last: " + cause_of(end));
    return code_of(end);
  }

  void tell_restart(const RunEnd& end) const {
    const std::int64_t wait = policy_.start_at_ms() - end.at_ms;
    const std::string next = "; it is started again from its last checkpoint in " +
                             std::to_string(wait) + " ms (Ctrl-C ends it)";
    if (const auto loop = policy_.loop()) {
      log(LogLevel::kError,
          "crash loop: ended " + std::to_string(loop->count) +
              " times for one reason without a checkpoint in between: " + cause_of(end) + next);
    } else {
      log(LogLevel::kWarn, "the job ended: " + cause_of(end) + next);
    }
  }

  // False: a signal came.
  bool wait_until(std::int64_t at_ms) {
    while (true) {
      const std::int64_t left = at_ms - SystemClock().processing_time().ms;
      if (left <= 0) return true;
      pollfd waited{signals_.get(), POLLIN, 0};
      if (::poll(&waited, 1, static_cast<int>(left)) > 0 && count_signals() > 0) return false;
    }
  }

  int count_signals() {
    int count = 0;
    signalfd_siginfo info{};
    while (::read(signals_.get(), &info, sizeof info) == sizeof info) ++count;
    num_signals_ += count;
    return count;
  }

  RunEnd run_once() {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0)
      throw Error(ErrorCode::kIo, std::string("no pipe: ") + std::strerror(errno));
    const Descriptor output(ends[0]);
    const pid_t pid = ::fork();
    if (pid == 0) become_job(ends[1]);
    ::close(ends[1]);
    if (pid < 0)
      throw Error(ErrorCode::kIo, std::string("no new process: ") + std::strerror(errno));
    ::fcntl(output.get(), F_SETFL, O_NONBLOCK);
    LastWords words;
    const int status = watch(pid, output.get(), words);
    RunEnd end;
    end.at_ms = SystemClock().processing_time().ms;
    if (WIFSIGNALED(status)) {
      end.signal = WTERMSIG(status);
    } else {
      end.exit = WEXITSTATUS(status);
    }
    end.cause = words.cause(end.signal.has_value());
    return end;
  }

  [[noreturn]] void become_job(int errors) const {
    // A group of its own: Ctrl-C of the terminal comes to us alone, and we tell it once.
    ::setpgid(0, 0);
    sigset_t none;
    sigemptyset(&none);
    ::pthread_sigmask(SIG_SETMASK, &none, nullptr);
    std::signal(SIGPIPE, SIG_DFL);
    if (const int null = ::open("/dev/null", O_RDONLY); null >= 0) ::dup2(null, STDIN_FILENO);
    ::dup2(errors, STDERR_FILENO);
    const std::string wrong = "error: " + become("", command_) + "\n";
    write_all(STDERR_FILENO, wrong);
    ::_exit(2);
  }

  // Passes on what it prints and the signals that come, until it has ended; as of waitpid.
  int watch(pid_t pid, int output, LastWords& words) {
    const Descriptor ended(open_pidfd(pid));
    bool is_closed = false;
    int status = 0;
    while (true) {
      std::array<pollfd, 3> waited{{{ended.get(), POLLIN, 0},
                                    {is_closed ? -1 : output, POLLIN, 0},
                                    {signals_.get(), POLLIN, 0}}};
      ::poll(waited.data(), waited.size(), -1);
      if (waited[1].revents != 0) is_closed = pass_on(output, words);
      if (waited[2].revents != 0) {
        for (int i = count_signals(); i > 0; --i) {
          // The job knows: the first is a stop with a checkpoint, the second a cancel.
          ::kill(pid, num_signals_ - i >= 2 ? SIGKILL : SIGTERM);
        }
      }
      if (waited[0].revents != 0 && ::waitpid(pid, &status, WNOHANG) == pid) break;
    }
    if (!is_closed) pass_on(output, words);
    return status;
  }

  // What is there; true: nobody can write any more.
  static bool pass_on(int output, LastWords& words) {
    std::array<char, 65536> buffer{};
    while (true) {
      const ssize_t size = ::read(output, buffer.data(), buffer.size());
      if (size < 0 && errno == EINTR) continue;
      if (size <= 0) return size == 0;
      const std::string_view bytes(buffer.data(), static_cast<std::size_t>(size));
      write_all(STDERR_FILENO, bytes);
      words.add(bytes);
    }
  }

  const ForegroundSettings& settings_;
  RestartPolicy policy_;
  const Descriptor signals_;
  std::filesystem::path checkpoints_;
  std::vector<std::string> command_;
  int num_signals_ = 0;
};

std::int64_t pause_of(const std::string& flag, const std::string& text) {
  const auto duration = parse_duration(text);
  if (!duration || duration->count() < 1)
    throw Error(ErrorCode::kConfig, flag + " is no duration, e.g. 1s: " + text);
  return duration->count();
}

}  // namespace

int run_in_foreground(const ForegroundSettings& settings) { return Foreground(settings).run(); }

int run_command(const std::vector<std::string>& words) {
  ForegroundSettings settings;
  std::string first_backoff = "1s";
  std::string max_backoff = "60s";
  CLI::App app(
      "Runs one job in the foreground and starts it again from its last checkpoint when it fails. "
      "What follows the program is the job's own. Ctrl-C: checkpoint and stop; again: stop now.",
      "tidemill run");
  app.footer("tidemill run [OPTIONS] ./job [FLAGS OF THE JOB]");
  app.prefix_command();
  app.add_option("--restart-backoff", first_backoff, "before the first restart; doubles")
      ->capture_default_str();
  app.add_option("--restart-max-backoff", max_backoff, "longest pause before a restart")
      ->capture_default_str();
  app.add_option("--restart-limit", settings.restarts.limit,
                 "restarts without a checkpoint in between before it is given up")
      ->capture_default_str()
      ->check(CLI::Range(1, 1'000'000));
  try {
    app.parse(std::vector<std::string>(words.rbegin(), words.rend()));
    settings.command = app.remaining();
    if (settings.command.empty() || settings.command.front().starts_with('-'))
      throw Error(ErrorCode::kConfig,
                  settings.command.empty()
                      ? "run: which program? tidemill run ./job --config FILE"
                      : "run: unknown flag: " + settings.command.front() +
                            "; flags of the job come behind the program; tidemill run --help");
    settings.restarts.first_backoff_ms = pause_of("--restart-backoff", first_backoff);
    settings.restarts.max_backoff_ms = pause_of("--restart-max-backoff", max_backoff);
    return run_in_foreground(settings);
  } catch (const CLI::CallForHelp&) {
    std::printf("%s", app.help().c_str());
    return 0;
  } catch (const CLI::ParseError& error) {
    std::fprintf(stderr, "error: run: %s; tidemill run --help\n", error.what());
    return 2;
  }
}

}  // namespace tidemill::server
