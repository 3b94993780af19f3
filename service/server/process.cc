#include "service/server/process.h"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <fstream>
#include <poll.h>
#include <spawn.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utility>

#include "engine/base/error.h"

namespace tidemill::server {
namespace {

constexpr std::size_t kMaxTold = std::size_t{1} << 20;
constexpr std::int64_t kLookAround_ms = 100;
constexpr auto kStartTime = std::chrono::seconds(20);
constexpr int kFirstInherited = 3;

std::string read_text(const std::string& path) {
  std::ifstream in(path);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

// Of a server's job the settings are what was submitted, not what the server was started with.
std::vector<std::string> environment_of(Variables which) {
  std::vector<std::string> variables;
  for (char** at = environ; *at != nullptr; ++at) {
    if (which == Variables::kAll || !std::string_view(*at).starts_with("TIDEMILL_"))
      variables.emplace_back(*at);
  }
  return variables;
}

struct Pipe {
  Pipe() {
    if (::pipe2(ends.data(), O_CLOEXEC) != 0)
      throw Error(ErrorCode::kIo, std::string("no pipe to a process: ") + std::strerror(errno));
  }
  ~Pipe() {
    close(0);
    close(1);
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
  void close(std::size_t end) {
    if (ends[end] >= 0) ::close(std::exchange(ends[end], -1));
  }
  std::array<int, 2> ends{-1, -1};
};

// Nothing of the server's is inherited: neither sockets nor the store, nor signals it ignores.
pid_t spawn(const std::filesystem::path& program, const std::vector<std::string>& command,
            const std::filesystem::path& folder, const std::array<int, 4>& descriptors,
            Variables which = Variables::kWithoutSettings) {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_init(&actions);
  posix_spawnattr_init(&attributes);
  for (int to = 0; to < static_cast<int>(descriptors.size()); ++to) {
    const int from = descriptors[static_cast<std::size_t>(to)];
    if (from < 0) {
      if (to < kFirstInherited)
        posix_spawn_file_actions_addopen(&actions, to, "/dev/null", to == 0 ? O_RDONLY : O_WRONLY,
                                         0);
    } else {
      posix_spawn_file_actions_adddup2(&actions, from, to);
    }
  }
  posix_spawn_file_actions_addclosefrom_np(&actions, descriptors[3] < 0 ? 3 : 4);
  if (!folder.empty()) posix_spawn_file_actions_addchdir_np(&actions, folder.c_str());
  sigset_t none;
  sigset_t all;
  sigemptyset(&none);
  sigfillset(&all);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  posix_spawnattr_setflags(&attributes,
                           POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  std::vector<char*> words;
  for (const std::string& word : command) words.push_back(const_cast<char*>(word.c_str()));
  words.push_back(nullptr);
  std::vector<std::string> variables = environment_of(which);
  std::vector<char*> environment;
  for (std::string& variable : variables) environment.push_back(variable.data());
  environment.push_back(nullptr);
  pid_t pid = 0;
  const int error =
      posix_spawn(&pid, program.c_str(), &actions, &attributes, words.data(), environment.data());
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  if (error != 0)
    throw Error(ErrorCode::kConfig,
                "cannot be started: " + program.string() + ": " + std::strerror(error));
  return pid;
}

// A descriptor that is certainly none of 0 to 3, so that dup2 onto these replaces none of ours.
int above_standard(int descriptor) { return ::fcntl(descriptor, F_DUPFD_CLOEXEC, 10); }

}  // namespace

std::optional<std::int64_t> start_ticks_of(std::int64_t pid) {
  const std::string stat = read_text("/proc/" + std::to_string(pid) + "/stat");
  // The second field is the program's name in parentheses, and may hold any character.
  std::size_t at = stat.rfind(')');
  if (at == std::string::npos || at + 2 >= stat.size()) return std::nullopt;
  at += 2;
  if (stat[at] == 'Z' || stat[at] == 'X') return std::nullopt;
  for (int field = 3; field < 22; ++field) {
    at = stat.find(' ', at);
    if (at == std::string::npos) return std::nullopt;
    ++at;
  }
  return std::strtoll(stat.c_str() + at, nullptr, 10);
}

std::string boot_id() {
  std::string id = read_text("/proc/sys/kernel/random/boot_id");
  while (id.ends_with('\n')) id.pop_back();
  return id;
}

std::optional<std::int64_t> resident_bytes_of(std::int64_t pid) {
  std::ifstream in("/proc/" + std::to_string(pid) + "/statm");
  std::int64_t size = 0;
  std::int64_t resident = 0;
  if (!(in >> size >> resident)) return std::nullopt;
  return resident * ::sysconf(_SC_PAGESIZE);
}

int open_pidfd(std::int64_t pid) {
  const int fd = static_cast<int>(::syscall(SYS_pidfd_open, static_cast<pid_t>(pid), 0));
  if (fd >= 0) ::fcntl(fd, F_SETFD, FD_CLOEXEC);
  return fd;
}

std::optional<Process> Process::find(const ProcessNote& note) {
  if (note.pid <= 0 || note.boot_id != server::boot_id()) return std::nullopt;
  Process process(note, open_pidfd(note.pid));
  // Asked after the descriptor is there, which then is of no later process of that number.
  if (process.pidfd_ < 0 || start_ticks_of(note.pid) != note.start_ticks) return std::nullopt;
  return process;
}

Process::~Process() {
  if (pidfd_ >= 0) ::close(pidfd_);
}

Process::Process(Process&& other) noexcept
    : note_(std::move(other.note_)), pidfd_(std::exchange(other.pidfd_, -1)) {}

Process& Process::operator=(Process&& other) noexcept {
  std::swap(note_, other.note_);
  std::swap(pidfd_, other.pidfd_);
  return *this;
}

bool Process::has_ended() const {
  pollfd waited{pidfd_, POLLIN, 0};
  return ::poll(&waited, 1, 0) > 0;
}

void Process::signal(int number) const {
  ::syscall(SYS_pidfd_send_signal, pidfd_, number, nullptr, 0);
}

Started start_job(const StartSettings& settings) {
  std::vector<std::string> command = {settings.program.string(),
                                      "log-writer",
                                      "--folder",
                                      settings.folder.path.string(),
                                      "--work",
                                      settings.work.string(),
                                      "--run",
                                      std::to_string(settings.run),
                                      "--ready",
                                      "3",
                                      "--max-bytes",
                                      std::to_string(settings.log_bytes),
                                      "--kept",
                                      std::to_string(settings.logs_kept)};
  if (!settings.user.empty()) command.insert(command.end(), {"--user", settings.user});
  command.emplace_back("--");
  command.insert(command.end(), settings.command.begin(), settings.command.end());
  Pipe ready;
  const int far = above_standard(ready.ends[1]);
  pid_t writer = 0;
  try {
    writer = spawn(settings.program, command, settings.folder.path, {-1, -1, -1, far});
  } catch (...) {
    ::close(far);
    throw;
  }
  ::close(far);
  ready.close(1);
  std::string line;
  const auto deadline = std::chrono::steady_clock::now() + kStartTime;
  while (!line.ends_with('\n')) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        deadline - std::chrono::steady_clock::now());
    pollfd waited{ready.ends[0], POLLIN, 0};
    std::array<char, 1024> buffer{};
    if (left.count() <= 0 || ::poll(&waited, 1, static_cast<int>(left.count())) <= 0) break;
    const ssize_t size = ::read(ready.ends[0], buffer.data(), buffer.size());
    if (size <= 0) break;
    line.append(buffer.data(), static_cast<std::size_t>(size));
  }
  if (line == "ok\n") {
    if (auto note = read_process_note(settings.folder.process_file());
        note && note->run == settings.run)
      return {*note, writer};
  }
  // Whatever it was about to do, it does not do it any more: the job dies with it.
  ::kill(writer, SIGKILL);
  ::waitpid(writer, nullptr, 0);
  while (line.ends_with('\n')) line.pop_back();
  throw Error(ErrorCode::kConfig,
              line.empty() || line == "ok"
                  ? "the job's log writer did not start the job; is the disk full?"
                  : line);
}

bool has_log_writer(const JobFolder& folder) {
  const int fd = ::open(folder.run_lock().c_str(), O_RDWR | O_CLOEXEC);
  if (fd < 0) return false;
  const bool is_free = ::flock(fd, LOCK_EX | LOCK_NB) == 0;
  ::close(fd);
  return !is_free;
}

Told ask_program(const std::filesystem::path& program, const std::string& user,
                 const std::filesystem::path& folder, const std::vector<std::string>& command,
                 std::chrono::milliseconds time, Variables variables,
                 const std::function<bool()>& is_enough) {
  std::vector<std::string> words = {program.string(), "log-writer", "--become"};
  if (!user.empty()) words.insert(words.end(), {"--user", user});
  words.emplace_back("--");
  words.insert(words.end(), command.begin(), command.end());
  Pipe out;
  Pipe err;
  const std::array<int, 2> far{above_standard(out.ends[1]), above_standard(err.ends[1])};
  pid_t pid = 0;
  try {
    pid = spawn(program, words, folder, {-1, far[0], far[1], -1}, variables);
  } catch (...) {
    for (const int descriptor : far) ::close(descriptor);
    throw;
  }
  for (const int descriptor : far) ::close(descriptor);
  out.close(1);
  err.close(1);
  Told told;
  const auto deadline = std::chrono::steady_clock::now() + time;
  std::array<pollfd, 2> waited{{{out.ends[0], POLLIN, 0}, {err.ends[0], POLLIN, 0}}};
  bool is_late = false;
  while (waited[0].fd >= 0 || waited[1].fd >= 0) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        deadline - std::chrono::steady_clock::now());
    const auto wait =
        is_enough ? std::min<std::int64_t>(left.count(), kLookAround_ms) : left.count();
    is_late = left.count() <= 0 || (is_enough && is_enough());
    if (is_late) break;
    if (::poll(waited.data(), waited.size(), static_cast<int>(wait)) <= 0) continue;
    for (std::size_t i = 0; i < waited.size(); ++i) {
      if (waited[i].revents == 0) continue;
      std::array<char, 65536> buffer{};
      const ssize_t size = ::read(waited[i].fd, buffer.data(), buffer.size());
      if (size <= 0) {
        waited[i].fd = -1;
        continue;
      }
      std::string& text = i == 0 ? told.out : told.err;
      text.append(buffer.data(), std::min(static_cast<std::size_t>(size), kMaxTold - text.size()));
    }
  }
  int status = 0;
  // It may have closed both and go on.
  while (!is_late && ::waitpid(pid, &status, WNOHANG) == 0) {
    is_late = std::chrono::steady_clock::now() >= deadline;
    ::poll(nullptr, 0, 2);
    if (is_late) break;
  }
  if (is_late) {
    ::kill(-pid, SIGKILL);  // its session is its own
    ::waitpid(pid, &status, 0);
  }
  if (!is_late && WIFEXITED(status)) told.exit = WEXITSTATUS(status);
  return told;
}

}  // namespace tidemill::server
