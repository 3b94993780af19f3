// Where things are in the server's folder:
//   DIR/{server.db, server.lock, admin.token}, DIR/binaries/SHA256, DIR/jobs/NAME/…
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace tidemill::server {

// Nothing but `work` is a job's own to write: a job of another user could otherwise lead the
// server, which may be root, to other files and processes.
struct JobFolder {
  std::filesystem::path path;

  // Owned by its user: its socket, and, of a job that is no replay, its working directory.
  [[nodiscard]] std::filesystem::path work() const { return path / "work"; }

  [[nodiscard]] std::filesystem::path config() const { return path / "config.yaml"; }
  [[nodiscard]] std::filesystem::path log_folder() const { return path / "log"; }
  [[nodiscard]] std::filesystem::path log() const { return log_folder() / "job.log"; }
  [[nodiscard]] std::filesystem::path control_socket() const { return work() / "control.sock"; }
  [[nodiscard]] std::filesystem::path process_file() const { return path / "process.json"; }
  [[nodiscard]] std::filesystem::path exit_file() const { return path / "exit.json"; }
  // Locked by the log writer while it lives.
  [[nodiscard]] std::filesystem::path run_lock() const { return path / "run.lock"; }
};

struct ServerFolder {
  std::filesystem::path path;

  [[nodiscard]] std::filesystem::path store() const { return path / "server.db"; }
  [[nodiscard]] std::filesystem::path lock() const { return path / "server.lock"; }
  [[nodiscard]] std::filesystem::path admin_token() const { return path / "admin.token"; }
  [[nodiscard]] std::filesystem::path binaries() const { return path / "binaries"; }
  [[nodiscard]] std::filesystem::path binary(const std::string& sha256) const {
    return binaries() / sha256;
  }
  [[nodiscard]] JobFolder job(const std::string& name) const { return {path / "jobs" / name}; }
  // Where a job works: a replay where the job it replays does, so that relative paths of its
  // settings mean the same and either finds the other's checkpoints.
  [[nodiscard]] std::filesystem::path work(const std::string& name,
                                           const std::string& replay_of) const {
    return job(replay_of.empty() ? name : replay_of).work();
  }
  // Removed jobs: theirs to look at who removed them.
  [[nodiscard]] std::filesystem::path removed() const { return path / "removed"; }
};

// Makes the folder and what belongs into it, `work` for `user` (empty: who the server is). Throws
// Error(kConfig) if there is no such user or this process may not give things to them.
void make_job_folder(const JobFolder& folder, const std::string& user);
// Writes a file that only `user` can read, at no moment anybody else; replaces what is there.
void write_private(const std::filesystem::path& file, const std::string& content,
                   const std::string& user);

// Letters, digits, _, - and ., not beginning with a point, at most 64: part of paths and of the
// socket's.
[[nodiscard]] bool is_job_name(const std::string& name);

// What the log writer leaves in a job's folder, each written under another name and renamed.
struct ProcessNote {
  std::int64_t run = 0;
  std::int64_t pid = 0;
  std::int64_t start_ticks = 0;
  std::string boot_id;
};
struct ExitNote {
  std::int64_t run = 0;
  std::optional<std::int64_t> exit;
  std::optional<std::int64_t> signal;
  std::int64_t ended_ms = 0;
  std::string cause;  // its last error line, or its last line
};
void write_note(const std::filesystem::path& file, const ProcessNote& note);
void write_note(const std::filesystem::path& file, const ExitNote& note);
// Nothing if there is none or it cannot be read.
[[nodiscard]] std::optional<ProcessNote> read_process_note(const std::filesystem::path& file);
[[nodiscard]] std::optional<ExitNote> read_exit_note(const std::filesystem::path& file);

// The last lines of the log and, if it has too few, of the rotated ones before it. Oldest first.
[[nodiscard]] std::vector<std::string> last_lines(const std::filesystem::path& log,
                                                  std::size_t count);

}  // namespace tidemill::server
