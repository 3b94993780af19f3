// The commit protocol of a job without Kafka: the rename that makes a checkpoint exist also commits
// it, and the lock of the checkpoint folder is the only fence.
#pragma once

#include <optional>

#include "engine/checkpoint/commit_protocol.h"
#include "engine/checkpoint/storage.h"

namespace tidemill {

class ManifestCommit final : public CommitProtocol {
 public:
  explicit ManifestCommit(const CheckpointStorage& storage) : storage_(storage) {}

  std::optional<CommitRecord> acquire() override {
    const auto all = storage_.list();
    if (all.empty()) return std::nullopt;
    const auto loaded = storage_.load(all.back().id);
    const Manifest& m = loaded.manifest;
    return CommitRecord{m.job, m.checkpoint, m.seq, m.lineage, loaded.hash, m.sources};
  }
  std::optional<CommitRecord> look() override { return acquire(); }
  void begin(CheckpointId) override {}
  void commit(const CommitRecord&) override {}

 private:
  const CheckpointStorage& storage_;
};

}  // namespace tidemill
