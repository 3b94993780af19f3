#include <mutex>

#include "state/rocksdb_merge_internal.h"
#include "state/rocksdb_rows_internal.h"

namespace tidemill {

void PartsMerger::learn(StateId state, MergeParts merges) {
  const std::unique_lock lock(mutex_);
  if (merges_.size() <= state) merges_.resize(state + 1U);
  merges_[state] = merges;
}

bool PartsMerger::FullMergeV2(const MergeOperationInput& in, MergeOperationOutput* out) const {
  if (in.existing_value == nullptr && in.operand_list.size() == 1) {
    out->existing_operand = in.operand_list.front();
    return true;
  }
  std::vector<ByteView> parts;
  parts.reserve(in.operand_list.size() + 1);
  if (in.existing_value != nullptr) parts.push_back(view(*in.existing_value));
  for (const rocksdb::Slice& part : in.operand_list) parts.push_back(view(part));
  return merge_all(in.key, parts, out->new_value);
}

bool PartsMerger::PartialMergeMulti(const rocksdb::Slice& key,
                                    const std::deque<rocksdb::Slice>& operands, std::string* out,
                                    rocksdb::Logger* /*log*/) const {
  std::vector<ByteView> parts;
  parts.reserve(operands.size());
  for (const rocksdb::Slice& part : operands) parts.push_back(view(part));
  return merge_all(key, parts, *out);
}

bool PartsMerger::merge_all(const rocksdb::Slice& key, std::span<const ByteView> parts,
                            std::string& out) const {
  out.clear();
  MergeParts merge_known = nullptr;
  {
    const std::shared_lock lock(mutex_);
    const StateId state = state_id_of(view(key));
    if (state < merges_.size()) merge_known = merges_[state];
  }
  try {
    if (merge_known != nullptr) {
      merge_known(parts, out);
    } else {
      for (const ByteView part : parts) append_part(out, part);
    }
    return true;
  } catch (const std::exception&) {
    // Rows of a type that the state had before, under newer ones that were converted: nobody reads
    // them, and a compaction that failed would end the database. What is damaged is found by
    // whoever reads it.
    out.clear();
    for (const ByteView part : parts) append_part(out, part);
    return true;
  }
}

}  // namespace tidemill
