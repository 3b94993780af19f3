// One attempt of one operator over a backend, without a runtime: builds contexts, takes
// checkpoints, restores with another parallelism.
#pragma once

#include <filesystem>
#include <memory>
#include <random>
#include <string>
#include <unistd.h>
#include <utility>
#include <vector>

#include "engine/base/clock.h"
#include "engine/base/metrics.h"
#include "engine/operator/context.h"
#include "state/backend.h"

namespace tidemill::testing {

// A folder of its own, removed at the end; in memory where the system has such a place, since
// nothing here survives a power loss anyway and fsync on a shared disk would take most of the time.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::random_device random;
    const std::filesystem::path memory = "/dev/shm";
    const auto parent =
        ::access(memory.c_str(), W_OK) == 0 ? memory : std::filesystem::temp_directory_path();
    path_ = parent / ("tidemill-state-" + std::to_string(random()) + std::to_string(random()));
    std::filesystem::create_directories(path_);
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

// What a completed checkpoint consists of, here.
struct TakenCheckpoint {
  CheckpointId id = 0;
  std::filesystem::path folder;
  std::vector<StoredFile> files;
  RestoredOperator parts;
};

// Subtasks of one operator on one thread. `Op` is built from an OperatorContext&.
template <class Op>
class Attempt {
 public:
  Attempt(std::unique_ptr<Backend> backend, int parallelism, std::uint32_t groups,
          const TakenCheckpoint* from)
      : backend_(std::move(backend)) {
    if (from != nullptr) {
      backend_->restore(from->folder, from->files);
      restored_ = from->parts;
    } else {
      backend_->restore({}, {});
    }
    resources_.lend<Backend>(*backend_);
    for (int s = 0; s < parallelism; ++s) {
      contexts_.push_back(std::make_unique<OperatorContext>(
          OperatorContext::Place{"op", s, parallelism, key_groups_of(s, parallelism, groups)},
          resources_, metrics_, clock_, from == nullptr ? nullptr : &restored_));
      ops_.push_back(std::make_unique<Op>(*contexts_.back()));
    }
    snapshots_.resize(ops_.size());
    is_drained_.resize(ops_.size(), true);
  }

  Op& op(std::size_t subtask) { return *ops_[subtask]; }
  Op& op_of(std::uint64_t hash) {
    return *ops_[static_cast<std::size_t>(
        subtask_of(key_group_of(hash, groups()), groups(), static_cast<int>(ops_.size())))];
  }
  [[nodiscard]] std::size_t size() const { return ops_.size(); }
  [[nodiscard]] std::uint32_t groups() const { return contexts_.front()->key_groups().groups; }
  [[nodiscard]] KeyGroupRange groups_of(std::size_t subtask) const {
    return contexts_[subtask]->key_groups();
  }
  Backend& backend() { return *backend_; }
  [[nodiscard]] const std::vector<Snapshotable*>& parts_of(std::size_t subtask) const {
    return contexts_[subtask]->snapshotables();
  }

  // The barrier passes one subtask.
  void freeze(std::size_t subtask, CheckpointId id) {
    for (Snapshotable* s : contexts_[subtask]->snapshotables()) s->freeze(id);
    snapshots_[subtask] = {};
    is_drained_[subtask] = false;
    next_part_.resize(ops_.size(), 0);
    next_part_[subtask] = 0;
  }
  // One step of copying out; true once the subtask has nothing left.
  bool drain(std::size_t subtask, std::size_t max_entries) {
    if (is_drained_[subtask]) return true;
    const auto& parts = contexts_[subtask]->snapshotables();
    if (next_part_[subtask] < parts.size() &&
        parts[next_part_[subtask]]->drain(snapshots_[subtask], max_entries))
      ++next_part_[subtask];
    is_drained_[subtask] = next_part_[subtask] == parts.size();
    return is_drained_[subtask];
  }
  // What the coordinator does once all subtasks are drained.
  TakenCheckpoint finish(CheckpointId id, const std::filesystem::path& folder) {
    TakenCheckpoint taken{id, folder, {}, {}};
    std::filesystem::create_directories(folder);
    taken.files = backend_->snapshot(id, folder);
    for (std::size_t s = 0; s < ops_.size(); ++s) {
      taken.parts.subtasks.push_back({snapshots_[s].parts, snapshots_[s].positions});
      for (Snapshotable* part : contexts_[s]->snapshotables()) part->on_linked(id);
    }
    return taken;
  }
  TakenCheckpoint checkpoint(CheckpointId id, const std::filesystem::path& folder) {
    for (std::size_t s = 0; s < ops_.size(); ++s) freeze(s, id);
    for (std::size_t s = 0; s < ops_.size(); ++s) {
      while (!drain(s, 100)) {
      }
    }
    return finish(id, folder);
  }

 private:
  std::unique_ptr<Backend> backend_;
  RestoredOperator restored_;
  Resources resources_;
  MetricRegistry metrics_;
  ManualClock clock_;
  std::vector<std::unique_ptr<OperatorContext>> contexts_;
  std::vector<std::unique_ptr<Op>> ops_;
  std::vector<StageSnapshot> snapshots_;
  std::vector<bool> is_drained_;
  std::vector<std::size_t> next_part_;
};

}  // namespace tidemill::testing
