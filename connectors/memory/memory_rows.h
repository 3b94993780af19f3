// A sink that keeps its rows in memory, exactly once: what was written is visible as such, what is
// committed is what a consumer of committed rows would have seen.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "engine/operator/sink.h"

namespace tidemill {

struct MemoryRow {
  std::string key;
  std::string value;
  EventTime time{};
  bool is_delete = false;

  friend bool operator==(const MemoryRow&, const MemoryRow&) = default;
};

// Thread-safe; outlives the jobs that write to it. Belongs to one sink of a job.
class MemoryRows {
 public:
  // Everything written since the last call, committed or not, attempts that failed included.
  std::vector<MemoryRow> take_written();
  // The rows of committed checkpoints, in the order of the commits.
  [[nodiscard]] std::vector<MemoryRow> committed() const;

  // For the sink's subtasks.
  void write(MemoryRow row);
  // Keeps rows until the checkpoint they belong to is committed; returns the name to commit them
  // by.
  std::uint64_t prepare(std::vector<MemoryRow> rows);
  // Nothing happens if they have been committed before.
  void commit(std::uint64_t name);
  void discard_prepared();

 private:
  mutable std::mutex mutex_;
  std::vector<MemoryRow> written_;
  std::vector<MemoryRow> committed_;
  std::map<std::uint64_t, std::vector<MemoryRow>> prepared_;
  std::uint64_t next_name_ = 1;
};

SinkSpec memory_sink(std::shared_ptr<MemoryRows> rows);

}  // namespace tidemill
