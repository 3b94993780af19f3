#include "state/rocksdb_backend.h"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <exception>
#include <map>
#include <mutex>
#include <optional>
#include <rocksdb/cache.h>
#include <rocksdb/convenience.h>
#include <rocksdb/db.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/listener.h>
#include <rocksdb/options.h>
#include <rocksdb/sst_file_writer.h>
#include <rocksdb/table.h>
#include <rocksdb/utilities/checkpoint.h>
#include <thread>
#include <utility>

#include "engine/base/fault.h"
#include "state/give_way.h"
#include "state/rocksdb_merge_internal.h"
#include "state/rocksdb_rows_internal.h"
#include "state/rocksdb_writer_internal.h"
#include "state/stored_files.h"
#include "state/work_folder.h"

namespace tidemill {
namespace {

namespace fs = std::filesystem;
using rocksdb::Slice;
using rocksdb::Status;

constexpr const char* kCheckpointFolder = "db";
constexpr std::size_t kMiB = std::size_t{1} << 20;
constexpr std::size_t kFilesToMerge = 16;
constexpr std::uint64_t kMostTimesOldest = 4;  // 2.5 with what came while all was being merged

void check(const Status& status, const char* what) { check_rocksdb(status, what); }

// Merging is behind when much more lies above the oldest rows than it lets lie there; it is under
// way then.
bool is_merging_behind(rocksdb::DB& db) {
  rocksdb::ColumnFamilyMetaData all;
  db.GetColumnFamilyMetaData(&all);
  const auto& first = all.levels.front();
  if (first.files.size() < kFilesToMerge) return false;
  const std::uint64_t oldest = all.size > first.size || first.files.empty()
                                   ? all.size - first.size
                                   : first.files.back().size;
  return all.size > kMostTimesOldest * oldest;
}

// RocksDB's threads belong to the process and can be reached from their work only.
class CompactionListener final : public rocksdb::EventListener {
 public:
  explicit CompactionListener(MemoryBudget& budget) : budget_(budget) {}
  // One after the other, so that what is told last was seen last.
  void tell_budget(rocksdb::DB& db) {
    const std::lock_guard lock(mutex_);
    budget_.set_behind(error_.ok() && is_merging_behind(db));
  }
  // Throws what has ended merging for good: nobody must wait for it.
  void rethrow_error() const {
    const std::lock_guard lock(mutex_);
    check(error_, "state files cannot be merged");
  }
  void OnCompactionBegin(rocksdb::DB*, const rocksdb::CompactionJobInfo&) override { give_way(); }
  void OnCompactionCompleted(rocksdb::DB* db, const rocksdb::CompactionJobInfo&) override {
    tell_budget(*db);
  }
  void OnFlushBegin(rocksdb::DB*, const rocksdb::FlushJobInfo&) override { give_way(); }
  // Lesser ones, like a full disk, end by themselves.
  void OnBackgroundError(rocksdb::BackgroundErrorReason, Status* error) override {
    if (error->severity() < Status::Severity::kHardError) return;
    const std::lock_guard lock(mutex_);
    error_ = *error;
    budget_.set_behind(false);
  }

 private:
  MemoryBudget& budget_;
  mutable std::mutex mutex_;
  Status error_;
};

rocksdb::Options make_options(std::size_t memory, std::shared_ptr<PartsMerger> merger,
                              std::shared_ptr<CompactionListener> listener) {
  rocksdb::Options options;
  options.create_if_missing = true;
  options.max_open_files =
      -1;  // index and filter blocks stay with the open files, outside the cache
  options.write_buffer_size = kMiB;  // nothing is ever written through the memtable
  options.compression = rocksdb::kLZ4Compression;
  options.max_background_jobs = 3;  // two compactions: small ones do not wait for a large one
  options.bytes_per_sync = kMiB;
  options.compaction_readahead_size = std::size_t{256} << 10;  // else it reads block by block
  options.target_file_size_base = 64 * kMiB;
  // Checkpoints bring small files over the whole range of hashes. Merged into levels, each row is
  // written a dozen times; merged with files of about their size, four or five times.
  options.compaction_style = rocksdb::kCompactionStyleUniversal;
  options.compaction_options_universal.size_ratio = 20;
  options.compaction_options_universal.min_merge_width = 4;
  options.compaction_options_universal.max_size_amplification_percent = 150;
  options.check_flush_compaction_key_order = false;  // hashes each row once more
  options.level0_file_num_compaction_trigger = static_cast<int>(kFilesToMerge);
  // Out of reach: with them in reach CreateCheckpoint and ingestion wait for compactions.
  options.level0_slowdown_writes_trigger = 1 << 20;
  options.level0_stop_writes_trigger = 1 << 20;
  options.soft_pending_compaction_bytes_limit = 0;
  options.hard_pending_compaction_bytes_limit = 0;
  options.merge_operator = std::move(merger);
  options.listeners.push_back(std::move(listener));
  options.stats_dump_period_sec = 0;
  options.stats_persist_period_sec = 0;
  options.keep_log_file_num = 1;
  options.info_log_level = rocksdb::WARN_LEVEL;
  rocksdb::BlockBasedTableOptions table;
  table.format_version = 5;
  table.block_size = std::size_t{4} << 10;  // rows are read one by one, anywhere
  table.data_block_index_type = rocksdb::BlockBasedTableOptions::kDataBlockBinaryAndHash;
  table.checksum = rocksdb::kXXH3;
  table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
  table.block_cache = rocksdb::NewLRUCache(std::max<std::size_t>(memory / 4, 8 * kMiB));
  options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  return options;
}

}  // namespace

// The database and what waits for its checkpoint. Runs of one checkpoint collect in memory; when
// they are many or the checkpoint is taken, a thread of its own turns them into files, so that no
// more than `stage_memory_` (and what comes while it works) is ever held twice.
class RocksDbBackend::Store {
 public:
  Store(const BackendOptions& options, MemoryBudget& budget)
      : budget_(budget),
        merger_(std::make_shared<PartsMerger>()),
        listener_(std::make_shared<CompactionListener>(budget)),
        options_(make_options(options.memory, merger_, listener_)),
        folder_(options.dir),
        stage_memory_(std::clamp(options.memory / 32, kMiB, 16 * kMiB)) {
    fs::create_directory(database_path());
    fs::create_directory(folder_.path() / "ingest");
    writer_ = std::jthread([this](const std::stop_token& stop) { write_staged(stop); });
  }
  ~Store() {
    writer_.request_stop();
    writer_.join();
    budget_.charge(-static_cast<std::int64_t>(unwritten_bytes_ + writing_bytes_));
    view_.reset();
    if (db_) rocksdb::CancelAllBackgroundWork(db_.get(), true);
  }
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  [[nodiscard]] fs::path database_path() const { return folder_.path() / "db"; }

  void open() {
    rocksdb::DB* db = nullptr;
    check(rocksdb::DB::Open(options_, database_path().string(), &db),
          "state database cannot be opened");
    db_.reset(db);
    rows_.emplace(*db_);
  }
  // All that reads are answered from, but of parts.
  [[nodiscard]] const RocksDbRows& rows() const {
    TM_CHECK(rows_.has_value());  // restore() comes first
    return *rows_;
  }
  [[nodiscard]] rocksdb::DB& db() const {
    TM_CHECK(db_ != nullptr);  // restore() comes first
    return *db_;
  }

  void spill(const SortedRun& run) {
    StateFileWriter files(options_, [this] { return next_path(); });
    for (std::size_t i = 0; i < run.size(); ++i) files.add(run.row(i));
    std::vector<std::string> paths = files.take();
    ingest(merge_ranges({&run, 1}), paths);
  }

  void take_parts(StateId state, MergeParts merge) {
    merger_->learn(state, merge);
    const std::lock_guard lock(ingest_mutex_);
    if (!std::exchange(has_parts_, true)) show();
  }
  [[nodiscard]] std::shared_ptr<const View> view() const {
    const std::lock_guard lock(view_mutex_);
    return view_;
  }

  void stage(CheckpointId id, SortedRun run) {
    const std::lock_guard lock(mutex_);
    rethrow_locked();
    Staged& staged = staged_[id];
    unwritten_bytes_ += run.bytes();
    budget_.charge(static_cast<std::int64_t>(run.bytes()));
    staged.runs.push_back(std::move(run));
    if (unwritten_bytes_ > stage_memory_ || id <= completed_) wake_.notify_one();
  }
  [[nodiscard]] bool has_room() const {
    listener_->rethrow_error();
    const std::lock_guard lock(mutex_);
    rethrow_locked();
    return unwritten_bytes_ + writing_bytes_ <= 2 * stage_memory_;
  }

  // Everything staged for checkpoints up to `id` becomes part of the database. If it throws, what
  // did not is still staged.
  void ingest_staged(CheckpointId id) {
    for (;;) {
      std::unique_lock lock(mutex_);
      const auto first = staged_.begin();
      if (first == staged_.end() || first->first > id) return;
      completed_ = first->first;
      wake_.notify_one();
      idle_.wait(lock, [&] { return !is_writing_ && (failure_ || first->second.runs.empty()); });
      if (failure_) {
        completed_ = 0;  // tried again when the next checkpoint is taken
        std::rethrow_exception(std::exchange(failure_, nullptr));
      }
      Staged staged = std::move(staged_.extract(first).mapped());
      lock.unlock();
      try {
        ingest(merge_ranges(staged.ranges), staged.files, completed_ + 1);
      } catch (...) {
        lock.lock();
        Staged& again = staged_[completed_];
        std::ranges::move(staged.files, std::back_inserter(again.files));
        std::ranges::move(staged.ranges, std::back_inserter(again.ranges));
        throw;
      }
    }
  }

  std::map<std::string, StoredFile>
      known_files;  // tables never change; their checksums are computed once. Coordinator's thread.

 private:
  struct Staged {
    std::vector<SortedRun> runs;    // to be written
    std::vector<SortedRun> ranges;  // of the runs that are in files already: emptied of rows
    std::vector<std::string> files;
  };

  [[nodiscard]] std::string next_path() {
    return (folder_.path() / "ingest" / (std::to_string(next_file_++) + ".sst")).string();
  }

  void rethrow_locked() const {
    if (failure_) std::rethrow_exception(failure_);
  }

  // First the deletions of whole ranges, then the files, each file's changes newer than all before.
  // `end`: behind the checkpoint that they complete, if they do.
  // Leaves in `files` those that are not in the database.
  void ingest(const std::vector<KeyRange>& ranges, std::vector<std::string>& files,
              CheckpointId end = 0) {
    listener_->rethrow_error();
    // Who looks at the view meanwhile finds the one before, with what it has.
    const std::lock_guard lock(ingest_mutex_);
    erase_ranges_locked(ranges);
    ingest_locked(files);
    const bool has_come = !std::exchange(files, {}).empty();
    shown_ = std::max(shown_, end);
    if (has_parts_) show();
    if (has_come) listener_->tell_budget(db());
  }
  void ingest_locked(const std::vector<std::string>& files) {
    if (files.empty()) return;
    rocksdb::IngestExternalFileOptions how;
    how.move_files = true;
    how.write_global_seqno = false;
    how.snapshot_consistency = has_parts_;  // the view does not show them
    check(db().IngestExternalFile(files, how), "state files cannot be added to the database");
  }
  void show() {
    auto now = std::make_shared<const RocksDbRows>(*db_, shown_);
    const std::lock_guard lock(view_mutex_);
    view_.swap(now);
  }

  void erase_ranges_locked(const std::vector<KeyRange>& ranges) {
    if (ranges.empty()) return;
    std::vector<Slice> bounds;
    bounds.reserve(ranges.size() * 2);
    std::vector<rocksdb::RangePtr> whole;
    static const Bytes kEnd(16, '\xFF');
    for (const KeyRange& r : ranges) {
      bounds.push_back(slice(r.begin));
      bounds.push_back(slice(r.end.empty() ? kEnd : r.end));
    }
    for (std::size_t i = 0; i < bounds.size(); i += 2)
      whole.emplace_back(&bounds[i], &bounds[i + 1]);
    // Files that lie wholly inside go at once, without a compaction; a range deletion covers the
    // rest, if there is a rest.
    check(rocksdb::DeleteFilesInRanges(&db(), db().DefaultColumnFamily(), whole.data(),
                                       whole.size(), false),
          "state files of a dropped range cannot be removed");
    std::vector<std::size_t> rest;
    for (std::size_t i = 0; i < bounds.size(); i += 2) {
      if (has_rows(bounds[i], bounds[i + 1])) rest.push_back(i);
    }
    if (rest.empty()) return;
    rocksdb::SstFileWriter writer(rocksdb::EnvOptions(), options_);
    const std::string path = next_path();
    check(writer.Open(path), "state file cannot be made");
    for (const std::size_t i : rest)
      check(writer.DeleteRange(bounds[i], bounds[i + 1]), "state file cannot be written");
    check(writer.Finish(), "state file cannot be written");
    ingest_locked({path});
  }

  [[nodiscard]] bool has_rows(const Slice& begin, const Slice& end) const {
    rocksdb::ReadOptions read;
    read.iterate_upper_bound = &end;
    const std::unique_ptr<rocksdb::Iterator> it(db().NewIterator(read));
    it->Seek(begin);
    check(it->status(), "state cannot be read");
    return it->Valid();
  }

  // What to write next: of a checkpoint that is being taken, or else if there is much.
  [[nodiscard]] Staged* next_to_write() {
    if (failure_ || staged_.empty()) return nullptr;
    for (auto& [id, staged] : staged_) {  // an older one may have come while a newer is waited for
      if (id > completed_) break;
      if (!staged.runs.empty()) return &staged;
    }
    if (unwritten_bytes_ <= stage_memory_) return nullptr;
    return &std::ranges::max_element(staged_, {}, [](const auto& s) {
              return s.second.runs.size();
            })->second;
  }

  void write_staged(const std::stop_token& stop) {
    give_way();
    std::unique_lock lock(mutex_);
    for (;;) {
      wake_.wait(lock, stop, [&] { return next_to_write() != nullptr; });
      if (stop.stop_requested()) return;
      Staged& staged = *next_to_write();  // stays while this is writing
      std::vector<SortedRun> runs = std::exchange(staged.runs, {});
      for (const SortedRun& run : runs) writing_bytes_ += run.bytes();
      unwritten_bytes_ -= writing_bytes_;
      is_writing_ = true;
      lock.unlock();
      std::vector<std::string> files;
      std::exception_ptr failure;
      try {
        StateFileWriter writer(options_, [this] { return next_path(); });
        merge_rows(runs, [&](const SortedRun::Row& row) { writer.add(row); });
        files = writer.take();
        for (SortedRun& run : runs) run.clear_rows();
      } catch (...) {
        failure = std::current_exception();
      }
      lock.lock();
      if (failure) {
        failure_ = failure;
        std::ranges::move(runs, std::back_inserter(staged.runs));
        unwritten_bytes_ += writing_bytes_;
      } else {
        std::ranges::move(files, std::back_inserter(staged.files));
        std::ranges::move(runs, std::back_inserter(staged.ranges));
        budget_.charge(-static_cast<std::int64_t>(writing_bytes_));
      }
      writing_bytes_ = 0;
      is_writing_ = false;
      idle_.notify_all();
    }
  }

  MemoryBudget& budget_;  // staged rows count
  const std::shared_ptr<PartsMerger> merger_;
  const std::shared_ptr<CompactionListener> listener_;
  const rocksdb::Options options_;
  WorkFolder folder_;
  const std::size_t stage_memory_;
  std::unique_ptr<rocksdb::DB> db_;
  std::optional<RocksDbRows> rows_;
  std::mutex ingest_mutex_;  // the database and what view_ says of it change together
  bool has_parts_ = false;
  CheckpointId shown_ = 0;  // behind the last checkpoint that is ingested
  mutable std::mutex view_mutex_;
  std::shared_ptr<const RocksDbRows> view_;  // null: no state has parts
  std::atomic<std::uint64_t> next_file_{0};

  mutable std::mutex mutex_;
  std::condition_variable_any wake_;
  std::condition_variable idle_;
  std::map<CheckpointId, Staged> staged_;
  CheckpointId completed_ = 0;  // nothing more is staged for the checkpoints up to here
  std::size_t unwritten_bytes_ = 0;
  std::size_t writing_bytes_ = 0;
  bool is_writing_ = false;
  std::exception_ptr failure_;
  std::jthread writer_;  // last: stops before anything it uses goes
};

RocksDbBackend::RocksDbBackend(const BackendOptions& options)
    : Backend(options.memory / 8 * 5), store_(std::make_unique<Store>(options, budget())) {}
RocksDbBackend::~RocksDbBackend() = default;

bool RocksDbBackend::get(ByteView key, Bytes& value) const {
  return store_->rows().get(key, value);
}
void RocksDbBackend::multi_get(std::span<const ByteView> keys, const Found& found) const {
  store_->rows().multi_get(keys, found);
}
void RocksDbBackend::scan(const KeyRange& range, const Visitor& visitor) const {
  store_->rows().scan(range, visitor);
}
bool RocksDbBackend::take_parts(StateId state, MergeParts merge) {
  store_->take_parts(state, merge);
  return true;
}
std::shared_ptr<const Backend::View> RocksDbBackend::view() const { return store_->view(); }

std::vector<StoreMemory> RocksDbBackend::memory() const {
  using Property = rocksdb::DB::Properties;
  std::vector<StoreMemory> all = {{"block_cache"}, {"filters_and_indexes"}, {"memtables"}};
  store_->db().GetIntProperty(Property::kBlockCacheUsage, &all[0].bytes);
  store_->db().GetIntProperty(Property::kEstimateTableReadersMem, &all[1].bytes);
  store_->db().GetIntProperty(Property::kCurSizeAllMemTables, &all[2].bytes);
  return all;
}
void RocksDbBackend::spill(const SortedRun& run) { store_->spill(run); }
void RocksDbBackend::stage(CheckpointId id, SortedRun run) { store_->stage(id, std::move(run)); }
bool RocksDbBackend::has_stage_room() const { return store_->has_room(); }

std::vector<StoredFile> RocksDbBackend::snapshot(CheckpointId id, const fs::path& folder) {
  if (SortedRun registry = take_registry_changes(); !registry.empty())
    stage(id, std::move(registry));
  TM_CRASH_POINT("state.staged");
  store_->ingest_staged(id);
  TM_CRASH_POINT("state.ingested");

  const fs::path target = folder / kCheckpointFolder;
  rocksdb::Checkpoint* made = nullptr;
  check(rocksdb::Checkpoint::Create(&store_->db(), &made),
        "checkpoint of the state database failed");
  const std::unique_ptr<rocksdb::Checkpoint> checkpoint(made);
  // 0: any other number leaves out what is not flushed when there is no write-ahead log.
  check(checkpoint->CreateCheckpoint(target.string(), 0),
        "checkpoint of the state database failed");
  set_linked(id);
  TM_CRASH_POINT("state.linked");

  std::vector<StoredFile> files;
  std::map<std::string, StoredFile> known;
  for (const auto& entry : fs::directory_iterator(target)) {
    const std::string name =
        std::string(kCheckpointFolder) + "/" + entry.path().filename().string();
    const bool is_table = entry.path().extension() == ".sst";
    const auto it = store_->known_files.find(name);
    if (is_table && it != store_->known_files.end()) {
      files.push_back(it->second);
    } else {
      if (!is_table) sync_file(entry.path());
      files.push_back(stored_file(folder, name));
    }
    if (is_table) known.emplace(name, files.back());
  }
  store_->known_files = std::move(known);
  std::ranges::sort(files, {}, &StoredFile::name);
  sync_folder(target);
  sync_folder(folder);
  return files;
}

void RocksDbBackend::restore(const fs::path& folder, const std::vector<StoredFile>& files) {
  if (!folder.empty()) {
    verify_files(folder, files, 4);
    for (const StoredFile& file : files) {
      const fs::path from = folder / file.name;
      const fs::path to = store_->database_path() / from.filename();
      // Tables never change, so they are linked; what RocksDB may rewrite or rename is copied.
      std::error_code ec;
      if (from.extension() == ".sst") {
        fs::create_hard_link(from, to, ec);
        store_->known_files.emplace(file.name, file);
      }
      if (from.extension() != ".sst" || ec) {
        fs::copy_file(from, to, fs::copy_options::overwrite_existing, ec);
        if (ec)
          throw Error(ErrorCode::kIo,
                      "checkpoint file cannot be copied: " + from.string() + ": " + ec.message());
      }
    }
  }
  store_->open();
  if (!folder.empty()) load_registry();
}

}  // namespace tidemill
