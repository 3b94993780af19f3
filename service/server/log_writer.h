// The parent of a job's process, so that nothing of the job depends on the server: it starts the
// binary, writes what that prints into rotated files, waits for its end, and leaves a note of it.
//
// It holds the folder's run.lock as long as it lives, and the kernel kills the job if it should
// die (a job whose output nobody reads would die of that anyway, later and less clearly).
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace tidemill::server {

// FILE, FILE.1 (the one before), … FILE.N. What cannot be written, because the disk is full, is
// left out and counted: the job never waits for its log. One thread.
class RotatingLog {
 public:
  RotatingLog(std::filesystem::path file, std::size_t max_bytes, int kept);
  ~RotatingLog();
  RotatingLog(const RotatingLog&) = delete;
  RotatingLog& operator=(const RotatingLog&) = delete;
  void write(std::string_view bytes);

 private:
  void open();
  void rotate();
  bool append(std::string_view bytes);

  std::filesystem::path file_;
  std::size_t max_bytes_;
  int kept_;
  int fd_ = -1;
  std::size_t size_ = 0;
  std::size_t left_out_ = 0;  // bytes
};

// Finds why a job ended in what it printed. One thread.
class LastWords {
 public:
  void add(std::string_view bytes);
  // `was_killed`: by a signal, before it could say anything of it.
  [[nodiscard]] std::string cause(bool was_killed) const;

 private:
  void add_line(std::string_view line);

  std::string open_line_;
  std::string last_line_;
  std::string last_error_;
};

struct LogWriterOptions {
  std::filesystem::path folder;  // the job's
  std::filesystem::path work;    // the job's process is started there; empty: folder/work
  std::int64_t run = 0;
  std::string user;
  int ready = -1;  // descriptor that gets "ok\n" or a line that says what is wrong
  std::size_t max_bytes = std::size_t{10} << 20;
  int kept = 5;
  std::vector<std::string> command;
};

// Returns when the job has ended and the note is written; the exit code of this program.
int run_log_writer(const LogWriterOptions& options);

// Becomes `command`, as `user` unless that is empty. Returns only if that cannot be done: what is
// wrong.
std::string become(const std::string& user, const std::vector<std::string>& command);

// `tidemill log-writer …`: for the server, not for people.
int log_writer_command(const std::vector<std::string>& words);

}  // namespace tidemill::server
