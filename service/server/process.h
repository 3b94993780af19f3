// Processes of the operating system, as the server needs them: started in a session of their own,
// found again, watched, told to end.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "service/server/job_folder.h"

namespace tidemill::server {

// Field 22 of /proc/PID/stat: when it was started, in clock ticks since the boot. Nothing if there
// is no such process, or it has ended and nobody has asked how.
[[nodiscard]] std::optional<std::int64_t> start_ticks_of(std::int64_t pid);
[[nodiscard]] std::string boot_id();
// Bytes; nothing if there is no such process.
[[nodiscard]] std::optional<std::int64_t> resident_bytes_of(std::int64_t pid);
// Readable once the process has ended; -1 if it has.
[[nodiscard]] int open_pidfd(std::int64_t pid);

// A process that is ours by its pid, its start time and the boot. Its end is seen though it is
// nobody's child here; a signal never reaches another process that has got its pid. One thread.
class Process {
 public:
  // Nothing if that process does not live any more.
  static std::optional<Process> find(const ProcessNote& note);
  ~Process();
  Process(Process&& other) noexcept;
  Process& operator=(Process&& other) noexcept;

  [[nodiscard]] bool has_ended() const;
  [[nodiscard]] int descriptor() const { return pidfd_; }  // for poll
  [[nodiscard]] std::int64_t pid() const { return note_.pid; }
  void signal(int number) const;

 private:
  Process(ProcessNote note, int pidfd) : note_(std::move(note)), pidfd_(pidfd) {}

  ProcessNote note_;
  int pidfd_;
};

struct StartSettings {
  std::filesystem::path program;  // this one: started again as the log writer
  JobFolder folder;
  std::filesystem::path work;  // relative paths of its settings begin here
  std::int64_t run = 0;
  std::string user;
  std::vector<std::string> command;  // the binary's path first
  std::size_t log_bytes = std::size_t{10} << 20;
  int logs_kept = 5;
};

struct Started {
  ProcessNote note;
  std::int64_t writer = 0;  // pid of the log writer: a child, to be waited for
};

// Starts the log writer with the job below it. Throws Error(kConfig) with what is wrong.
[[nodiscard]] Started start_job(const StartSettings& settings);

// True while a log writer of this folder lives.
[[nodiscard]] bool has_log_writer(const JobFolder& folder);

// The environment of what is started: ours, with or without the variables that a job takes for
// settings (TIDEMILL_*).
enum class Variables { kWithoutSettings, kAll };

struct Told {
  int exit = -1;  // -1: took longer than it may, or was killed
  std::string out;
  std::string err;
};
// Runs a program that only tells something; at most a megabyte of it is kept. `is_enough` true ends
// it before its time.
[[nodiscard]] Told ask_program(const std::filesystem::path& program, const std::string& user,
                               const std::filesystem::path& folder,
                               const std::vector<std::string>& command,
                               std::chrono::milliseconds time,
                               Variables variables = Variables::kWithoutSettings,
                               const std::function<bool()>& is_enough = {});

}  // namespace tidemill::server
