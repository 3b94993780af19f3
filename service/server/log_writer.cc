#include "service/server/log_writer.h"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <grp.h>
#include <optional>
#include <poll.h>
#include <pwd.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

#include <boost/json.hpp>

#include "engine/base/clock.h"
#include "engine/base/error.h"
#include "service/server/job_folder.h"
#include "service/server/process.h"

namespace tidemill::server {
namespace {

constexpr std::size_t kMaxCause = 2000;
constexpr auto kNoteTries = 60;  // seconds, while the disk is full

std::string told(const std::string& what) { return what + ": " + std::strerror(errno); }

// "2026-11-28T22:46:00.000Z error no space left" or {"level":"error","message":"…"} or "error: …":
// the message. Nothing if the line is no error.
std::optional<std::string> error_of(std::string_view line) {
  if (line.starts_with("error: ")) return std::string(line.substr(7));
  if (line.starts_with('{')) {
    boost::json::error_code failure;
    const boost::json::value value = boost::json::parse({line.data(), line.size()}, failure);
    if (failure || !value.is_object()) return std::nullopt;
    const boost::json::value* level = value.get_object().if_contains("level");
    const boost::json::value* message = value.get_object().if_contains("message");
    if (level == nullptr || message == nullptr || !level->is_string() || !message->is_string() ||
        level->get_string() != "error")
      return std::nullopt;
    return std::string(message->get_string());
  }
  const std::size_t space = line.find(' ');
  if (space != std::string_view::npos && space > 10 && line[space - 1] == 'Z' &&
      line.substr(space).starts_with(" error "))
    return std::string(line.substr(space + 7));
  return std::nullopt;
}

void answer(int descriptor, const std::string& line) {
  if (descriptor < 0) return;
  const std::string whole = line + "\n";
  [[maybe_unused]] const ssize_t written = ::write(descriptor, whole.data(), whole.size());
  ::close(descriptor);
}

// Copies what the job prints until it has ended, and returns how it did (as of waitpid).
int copy_until_end(pid_t pid, int output, RotatingLog& log, LastWords& words) {
  std::array<char, 65536> buffer{};
  const auto copy_what_is_there = [&] {
    for (;;) {
      const ssize_t size = ::read(output, buffer.data(), buffer.size());
      if (size < 0 && errno == EINTR) continue;
      if (size <= 0) return size == 0;  // true: nobody can write any more
      log.write({buffer.data(), static_cast<std::size_t>(size)});
      words.add({buffer.data(), static_cast<std::size_t>(size)});
    }
  };
  const int ended = open_pidfd(pid);
  bool is_closed = false;
  int status = 0;
  for (;;) {
    std::array<pollfd, 2> waited{{{ended, POLLIN, 0}, {is_closed ? -1 : output, POLLIN, 0}}};
    ::poll(waited.data(), waited.size(), -1);
    if (waited[1].revents != 0) is_closed = copy_what_is_there();
    // What the job left behind may hold the pipe open; its own lines are all in it by now.
    if (waited[0].revents != 0 && ::waitpid(pid, &status, WNOHANG) == pid) break;
  }
  if (!is_closed) copy_what_is_there();
  ::close(ended);
  return status;
}

}  // namespace

RotatingLog::RotatingLog(std::filesystem::path file, std::size_t max_bytes, int kept)
    : file_(std::move(file)), max_bytes_(max_bytes), kept_(kept) {
  open();
}

RotatingLog::~RotatingLog() {
  if (fd_ >= 0) ::close(fd_);
}

void RotatingLog::open() {
  fd_ = ::open(file_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  struct stat found {};
  size_ = fd_ >= 0 && ::fstat(fd_, &found) == 0 ? static_cast<std::size_t>(found.st_size) : 0;
}

void RotatingLog::rotate() {
  if (fd_ >= 0) ::close(fd_);
  std::error_code ignored;
  for (int number = kept_; number > 0; --number) {
    const std::string before = number == 1 ? "" : "." + std::to_string(number - 1);
    std::filesystem::rename(file_.string() + before, file_.string() + "." + std::to_string(number),
                            ignored);
  }
  if (kept_ == 0) std::filesystem::remove(file_, ignored);
  open();
}

bool RotatingLog::append(std::string_view bytes) {
  if (fd_ < 0) open();
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd_, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) {
      left_out_ += bytes.size();
      return false;
    }
    size_ += static_cast<std::size_t>(written);
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

void RotatingLog::write(std::string_view bytes) {
  if (left_out_ > 0) {
    const std::size_t missing = std::exchange(left_out_, 0);
    if (!append("\n[" + std::to_string(missing) + " bytes of this log could not be written]\n")) {
      left_out_ = missing + bytes.size();
      return;
    }
  }
  if (!append(bytes)) return;
  // Between two lines, unless there is none.
  if (size_ >= max_bytes_ && (bytes.ends_with('\n') || size_ >= 2 * max_bytes_)) rotate();
}

void LastWords::add(std::string_view bytes) {
  for (std::size_t newline = bytes.find('\n'); newline != std::string_view::npos;
       newline = bytes.find('\n')) {
    open_line_ += bytes.substr(0, newline);
    add_line(open_line_);
    open_line_.clear();
    bytes.remove_prefix(newline + 1);
  }
  if (open_line_.size() < 4 * kMaxCause) open_line_ += bytes;
}

void LastWords::add_line(std::string_view line) {
  if (line.ends_with('\r')) line.remove_suffix(1);
  if (line.find_first_not_of(' ') == std::string_view::npos) return;
  last_line_ = line.substr(0, kMaxCause);
  if (auto error = error_of(line)) last_error_ = error->substr(0, kMaxCause);
}

std::string LastWords::cause(bool was_killed) const {
  LastWords all = *this;
  if (!all.open_line_.empty()) all.add_line(std::string(open_line_));
  return was_killed || all.last_error_.empty() ? all.last_line_ : all.last_error_;
}

std::string become(const std::string& user, const std::vector<std::string>& command) {
  if (!user.empty()) {
    const passwd* found = ::getpwnam(user.c_str());
    if (found == nullptr) return "there is no such user on this machine: " + user;
    if (::geteuid() != found->pw_uid &&
        (::initgroups(user.c_str(), found->pw_gid) != 0 || ::setgid(found->pw_gid) != 0 ||
         ::setuid(found->pw_uid) != 0))
      return told("cannot become user " + user + " (only root can)");
  }
  // After the change of user, which clears it.
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  std::vector<char*> words;
  for (const std::string& word : command) words.push_back(const_cast<char*>(word.c_str()));
  words.push_back(nullptr);
  ::execv(words.front(), words.data());
  return told("cannot be started: " + command.front());
}

int run_log_writer(const LogWriterOptions& options) {
  for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGPIPE, SIGXFSZ}) std::signal(signal, SIG_IGN);
  const JobFolder folder{options.folder};
  const std::filesystem::path work = options.work.empty() ? folder.work() : options.work;
  const int lock = ::open(folder.run_lock().c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (lock < 0 || ::flock(lock, LOCK_EX | LOCK_NB) != 0) {
    answer(options.ready,
           told("another process of this job has not ended: " + folder.run_lock().string()));
    return 1;
  }
  RotatingLog log(folder.log(), options.max_bytes, options.kept);
  std::array<int, 2> output{};
  std::array<int, 2> failure{};  // closed by a start that succeeds
  if (::pipe2(output.data(), O_CLOEXEC) != 0 || ::pipe2(failure.data(), O_CLOEXEC) != 0) {
    answer(options.ready, told("no pipe"));
    return 1;
  }
  const pid_t pid = ::fork();
  if (pid == 0) {
    for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGPIPE, SIGXFSZ})
      std::signal(signal, SIG_DFL);
    ::setsid();
    ::dup2(output[1], STDOUT_FILENO);
    ::dup2(output[1], STDERR_FILENO);
    if (options.ready >= 0) ::close(options.ready);
    const std::string wrong = ::chdir(work.c_str()) == 0 ? become(options.user, options.command)
                                                         : told("cannot enter the job's folder");
    [[maybe_unused]] const ssize_t written = ::write(failure[1], wrong.data(), wrong.size());
    ::_exit(127);
  }
  ::close(output[1]);
  ::close(failure[1]);
  if (pid < 0) {
    answer(options.ready, told("no new process"));
    return 1;
  }
  ::fcntl(output[0], F_SETFL, O_NONBLOCK);
  std::array<char, 1024> wrong{};
  const ssize_t size = ::read(failure[0], wrong.data(), wrong.size());
  if (size > 0) {
    ::waitpid(pid, nullptr, 0);
    answer(options.ready, std::string(wrong.data(), static_cast<std::size_t>(size)));
    return 1;
  }
  const SystemClock clock;
  try {
    write_note(folder.process_file(),
               ProcessNote{options.run, pid, start_ticks_of(pid).value_or(0), boot_id()});
  } catch (const std::exception& error) {
    // Without the note a server that dies now would not find this process again.
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
    answer(options.ready, error.what());
    return 1;
  }
  answer(options.ready, "ok");
  LastWords words;
  const int status = copy_until_end(pid, output[0], log, words);
  ExitNote note;
  note.run = options.run;
  note.ended_ms = clock.processing_time().ms;
  if (WIFSIGNALED(status)) {
    note.signal = WTERMSIG(status);
  } else {
    note.exit = WEXITSTATUS(status);
  }
  note.cause = words.cause(note.signal.has_value());
  for (int i = 0; i < kNoteTries; ++i) {
    try {
      write_note(folder.exit_file(), note);
      return 0;
    } catch (const std::exception&) {
      std::this_thread::sleep_for(std::chrono::seconds(1));  // the disk is full
    }
  }
  return 1;
}

int log_writer_command(const std::vector<std::string>& words) {
  LogWriterOptions options;
  bool only_become = false;
  std::size_t at = 0;
  for (; at < words.size() && words[at] != "--"; ++at) {
    if (words[at] == "--become") {
      only_become = true;
      continue;
    }
    if (at + 1 >= words.size()) break;
    const std::string& flag = words[at];
    const std::string& value = words[++at];
    if (flag == "--folder") options.folder = value;
    if (flag == "--work") options.work = value;
    if (flag == "--run") options.run = std::atoll(value.c_str());
    if (flag == "--user") options.user = value;
    if (flag == "--ready") options.ready = std::atoi(value.c_str());
    if (flag == "--max-bytes")
      options.max_bytes = static_cast<std::size_t>(std::atoll(value.c_str()));
    if (flag == "--kept") options.kept = std::atoi(value.c_str());
  }
  if (at + 1 < words.size())
    options.command.assign(words.begin() + static_cast<std::ptrdiff_t>(at) + 1, words.end());
  if (options.command.empty() || (options.folder.empty() && !only_become)) {
    std::fprintf(
        stderr,
        "tidemill log-writer is started by tidemill server, which waits with it for a job: "
        "--folder FOLDER --run ID -- BINARY ARGUMENTS\n");
    return 2;
  }
  if (only_become) {
    std::fprintf(stderr, "%s\n", become(options.user, options.command).c_str());
    return 127;
  }
  return run_log_writer(options);
}

}  // namespace tidemill::server
