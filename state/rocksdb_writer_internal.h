// Writes sorted rows into files that a RocksDB database can take in.
#pragma once

#include <functional>
#include <optional>
#include <rocksdb/options.h>
#include <rocksdb/sst_file_writer.h>
#include <string>
#include <utility>
#include <vector>

#include "state/key_encoding.h"
#include "state/rocksdb_rows_internal.h"
#include "state/sorted_run.h"

namespace tidemill {

// Writes rows that come in key order into as many files as the cuts ask for.
class StateFileWriter {
 public:
  StateFileWriter(const rocksdb::Options& options, std::function<std::string()> next_path)
      : options_(options), next_path_(std::move(next_path)) {}

  void add(const SortedRun::Row& row) {
    if (writer_ && is_cut_before(row.key)) finish();
    if (!writer_) start();
    check_rocksdb(row.is_delete ? writer_->Delete(slice(row.key))
                  : row.is_part ? writer_->Merge(slice(row.key), slice(row.value))
                                : writer_->Put(slice(row.key), slice(row.value)),
                  "state file cannot be written");
    if (namespace_of(row.key) != last_namespace_) {
      num_namespaces_ = is_of_last_state(row.key) ? num_namespaces_ + 1 : 1;
      last_namespace_.assign(namespace_of(row.key));
    }
  }
  // The files, durable.
  std::vector<std::string> take() {
    if (writer_) finish();
    return std::move(paths_);
  }

 private:
  // Files are cut at a state, and at a namespace of a state that has few of them there, once they
  // have this size, so that a dropped namespace is whole files; at any key at the other.
  static constexpr std::uint64_t kCutAtNamespace = std::uint64_t{1} << 20;
  static constexpr std::size_t kFewNamespaces = 16;
  static constexpr std::uint64_t kCutAnywhere = std::uint64_t{64} << 20;

  [[nodiscard]] bool is_cut_before(ByteView key) {
    const std::uint64_t size = writer_->FileSize();
    if (size < kCutAtNamespace) return false;
    return size >= kCutAnywhere || !is_of_last_state(key) ||
           (num_namespaces_ <= kFewNamespaces && namespace_of(key) != last_namespace_);
  }
  [[nodiscard]] bool is_of_last_state(ByteView key) const {
    return state_of(key) == state_of(last_namespace_);
  }
  void start() {
    num_namespaces_ = 0;
    last_namespace_.clear();
    paths_.push_back(next_path_());
    writer_.emplace(rocksdb::EnvOptions(), options_);
    check_rocksdb(writer_->Open(paths_.back()), "state file cannot be made");
  }
  void finish() {
    check_rocksdb(writer_->Finish(), "state file cannot be written");
    writer_.reset();
  }

  const rocksdb::Options& options_;
  std::function<std::string()> next_path_;
  std::optional<rocksdb::SstFileWriter> writer_;
  std::vector<std::string> paths_;
  std::size_t num_namespaces_ = 0;  // of the last row's state, in the file being written
  Bytes last_namespace_;
};

}  // namespace tidemill
