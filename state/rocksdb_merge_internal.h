// How RocksDB puts the parts of a value together (parts.h).
#pragma once

#include <rocksdb/merge_operator.h>
#include <shared_mutex>
#include <string>
#include <vector>

#include "state/key_encoding.h"
#include "state/parts.h"

namespace tidemill {

// Thread-safe. What it does not know the type of it keeps as the parts it has got: then the next
// who knows merges them, be it a compaction or a reader.
class PartsMerger final : public rocksdb::MergeOperator {
 public:
  void learn(StateId state, MergeParts merges);

  bool FullMergeV2(const MergeOperationInput& in, MergeOperationOutput* out) const override;
  bool PartialMergeMulti(const rocksdb::Slice& key, const std::deque<rocksdb::Slice>& operands,
                         std::string* out, rocksdb::Logger* /*log*/) const override;
  [[nodiscard]] const char* Name() const override { return "tidemill.parts.1"; }

 private:
  [[nodiscard]] bool merge_all(const rocksdb::Slice& key, std::span<const ByteView> parts,
                               std::string& out) const;

  mutable std::shared_mutex mutex_;
  std::vector<MergeParts> merges_;  // by state; null: not known
};

}  // namespace tidemill
