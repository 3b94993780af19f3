// The server's own state: what was asked for and what was done. One SQLite file, DIR/server.db,
// which the commands that work without a server (`tidemill token`) open beside it.
//
// What is durable about a job's data is not here: that is its checkpoint folder and its commit
// record. Every change is on the disk when the call returns (WAL, synchronous=FULL).
// Thread-safe. All calls throw Error(kIo) if the file cannot be used, and say so if they refuse.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "service/server/token.h"

struct sqlite3;

namespace tidemill::server {

// What a job runs: a binary, its settings and its limits. Numbered from 1; never changed.
struct Version {
  std::int64_t number = 0;
  std::string binary;             // SHA-256
  std::string config;             // text of the YAML file
  std::vector<std::string> args;  // flags besides those of the server
  std::int64_t memory_limit = 0;  // bytes of resident memory; 0: none
  std::string user;               // empty: the server's
  std::string checkpoint_folder;  // as the binary said when the version was made
  std::string effective;          // its --print-config, secrets hidden
  std::int64_t created_ms = 0;
  std::string created_by;
};

struct JobRow {
  std::string name;
  bool desired_running = false;
  std::int64_t version = 0;  // the one to run
  std::int64_t created_ms = 0;
  std::string replay_of;  // the job it replays; empty: none
  // A run that is to end and be followed by another one; 0: none. Durable, so that a restart that
  // was asked for happens though the server dies in between.
  std::int64_t replaced_run = 0;
  // Flags of the next start only (--restore …): they stay until a checkpoint newer than
  // `once_after` shows that the start took them.
  std::vector<std::string> once_args;
  std::string once_after;
};

// One process of a job.
struct Run {
  std::int64_t id = 0;
  std::string job;
  std::int64_t version = 0;
  std::int64_t started_ms = 0;
  std::int64_t pid = 0;          // 0: not known yet
  std::int64_t start_ticks = 0;  // field 22 of /proc/PID/stat
  std::string boot_id;           // pid and start time mean something within one boot
  std::string newest_before;     // the newest checkpoint when it started
  std::optional<std::int64_t> ended_ms;
  std::optional<std::int64_t> exit;    // exit code
  std::optional<std::int64_t> signal;  // that ended it
  std::string reason;                  // for people: the last error line, or how it ended
};

struct TokenRow {
  std::string name;
  Role role = Role::kNone;
  std::int64_t created_ms = 0;
};

struct AuditRow {
  std::int64_t id = 0;
  std::int64_t at_ms = 0;
  std::string who;  // the token's name
  std::string role;
  std::string peer;
  std::string action;  // "POST /api/v1/jobs/features/stop"
  std::string details;
  std::optional<std::int64_t> status;  // nothing: the server ended before the answer was known
};

struct BinaryRow {
  std::string sha256;
  std::int64_t bytes = 0;
  std::int64_t uploaded_ms = 0;
  std::string uploaded_by;
};

// A hand-over of a job to a replay of it (promotion.h).
struct PromotionRow {
  std::int64_t id = 0;
  std::string job;
  std::string replay;
  std::string phase;
  std::string details;  // JSON
  std::int64_t created_ms = 0;
  std::int64_t updated_ms = 0;
};

class Store {
 public:
  // Creates the file with mode 0600, or brings an older one to this program's schema. Throws
  // Error(kConfig) for a file of a newer program.
  explicit Store(const std::filesystem::path& file);
  ~Store();
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  // Throws Error(kRefused) if there is one of this name. The version gets number 1.
  void add_job(const JobRow& job, const Version& version);
  // The next number, which the job is to run from now on.
  std::int64_t add_version(const std::string& job, const Version& version);
  void remove_job(const std::string& job);  // and its versions and runs
  [[nodiscard]] std::vector<JobRow> jobs() const;
  [[nodiscard]] std::optional<JobRow> job(const std::string& name) const;
  [[nodiscard]] Version version(const std::string& job, std::int64_t number) const;
  [[nodiscard]] std::vector<Version> versions(const std::string& job) const;  // newest first
  void set_desired(const std::string& job, bool running);
  void set_version(const std::string& job, std::int64_t number);
  void set_replaced_run(const std::string& job, std::int64_t run);
  void set_once(const std::string& job, const std::vector<std::string>& args,
                const std::string& after);

  std::int64_t begin_run(const Run& run);
  void set_process(std::int64_t run, std::int64_t pid, std::int64_t start_ticks,
                   const std::string& boot_id);
  void end_run(const Run& run);  // its ended_ms, exit, signal, reason
  [[nodiscard]] std::vector<Run> open_runs() const;
  [[nodiscard]] std::vector<Run> runs(const std::string& job,
                                      std::int64_t limit) const;  // newest first

  // Throws Error(kRefused) if the name is taken.
  void add_token(const std::string& name, Role role, const std::string& token, std::int64_t at_ms);
  bool remove_token(const std::string& name);
  [[nodiscard]] std::vector<TokenRow> tokens() const;
  [[nodiscard]] std::optional<TokenRow> find_token(const std::string& token) const;

  std::int64_t begin_audit(const AuditRow& row);
  void end_audit(std::int64_t id, std::int64_t status);
  [[nodiscard]] std::vector<AuditRow> audit(std::int64_t before_id,
                                            std::int64_t limit) const;  // newest first

  // The id it gets.
  std::int64_t add_promotion(const PromotionRow& row);
  void set_promotion(const PromotionRow& row);  // its phase, details and updated_ms
  [[nodiscard]] std::vector<PromotionRow> promotions(std::int64_t limit) const;  // newest first

  void add_binary(const BinaryRow& binary);  // again: nothing
  [[nodiscard]] std::vector<BinaryRow> binaries() const;

 private:
  void execute(const std::string& sql) const;

  mutable std::mutex mutex_;
  sqlite3* db_ = nullptr;
};

}  // namespace tidemill::server
