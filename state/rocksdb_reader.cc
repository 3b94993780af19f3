#include "state/rocksdb_reader.h"

#include <rocksdb/cache.h>
#include <rocksdb/db.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/options.h>
#include <rocksdb/table.h>
#include <string>

#include "engine/base/error.h"
#include "state/rocksdb_merge_internal.h"
#include "state/stored_files.h"
#include "state/work_folder.h"

namespace tidemill {
namespace {

constexpr std::size_t kReaderCache = std::size_t{8} << 20;
constexpr const char* kDatabase = "db";

void must_read(const rocksdb::Status& status) {
  if (status.ok()) return;
  throw Error(
      status.IsCorruption() ? ErrorCode::kCorrupt : ErrorCode::kIo,
      "state of the checkpoint cannot be read; was it removed meanwhile? " + status.ToString());
}

[[noreturn]] void refuse_change() {
  throw Error(ErrorCode::kInternal, "the state of a checkpoint is only read");
}

}  // namespace

struct RocksDbReader::Open {
  explicit Open(const std::filesystem::path& parent) : log_folder(parent) {}

  WorkFolder log_folder;
  std::unique_ptr<rocksdb::DB> db;
};

RocksDbReader::RocksDbReader(const std::filesystem::path& work_folder)
    : Backend(0), open_(std::make_unique<Open>(work_folder)) {}
RocksDbReader::~RocksDbReader() = default;

void RocksDbReader::restore(const std::filesystem::path& folder,
                            const std::vector<StoredFile>& files) {
  std::vector<StoredFile> small;
  for (const StoredFile& file : files) {
    if (std::filesystem::path(file.name).extension() == ".sst") {
      verify_size(folder, file);
    } else {
      small.push_back(file);
    }
  }
  verify_files(folder, small);
  rocksdb::Options options;
  options.max_open_files = -1;  // all of them, now: they may be unlinked later
  options.db_log_dir = open_->log_folder.path().string();  // else one is begun in the database
  options.info_log_level = rocksdb::WARN_LEVEL;
  options.merge_operator = std::make_shared<PartsMerger>();  // knows no type: parts stay parts
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = rocksdb::NewLRUCache(kReaderCache);
  table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
  options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  rocksdb::DB* db = nullptr;
  must_read(rocksdb::DB::OpenForReadOnly(options, (folder / kDatabase).string(), &db));
  open_->db.reset(db);
  load_registry();
}

bool RocksDbReader::get(ByteView key, Bytes& value) const {
  const rocksdb::Status status = open_->db->Get({}, {key.data(), key.size()}, &value);
  if (status.IsNotFound()) return false;
  must_read(status);
  return true;
}

void RocksDbReader::multi_get(std::span<const ByteView> keys, const Found& found) const {
  Bytes value;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    if (get(keys[i], value)) found(i, value);
  }
}

void RocksDbReader::scan(const KeyRange& range, const Visitor& visitor) const {
  const rocksdb::Slice end(range.end.data(), range.end.size());
  rocksdb::ReadOptions read;
  read.fill_cache = false;
  if (!range.end.empty()) read.iterate_upper_bound = &end;
  const std::unique_ptr<rocksdb::Iterator> it(open_->db->NewIterator(read));
  for (it->Seek({range.begin.data(), range.begin.size()}); it->Valid(); it->Next()) {
    if (!visitor({it->key().data(), it->key().size()}, {it->value().data(), it->value().size()}))
      return;
  }
  must_read(it->status());
}

void RocksDbReader::spill(const SortedRun&) { refuse_change(); }
void RocksDbReader::stage(CheckpointId, SortedRun) { refuse_change(); }
std::vector<StoredFile> RocksDbReader::snapshot(CheckpointId, const std::filesystem::path&) {
  refuse_change();
}

}  // namespace tidemill
