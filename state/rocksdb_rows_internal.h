// Reading rows of a RocksDB database, as it is or as it was when a snapshot was taken.
#pragma once

#include <rocksdb/db.h>
#include <rocksdb/slice.h>
#include <rocksdb/status.h>

#include "engine/base/error.h"
#include "state/backend.h"

namespace tidemill {

inline rocksdb::Slice slice(ByteView bytes) { return {bytes.data(), bytes.size()}; }
inline ByteView view(const rocksdb::Slice& bytes) { return {bytes.data(), bytes.size()}; }

// Throws Error(kIo), Error(kCorrupt).
void check_rocksdb(const rocksdb::Status& status, const char* what);

// Thread-safe.
class RocksDbRows final : public Backend::View {
 public:
  // As the database is.
  explicit RocksDbRows(rocksdb::DB& db) : View(0), db_(db) {}
  // As it is now. `end`: behind the last checkpoint whose staged parts are in it.
  RocksDbRows(rocksdb::DB& db, CheckpointId end);
  ~RocksDbRows() override;
  RocksDbRows(const RocksDbRows&) = delete;
  RocksDbRows& operator=(const RocksDbRows&) = delete;

  [[nodiscard]] bool get(ByteView key, Bytes& value) const override;
  void multi_get(std::span<const ByteView> keys, const Found& found) const override;
  void scan(const KeyRange& range, const Visitor& visitor) const override;

 private:
  rocksdb::DB& db_;
  rocksdb::ReadOptions read_;
};

}  // namespace tidemill
