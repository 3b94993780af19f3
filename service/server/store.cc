#include "service/server/store.h"

#include <chrono>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/error.h"
#include "service/server/sqlite_internal.h"
#include "service/server/texts.h"

namespace tidemill::server {
namespace {

// What follows the last one of these is the schema of this program: a new version appends a step.
constexpr const char* kSchema[] = {
    R"(
CREATE TABLE jobs(
  name TEXT PRIMARY KEY, desired_running INTEGER NOT NULL, version INTEGER NOT NULL, created_ms INTEGER NOT NULL,
  replay_of TEXT NOT NULL, replaced_run INTEGER NOT NULL, once_args TEXT NOT NULL, once_after TEXT NOT NULL) STRICT;
CREATE TABLE versions(
  job TEXT NOT NULL REFERENCES jobs(name) ON DELETE CASCADE, number INTEGER NOT NULL, binary TEXT NOT NULL, config TEXT NOT NULL,
  args TEXT NOT NULL, memory_limit INTEGER NOT NULL, user TEXT NOT NULL, checkpoint_folder TEXT NOT NULL, effective TEXT NOT NULL,
  created_ms INTEGER NOT NULL, created_by TEXT NOT NULL, PRIMARY KEY(job, number)) STRICT;
CREATE TABLE runs(
  id INTEGER PRIMARY KEY AUTOINCREMENT, job TEXT NOT NULL REFERENCES jobs(name) ON DELETE CASCADE, version INTEGER NOT NULL,
  started_ms INTEGER NOT NULL, pid INTEGER NOT NULL, start_ticks INTEGER NOT NULL, boot_id TEXT NOT NULL, newest_before TEXT NOT NULL,
  ended_ms INTEGER, exit INTEGER, signal INTEGER, reason TEXT NOT NULL) STRICT;
CREATE INDEX runs_of_job ON runs(job, id);
CREATE TABLE tokens(name TEXT PRIMARY KEY, role TEXT NOT NULL, hash TEXT NOT NULL UNIQUE, created_ms INTEGER NOT NULL) STRICT;
CREATE TABLE audit(
  id INTEGER PRIMARY KEY AUTOINCREMENT, at_ms INTEGER NOT NULL, who TEXT NOT NULL, role TEXT NOT NULL, peer TEXT NOT NULL,
  action TEXT NOT NULL, details TEXT NOT NULL, status INTEGER) STRICT;
CREATE TABLE binaries(sha256 TEXT PRIMARY KEY, bytes INTEGER NOT NULL, uploaded_ms INTEGER NOT NULL, uploaded_by TEXT NOT NULL) STRICT;
CREATE TABLE promotions(
  id INTEGER PRIMARY KEY AUTOINCREMENT, job TEXT NOT NULL, replay TEXT NOT NULL, phase TEXT NOT NULL, details TEXT NOT NULL,
  created_ms INTEGER NOT NULL, updated_ms INTEGER NOT NULL) STRICT;
)",
};
constexpr std::int64_t kSchemaVersion = std::size(kSchema);

constexpr std::string_view kJobColumns =
    "SELECT name, desired_running, version, created_ms, replay_of, replaced_run, once_args, "
    "once_after FROM jobs ";
constexpr std::string_view kRunColumns =
    "SELECT id, job, version, started_ms, pid, start_ticks, boot_id, newest_before, ended_ms, "
    "exit, signal, reason FROM runs ";
constexpr std::string_view kVersionColumns =
    "SELECT number, binary, config, args, memory_limit, user, checkpoint_folder, effective, "
    "created_ms, created_by FROM versions ";

std::string with(std::string_view select, std::string_view rest) {
  return std::string(select) + std::string(rest);
}

JobRow read_job(const Statement& s) {
  return {s.text(0), s.integer(1) != 0, s.integer(2),           s.integer(3),
          s.text(4), s.integer(5),      parse_texts(s.text(6)), s.text(7)};
}

Run read_run(const Statement& s) {
  return {s.integer(0),       s.text(1),          s.integer(2),        s.integer(3),
          s.integer(4),       s.integer(5),       s.text(6),           s.text(7),
          s.maybe_integer(8), s.maybe_integer(9), s.maybe_integer(10), s.text(11)};
}

Version read_version(const Statement& s) {
  return {s.integer(0), s.text(1), s.text(2), parse_texts(s.text(3)), s.integer(4),
          s.text(5),    s.text(6), s.text(7), s.integer(8),           s.text(9)};
}

void insert_version(sqlite3* db, const std::string& job, const Version& v, std::int64_t number) {
  Statement(db, "INSERT INTO versions VALUES(?,?,?,?,?,?,?,?,?,?,?)")
      .bind(job)
      .bind(number)
      .bind(v.binary)
      .bind(v.config)
      .bind(print_texts(v.args))
      .bind(v.memory_limit)
      .bind(v.user)
      .bind(v.checkpoint_folder)
      .bind(v.effective)
      .bind(v.created_ms)
      .bind(v.created_by)
      .step();
}

// All of it or nothing.
class Transaction {
 public:
  explicit Transaction(sqlite3* db) : db_(db) { Statement(db_, "BEGIN IMMEDIATE").step(); }
  ~Transaction() {
    if (!done_) sqlite3_exec(db_, "ROLLBACK", nullptr, nullptr, nullptr);
  }
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;
  void commit() {
    Statement(db_, "COMMIT").step();
    done_ = true;
  }

 private:
  sqlite3* db_;
  bool done_ = false;
};

}  // namespace

Store::Store(const std::filesystem::path& file) {
  // Made here, so that it never has another mode; SQLite gives its -wal and -shm the same one.
  const int fd = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0)
    throw Error(ErrorCode::kConfig, "the server's store cannot be opened: " + file.string() +
                                        "; is this the server's folder, and are you its owner?");
  ::fchmod(fd, 0600);
  ::close(fd);
  if (sqlite3_open_v2(file.c_str(), &db_, SQLITE_OPEN_READWRITE | SQLITE_OPEN_FULLMUTEX, nullptr) !=
      SQLITE_OK) {
    const std::string what = sqlite3_errmsg(db_);
    sqlite3_close(db_);
    throw Error(ErrorCode::kConfig,
                "the server's store cannot be opened: " + file.string() + ": " + what);
  }
  try {
    sqlite3_busy_timeout(db_, 10'000);
    execute("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;");
    Transaction transaction(db_);
    Statement version(db_, "PRAGMA user_version");
    version.step();
    const std::int64_t found = version.integer(0);
    if (found > kSchemaVersion)
      throw Error(ErrorCode::kConfig,
                  "the server's store is of a newer version of tidemill (schema " +
                      std::to_string(found) + ", this program knows " +
                      std::to_string(kSchemaVersion) + "): " + file.string());
    for (auto step = static_cast<std::size_t>(found); step < std::size(kSchema); ++step)
      execute(kSchema[step]);
    execute("PRAGMA user_version=" + std::to_string(kSchemaVersion));
    transaction.commit();
  } catch (...) {
    sqlite3_close_v2(db_);
    throw;
  }
}

Store::~Store() { sqlite3_close_v2(db_); }

void Store::execute(const std::string& sql) const {
  if (sqlite3_exec(db_, sql.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK)
    throw Error(ErrorCode::kIo,
                std::string("the server's store cannot be used: ") + sqlite3_errmsg(db_));
}

void Store::add_job(const JobRow& job, const Version& version) {
  const std::lock_guard lock(mutex_);
  Transaction transaction(db_);
  Statement(db_, "INSERT INTO jobs VALUES(?,?,?,?,?,?,?,?)")
      .bind(job.name)
      .bind(std::int64_t{job.desired_running})
      .bind(std::int64_t{1})
      .bind(job.created_ms)
      .bind(job.replay_of)
      .bind(std::int64_t{0})
      .bind(print_texts(job.once_args))
      .bind(job.once_after)
      .step();
  insert_version(db_, job.name, version, 1);
  transaction.commit();
}

std::int64_t Store::add_version(const std::string& job, const Version& version) {
  const std::lock_guard lock(mutex_);
  Transaction transaction(db_);
  std::int64_t number = 0;
  {
    Statement last(db_, "SELECT max(number) FROM versions WHERE job=?");
    last.bind(job).step();
    number = last.integer(0) + 1;
  }
  insert_version(db_, job, version, number);
  Statement(db_, "UPDATE jobs SET version=? WHERE name=?").bind(number).bind(job).step();
  transaction.commit();
  return number;
}

void Store::remove_job(const std::string& job) {
  const std::lock_guard lock(mutex_);
  Statement(db_, "DELETE FROM jobs WHERE name=?").bind(job).step();
}

std::vector<JobRow> Store::jobs() const {
  const std::lock_guard lock(mutex_);
  Statement s(db_, with(kJobColumns, "ORDER BY name"));
  std::vector<JobRow> rows;
  while (s.step()) rows.push_back(read_job(s));
  return rows;
}

std::optional<JobRow> Store::job(const std::string& name) const {
  const std::lock_guard lock(mutex_);
  Statement s(db_, with(kJobColumns, "WHERE name=?"));
  if (!s.bind(name).step()) return std::nullopt;
  return read_job(s);
}

Version Store::version(const std::string& job, std::int64_t number) const {
  const std::lock_guard lock(mutex_);
  Statement s(db_, with(kVersionColumns, "WHERE job=? AND number=?"));
  if (!s.bind(job).bind(number).step())
    throw Error(ErrorCode::kRefused,
                "the job has no version " + std::to_string(number) + ": " + job);
  return read_version(s);
}

std::vector<Version> Store::versions(const std::string& job) const {
  const std::lock_guard lock(mutex_);
  Statement s(db_, with(kVersionColumns, "WHERE job=? ORDER BY number DESC"));
  s.bind(job);
  std::vector<Version> rows;
  while (s.step()) rows.push_back(read_version(s));
  return rows;
}

void Store::set_desired(const std::string& job, bool running) {
  const std::lock_guard lock(mutex_);
  Statement(db_, "UPDATE jobs SET desired_running=? WHERE name=?")
      .bind(std::int64_t{running})
      .bind(job)
      .step();
}

void Store::set_version(const std::string& job, std::int64_t number) {
  const std::lock_guard lock(mutex_);
  Statement(db_, "UPDATE jobs SET version=? WHERE name=?").bind(number).bind(job).step();
}

void Store::set_replaced_run(const std::string& job, std::int64_t run) {
  const std::lock_guard lock(mutex_);
  Statement(db_, "UPDATE jobs SET replaced_run=? WHERE name=?").bind(run).bind(job).step();
}

void Store::set_once(const std::string& job, const std::vector<std::string>& args,
                     const std::string& after) {
  const std::lock_guard lock(mutex_);
  Statement(db_, "UPDATE jobs SET once_args=?, once_after=? WHERE name=?")
      .bind(print_texts(args))
      .bind(after)
      .bind(job)
      .step();
}

std::int64_t Store::begin_run(const Run& run) {
  const std::lock_guard lock(mutex_);
  Statement(db_, "INSERT INTO runs VALUES(NULL,?,?,?,0,0,'',?,NULL,NULL,NULL,'')")
      .bind(run.job)
      .bind(run.version)
      .bind(run.started_ms)
      .bind(run.newest_before)
      .step();
  return sqlite3_last_insert_rowid(db_);
}

void Store::set_process(std::int64_t run, std::int64_t pid, std::int64_t start_ticks,
                        const std::string& boot_id) {
  const std::lock_guard lock(mutex_);
  Statement(db_, "UPDATE runs SET pid=?, start_ticks=?, boot_id=? WHERE id=?")
      .bind(pid)
      .bind(start_ticks)
      .bind(boot_id)
      .bind(run)
      .step();
}

void Store::end_run(const Run& run) {
  const std::lock_guard lock(mutex_);
  Statement(db_, "UPDATE runs SET ended_ms=?, exit=?, signal=?, reason=? WHERE id=?")
      .bind(run.ended_ms)
      .bind(run.exit)
      .bind(run.signal)
      .bind(run.reason)
      .bind(run.id)
      .step();
}

std::vector<Run> Store::open_runs() const {
  const std::lock_guard lock(mutex_);
  Statement s(db_, with(kRunColumns, "WHERE ended_ms IS NULL ORDER BY id"));
  std::vector<Run> rows;
  while (s.step()) rows.push_back(read_run(s));
  return rows;
}

std::vector<Run> Store::runs(const std::string& job, std::int64_t limit) const {
  const std::lock_guard lock(mutex_);
  Statement s(db_, with(kRunColumns, "WHERE job=? ORDER BY id DESC LIMIT ?"));
  s.bind(job).bind(limit);
  std::vector<Run> rows;
  while (s.step()) rows.push_back(read_run(s));
  return rows;
}

void Store::add_token(const std::string& name, Role role, const std::string& token,
                      std::int64_t at_ms) {
  const std::lock_guard lock(mutex_);
  Statement(db_, "INSERT INTO tokens VALUES(?,?,?,?)")
      .bind(name)
      .bind(name_of(role))
      .bind(sha256_hex(token))
      .bind(at_ms)
      .step();
}

bool Store::remove_token(const std::string& name) {
  const std::lock_guard lock(mutex_);
  Statement(db_, "DELETE FROM tokens WHERE name=?").bind(name).step();
  return sqlite3_changes(db_) > 0;
}

std::vector<TokenRow> Store::tokens() const {
  const std::lock_guard lock(mutex_);
  Statement s(db_, "SELECT name, role, created_ms FROM tokens ORDER BY name");
  std::vector<TokenRow> rows;
  while (s.step())
    rows.push_back({s.text(0), parse_role(s.text(1)).value_or(Role::kNone), s.integer(2)});
  return rows;
}

std::optional<TokenRow> Store::find_token(const std::string& token) const {
  const std::string hash = sha256_hex(token);
  const std::lock_guard lock(mutex_);
  Statement s(db_, "SELECT name, role, created_ms, hash FROM tokens");
  std::optional<TokenRow> found;
  while (s.step()) {  // all of them: the time says nothing about any
    if (equal_in_constant_time(hash, s.text(3)))
      found = TokenRow{s.text(0), parse_role(s.text(1)).value_or(Role::kNone), s.integer(2)};
  }
  return found;
}

std::int64_t Store::begin_audit(const AuditRow& row) {
  const std::lock_guard lock(mutex_);
  Statement(db_, "INSERT INTO audit VALUES(NULL,?,?,?,?,?,?,?)")
      .bind(row.at_ms)
      .bind(row.who)
      .bind(row.role)
      .bind(row.peer)
      .bind(row.action)
      .bind(row.details)
      .bind(row.status)
      .step();
  return sqlite3_last_insert_rowid(db_);
}

void Store::end_audit(std::int64_t id, std::int64_t status) {
  const std::lock_guard lock(mutex_);
  Statement(db_, "UPDATE audit SET status=? WHERE id=?").bind(status).bind(id).step();
}

std::vector<AuditRow> Store::audit(std::int64_t before_id, std::int64_t limit) const {
  const std::lock_guard lock(mutex_);
  Statement s(db_,
              "SELECT id, at_ms, who, role, peer, action, details, status FROM audit WHERE id<? "
              "ORDER BY id DESC LIMIT ?");
  s.bind(before_id).bind(limit);
  std::vector<AuditRow> rows;
  while (s.step())
    rows.push_back({s.integer(0), s.integer(1), s.text(2), s.text(3), s.text(4), s.text(5),
                    s.text(6), s.maybe_integer(7)});
  return rows;
}

std::int64_t Store::add_promotion(const PromotionRow& row) {
  const std::lock_guard lock(mutex_);
  Statement(db_, "INSERT INTO promotions VALUES(NULL,?,?,?,?,?,?)")
      .bind(row.job)
      .bind(row.replay)
      .bind(row.phase)
      .bind(row.details)
      .bind(row.created_ms)
      .bind(row.updated_ms)
      .step();
  return sqlite3_last_insert_rowid(db_);
}

void Store::set_promotion(const PromotionRow& row) {
  const std::lock_guard lock(mutex_);
  Statement(db_, "UPDATE promotions SET phase=?, details=?, updated_ms=? WHERE id=?")
      .bind(row.phase)
      .bind(row.details)
      .bind(row.updated_ms)
      .bind(row.id)
      .step();
}

std::vector<PromotionRow> Store::promotions(std::int64_t limit) const {
  const std::lock_guard lock(mutex_);
  Statement s(db_,
              "SELECT id, job, replay, phase, details, created_ms, updated_ms FROM promotions "
              "ORDER BY id DESC LIMIT ?");
  s.bind(limit);
  std::vector<PromotionRow> rows;
  while (s.step())
    rows.push_back(
        {s.integer(0), s.text(1), s.text(2), s.text(3), s.text(4), s.integer(5), s.integer(6)});
  return rows;
}

void Store::add_binary(const BinaryRow& binary) {
  const std::lock_guard lock(mutex_);
  Statement(db_, "INSERT OR IGNORE INTO binaries VALUES(?,?,?,?)")
      .bind(binary.sha256)
      .bind(binary.bytes)
      .bind(binary.uploaded_ms)
      .bind(binary.uploaded_by)
      .step();
}

std::vector<BinaryRow> Store::binaries() const {
  const std::lock_guard lock(mutex_);
  Statement s(db_,
              "SELECT sha256, bytes, uploaded_ms, uploaded_by FROM binaries ORDER BY uploaded_ms "
              "DESC, sha256");
  std::vector<BinaryRow> rows;
  while (s.step()) rows.push_back({s.text(0), s.integer(1), s.integer(2), s.text(3)});
  return rows;
}

}  // namespace tidemill::server
