#include "service/server/supervised_job.h"

#include <algorithm>
#include <csignal>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/base/error.h"
#include "engine/base/log.h"
#include "engine/checkpoint/storage.h"
#include "service/server/end_problem.h"

namespace tidemill::server {
namespace {

// A status that is older than so many of its intervals says nothing of now.
constexpr std::int64_t kStatusHolds = 5;
// A process needs some time before it answers: it may be restoring.
constexpr std::int64_t kSilentStart_ms = 60'000;
// The log writer needs a moment to leave its note; on a full disk it tries for a minute.
constexpr std::int64_t kNoteWait_ms = 90'000;
// From SIGTERM because of its memory to SIGKILL.
constexpr std::int64_t kMemoryStop_ms = 30'000;

std::string megabytes(std::int64_t bytes) {
  return std::to_string((bytes + (1 << 20) - 1) >> 20) + " MiB";
}

bool ended_finally(const std::string& folder, const std::string& newest) {
  if (folder.empty() || newest.empty()) return false;
  try {
    return CheckpointStorage(folder, CheckpointStorage::Access::kReadOnly)
        .load(newest)
        .manifest.is_final;
  } catch (const Error&) {
    return false;
  }
}

}  // namespace

std::string newest_checkpoint(const std::filesystem::path& folder) {
  if (folder.empty()) return "";
  const auto all = CheckpointStorage(folder, CheckpointStorage::Access::kReadOnly).list();
  return all.empty() ? "" : all.back().id;
}

std::vector<std::string> job_command(const ServerFolder& folder, const JobRow& job,
                                     const Version& version) {
  const JobFolder own = folder.job(job.name);
  std::vector<std::string> command = {folder.binary(version.binary).string(), "--config",
                                      own.config().string(), "--control",
                                      own.control_socket().string()};
  if (job.replay_of.empty()) {
    command.insert(command.end(), {"--set", "job=" + job.name});
  } else {
    command.insert(command.end(), {"--set", "job=" + job.replay_of, "--as",
                                   job.name.substr(job.replay_of.size() + 1)});
  }
  // What a port would answer the server answers; fifty jobs would look for fifty free ports.
  if (std::find(version.args.begin(), version.args.end(), "--http") == version.args.end())
    command.insert(command.end(), {"--http", "none"});
  command.insert(command.end(), version.args.begin(), version.args.end());
  command.insert(command.end(), job.once_args.begin(), job.once_args.end());
  return command;
}

SupervisedJob::SupervisedJob(const FleetSettings& settings, Store& store, JobRow row,
                             std::int64_t now_ms)
    : settings_(settings), store_(store), row_(std::move(row)), policy_(settings.restarts) {
  std::vector<Run> runs = store_.runs(row_.name, settings.restarts.limit + 1);
  if (!runs.empty() && !runs.front().ended_ms) {
    run_ = runs.front();
    runs.erase(runs.begin());
  }
  std::reverse(runs.begin(), runs.end());
  remember(runs);
  version_ = store_.version(row_.name, run_ ? run_->version : row_.version);
  if (last_ && after_ == AfterEnd::kDone)
    is_final_ =
        ended_finally(version_.checkpoint_folder, newest_checkpoint(version_.checkpoint_folder));
  // Another version than the one that failed: it was asked for and not started yet.
  if (last_ && last_->version != row_.version) after_ = AfterEnd::kRetry;
  if (run_) {
    find_process(now_ms);
  } else {
    shown_state_ = state(now_ms);
    since_ms_ = last_ && last_->ended_ms ? *last_->ended_ms : row_.created_ms;
  }
}

// What the policy knew before this server was started.
void SupervisedJob::remember(const std::vector<Run>& runs) {
  for (std::size_t i = 0; i < runs.size(); ++i) {
    const std::string& next = i + 1 < runs.size() ? runs[i + 1].newest_before
                              : run_              ? run_->newest_before
                                                  : runs[i].newest_before;
    after_ = policy_.on_end({runs[i].ended_ms.value_or(0), runs[i].exit, runs[i].signal,
                             runs[i].reason, next != runs[i].newest_before});
  }
  if (!runs.empty()) last_ = runs.back();
}

void SupervisedJob::find_process(std::int64_t now_ms) {
  started_here_ms_ = now_ms;
  const auto note = read_process_note(folder().process_file());
  if (!note || note->run != run_->id) return;
  process_ = Process::find(*note);
  if (!process_) return;
  if (run_->pid == 0) store_.set_process(run_->id, note->pid, note->start_ticks, note->boot_id);
  run_->pid = note->pid;
  log(LogLevel::kInfo, "job " + row_.name + ": its process runs: pid " + std::to_string(run_->pid));
}

void SupervisedJob::tick(std::int64_t now_ms, const AskJob& ask) {
  std::erase_if(writers_, [](std::int64_t pid) {
    return ::waitpid(static_cast<pid_t>(pid), nullptr, WNOHANG) != 0;
  });
  if (run_) {
    if (!process_) find_process(now_ms);
    if (process_ && !process_->has_ended()) {
      const bool is_to_end = !row_.desired_running || row_.replaced_run == run_->id;
      if (is_to_end && !is_stop_sent_) tell_to_stop(ask);
      watch_memory(now_ms);
      return;
    }
    if (!take_end(now_ms)) return;
  }
  if (row_.desired_running && after_ != AfterEnd::kFailed && now_ms >= policy_.start_at_ms())
    start(now_ms);
}

void SupervisedJob::reload(bool forgives) {
  if (auto row = store_.job(row_.name)) row_ = std::move(*row);
  if (!run_) version_ = store_.version(row_.name, row_.version);
  if (!forgives) return;
  policy_ = RestartPolicy(settings_.restarts);
  if (!run_) after_ = AfterEnd::kRetry;
}

void SupervisedJob::start(std::int64_t now_ms) {
  version_ = store_.version(row_.name, row_.version);
  Run run;
  run.job = row_.name;
  run.version = version_.number;
  run.started_ms = now_ms;
  run.newest_before = newest_checkpoint(version_.checkpoint_folder);
  run.id = store_.begin_run(run);
  run_ = run;
  started_here_ms_ = now_ms;
  is_stop_sent_ = false;
  over_memory_.reset();
  end_seen_ms_ = 0;
  status_.reset();
  try {
    make_job_folder(folder(), version_.user);
    write_private(folder().config(), version_.config, version_.user);
    const Started started =
        start_job({settings_.program, folder(), settings_.folder.work(row_.name, row_.replay_of),
                   run.id, version_.user, job_command(settings_.folder, row_, version_),
                   settings_.log_bytes, settings_.logs_kept});
    writers_.push_back(started.writer);
    store_.set_process(run.id, started.note.pid, started.note.start_ticks, started.note.boot_id);
    run_->pid = started.note.pid;
    process_ = Process::find(started.note);  // nothing: it has ended already
    log(LogLevel::kInfo, "job " + row_.name + ": started, pid " + std::to_string(run_->pid));
  } catch (const std::exception& error) {
    on_end({now_ms, std::nullopt, std::nullopt, error.what(), false});
  }
}

void SupervisedJob::tell_to_stop(const AskJob& ask) {
  is_stop_sent_ = true;
  try {
    const JobAnswer answer =
        ask(folder(), {"POST", "/api/v1/stop", {}, R"({"mode":"checkpoint"})"});
    if (answer.status < 300) return;
  } catch (const Error&) {  // it has no socket yet, or not any more
  }
  signal(SIGTERM);
}

void SupervisedJob::signal(int number) const {
  if (process_) process_->signal(number);
}

void SupervisedJob::watch_memory(std::int64_t now_ms) {
  if (version_.memory_limit <= 0 || !process_) return;
  if (over_memory_) {
    if (now_ms > over_memory_ms_ + kMemoryStop_ms) signal(SIGKILL);
    return;
  }
  const auto resident = resident_bytes_of(process_->pid());
  if (!resident || *resident <= version_.memory_limit) return;
  over_memory_ = resident;
  over_memory_ms_ = now_ms;
  log(LogLevel::kWarn, "job " + row_.name +
                           ": over its memory limit, it is stopped and started again: " +
                           megabytes(*resident) + " of " + megabytes(version_.memory_limit));
  // Far above there is no time for a checkpoint; the last one stands.
  signal(*resident > version_.memory_limit + version_.memory_limit / 4 ? SIGKILL : SIGTERM);
}

bool SupervisedJob::take_end(std::int64_t now_ms) {
  if (end_seen_ms_ == 0) end_seen_ms_ = now_ms;
  const bool has_writer = has_log_writer(folder());  // before the note is looked for
  const auto note = read_exit_note(folder().exit_file());
  if (note && note->run == run_->id) {
    on_end({note->ended_ms, note->exit, note->signal, note->cause, false});
    return true;
  }
  // Without a process it may be one that a killed server was just starting.
  if (has_writer && now_ms < end_seen_ms_ + kNoteWait_ms) return false;
  on_end({now_ms, std::nullopt, std::nullopt,
          "its end was not seen: the machine or its log writer ended with it", false});
  return true;
}

void SupervisedJob::note_checkpoint() {
  policy_.on_commit();
  // They are for the next process if this one is to be replaced.
  if (!row_.once_args.empty() && row_.replaced_run != run_->id) {
    store_.set_once(row_.name, {}, "");
    row_.once_args.clear();
  }
}

void SupervisedJob::on_end(RunEnd end) {
  const std::string newest = newest_checkpoint(version_.checkpoint_folder);
  end.committed = newest != run_->newest_before && !newest.empty();
  if (end.committed && (row_.once_args.empty() || newest != row_.once_after)) note_checkpoint();
  if (over_memory_) {
    end.cause = "over its memory limit: " + megabytes(*over_memory_) + " of " +
                megabytes(version_.memory_limit) + "; raise memory_limit or lower `memory`";
    end.exit.reset();
  }
  run_->ended_ms = end.at_ms;
  run_->exit = end.exit;
  run_->signal = end.signal;
  if (end.signal && !over_memory_) {
    end.cause = describe_end(end.exit, end.signal) +
                (end.cause.empty() ? "" : "; the last line of its log: " + end.cause);
  } else if (end.cause.empty()) {
    end.cause = describe_end(end.exit, end.signal);
  }
  run_->reason = end.exit == 0 ? "" : end.cause;
  store_.end_run(*run_);
  const bool was_asked = !row_.desired_running;
  const bool is_replaced = row_.replaced_run == run_->id;
  last_ = run_;
  run_.reset();
  process_.reset();
  status_.reset();
  log(end.exit == 0 ? LogLevel::kInfo : LogLevel::kWarn,
      "job " + row_.name + ": ended: " +
          (last_->reason.empty() ? describe_end(end.exit, end.signal) : last_->reason));
  is_final_ = false;
  if (was_asked) {
    after_ = AfterEnd::kDone;
  } else if (is_replaced) {
    store_.set_replaced_run(row_.name, 0);
    row_.replaced_run = 0;
    policy_ = RestartPolicy(settings_.restarts);
    after_ = AfterEnd::kRetry;
  } else {
    after_ = policy_.on_end(end);
    if (after_ == AfterEnd::kDone) {
      is_final_ = ended_finally(version_.checkpoint_folder, newest);
      store_.set_desired(row_.name, false);
      row_.desired_running = false;
    }
  }
}

void SupervisedJob::on_status(std::int64_t run, std::shared_ptr<const JobStatus> status,
                              std::int64_t now_ms) {
  if (!run_ || run_->id != run) return;
  status_ = std::move(status);
  status_ms_ = now_ms;
  if (status_->checkpoint_ms.value_or(0) > run_->started_ms) note_checkpoint();
}

std::string SupervisedJob::state(std::int64_t now_ms) const {
  const bool is_loop = policy_.loop().has_value();
  if (!run_) {
    if (!row_.desired_running) return is_final_ ? "finished" : "stopped";
    if (after_ == AfterEnd::kFailed) return "failed";
    if (is_loop) return "crash_loop";
    return policy_.failures() > 0 ? "backing_off" : "starting";
  }
  if (is_stop_sent_ || !row_.desired_running) return "stopping";
  if (is_loop) return "crash_loop";
  if (status_ && now_ms < status_ms_ + kStatusHolds * settings_.status_every.count())
    return status_->state;
  return !status_ && now_ms < started_here_ms_ + kSilentStart_ms ? "starting" : "lost";
}

std::vector<Problem> SupervisedJob::problems() const {
  std::vector<Problem> all;
  if (auto own = own_problem()) all.push_back(*std::move(own));
  if (!status_) return all;
  for (const Problem& problem : status_->problems) {
    // The job sees its attempts, the server its processes: one loop.
    const bool is_told = !all.empty() && (problem.id == all[0].id || problem.id == "crash_loop" ||
                                          problem.id == "restarting");
    if (!is_told) all.push_back(problem);
  }
  return all;
}

// Of its processes.
std::optional<Problem> SupervisedJob::own_problem() const {
  if (!row_.desired_running || !last_) return std::nullopt;
  const auto loop = policy_.loop();
  if (policy_.failures() > 0 && (loop || !run_)) {
    if (auto known = problem_of_surroundings(*last_)) {
      if (loop) known->since_ms = loop->since_ms;
      return known;
    }
  }
  if (loop) {
    return Problem{"crash_loop", "error",
                   "crash loop: ended " + std::to_string(loop->count) +
                       " times for one reason without a checkpoint in between: " + loop->cause,
                   "see logs and exceptions; mend the cause or restart it with the binary and "
                   "settings that worked: tidemill restart " +
                       row_.name + " --binary FILE",
                   loop->since_ms};
  }
  if (!run_ && after_ == AfterEnd::kFailed) return problem_of_end(row_.name, *last_);
  return std::nullopt;
}

JobView SupervisedJob::view(std::int64_t now_ms) {
  std::string now = state(now_ms);
  if (now != shown_state_) {
    shown_state_ = std::move(now);
    since_ms_ = now_ms;
  }
  JobView view;
  view.row = row_;
  view.state = shown_state_;
  view.since_ms = since_ms_;
  view.run = run_;
  view.last = last_;
  view.binary = version_.binary;
  view.checkpoint_folder = version_.checkpoint_folder;
  view.restarts = policy_.failures();
  view.status = status_;
  view.problems = problems();
  return view;
}

}  // namespace tidemill::server
