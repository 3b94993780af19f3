// One job on this machine: started, watched, started again. What it decides by is what the store
// has and what the process's folder shows, so that a server that was killed goes on from there.
//
// Not thread-safe: its owner (Fleet) locks. Throws what the store throws.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "service/server/job_link.h"
#include "service/server/job_status.h"
#include "service/server/process.h"
#include "service/server/restart_policy.h"
#include "service/server/store.h"

namespace tidemill::server {

struct FleetSettings {
  ServerFolder folder;
  std::filesystem::path program;  // tidemill itself: the log writer
  RestartSettings restarts = {};
  std::size_t log_bytes = std::size_t{10} << 20;
  int logs_kept = 5;
  std::chrono::milliseconds tick = std::chrono::milliseconds(250);
  std::chrono::milliseconds status_every = std::chrono::seconds(1);
};

// A copy of what is known, for answers: made without asking anybody.
struct JobView {
  JobRow row;
  std::string state;
  std::int64_t since_ms = 0;
  std::optional<Run> run;   // the open one
  std::optional<Run> last;  // the last that ended
  std::string binary;
  std::string checkpoint_folder;
  int restarts = 0;                         // in a row, without a new checkpoint
  std::shared_ptr<const JobStatus> status;  // of the running process, at most some seconds old
  std::vector<Problem> problems;            // the job's own and the server's
};

// Names the checkpoint that a plain start would take; empty if there is none.
[[nodiscard]] std::string newest_checkpoint(const std::filesystem::path& folder);

// What the server passes to every job besides the version's arguments.
[[nodiscard]] std::vector<std::string> job_command(const ServerFolder& folder, const JobRow& job,
                                                   const Version& version);

class SupervisedJob {
 public:
  // What is passed by reference outlives it. Finds the process of an open run again.
  SupervisedJob(const FleetSettings& settings, Store& store, JobRow row, std::int64_t now_ms);

  // Does what is due; `ask` may be asked to stop a process.
  void tick(std::int64_t now_ms, const AskJob& ask);
  // Reads the job's row anew, after somebody has changed it in the store. `forgives`: what failed
  // before is tried again at once.
  void reload(bool forgives);
  void on_status(std::int64_t run, std::shared_ptr<const JobStatus> status, std::int64_t now_ms);

  // Somebody tells the process to stop in their own way.
  void note_stop_sent() { is_stop_sent_ = true; }
  void forget_stop_sent() { is_stop_sent_ = false; }
  void signal(int number) const;

  [[nodiscard]] JobView view(std::int64_t now_ms);
  [[nodiscard]] bool has_run() const { return run_.has_value(); }
  [[nodiscard]] int descriptor() const { return process_ ? process_->descriptor() : -1; }

 private:
  void remember(const std::vector<Run>& runs);
  void find_process(std::int64_t now_ms);
  void start(std::int64_t now_ms);
  void tell_to_stop(const AskJob& ask);
  void watch_memory(std::int64_t now_ms);
  // False: how it ended is not known yet.
  bool take_end(std::int64_t now_ms);
  void on_end(RunEnd end);
  void note_checkpoint();
  [[nodiscard]] std::string state(std::int64_t now_ms) const;
  [[nodiscard]] std::vector<Problem> problems() const;
  [[nodiscard]] std::optional<Problem> own_problem() const;
  [[nodiscard]] JobFolder folder() const { return settings_.folder.job(row_.name); }

  const FleetSettings& settings_;
  Store& store_;
  JobRow row_;
  Version version_;  // of the open run, else the one to run
  RestartPolicy policy_;
  std::optional<Run> run_;
  std::optional<Process> process_;
  std::vector<std::int64_t> writers_;  // children of this process that end by themselves
  std::optional<Run> last_;
  AfterEnd after_ = AfterEnd::kDone;  // of last_
  bool is_final_ = false;             // last_ had read its whole input
  bool is_stop_sent_ = false;
  std::optional<std::int64_t> over_memory_;  // bytes that were too many
  std::int64_t over_memory_ms_ = 0;
  std::int64_t end_seen_ms_ = 0;
  std::shared_ptr<const JobStatus> status_;
  std::int64_t status_ms_ = 0;
  std::int64_t started_here_ms_ = 0;  // when this server started or adopted the run
  std::string shown_state_;
  std::int64_t since_ms_ = 0;
};

}  // namespace tidemill::server
