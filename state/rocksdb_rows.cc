#include <array>
#include <string>

#include "state/rocksdb_rows_internal.h"

namespace tidemill {
namespace {
using rocksdb::Slice;
using rocksdb::Status;
constexpr const char* kCannotRead = "state cannot be read";
}  // namespace

void check_rocksdb(const Status& status, const char* what) {
  if (status.ok()) return;
  throw Error(status.IsCorruption() ? ErrorCode::kCorrupt : ErrorCode::kIo,
              std::string(what) + ": " + status.ToString());
}

RocksDbRows::RocksDbRows(rocksdb::DB& db, CheckpointId end) : View(end), db_(db) {
  read_.snapshot = db.GetSnapshot();
}
RocksDbRows::~RocksDbRows() {
  if (read_.snapshot != nullptr) db_.ReleaseSnapshot(read_.snapshot);
}

bool RocksDbRows::get(ByteView key, Bytes& value) const {
  rocksdb::PinnableSlice found;
  const Status status = db_.Get(read_, db_.DefaultColumnFamily(), slice(key), &found);
  if (status.IsNotFound()) return false;
  check_rocksdb(status, kCannotRead);
  value.assign(found.data(), found.size());
  return true;
}

void RocksDbRows::multi_get(std::span<const ByteView> keys, const Found& found) const {
  constexpr std::size_t kPiece = 256;
  std::array<Slice, kPiece> wanted;
  std::array<rocksdb::PinnableSlice, kPiece> values;
  std::array<Status, kPiece> statuses;
  for (std::size_t begin = 0; begin < keys.size(); begin += kPiece) {
    const std::size_t n = std::min(kPiece, keys.size() - begin);
    for (std::size_t i = 0; i < n; ++i) wanted[i] = slice(keys[begin + i]);
    db_.MultiGet(read_, db_.DefaultColumnFamily(), n, wanted.data(), values.data(), statuses.data(),
                 true);
    for (std::size_t i = 0; i < n; ++i) {
      if (!statuses[i].IsNotFound()) {
        check_rocksdb(statuses[i], kCannotRead);
        found(begin + i, view(values[i]));
      }
      values[i].Reset();
    }
  }
}

void RocksDbRows::scan(const KeyRange& range, const Visitor& visitor) const {
  const Slice end = slice(range.end);
  rocksdb::ReadOptions read = read_;
  read.fill_cache = false;
  if (!range.end.empty()) read.iterate_upper_bound = &end;
  const std::unique_ptr<rocksdb::Iterator> it(db_.NewIterator(read));
  for (it->Seek(slice(range.begin)); it->Valid(); it->Next()) {
    if (!visitor(view(it->key()), view(it->value()))) return;
  }
  check_rocksdb(it->status(), kCannotRead);
}

}  // namespace tidemill
