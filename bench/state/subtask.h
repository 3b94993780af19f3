// One subtask that owns all key groups of a state, without a job around it.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include <boost/describe.hpp>

#include "engine/base/clock.h"
#include "engine/base/metrics.h"
#include "engine/operator/context.h"
#include "state/backend.h"

namespace tidemill {

// 32 bytes, as of a window's count, sum, min and max.
struct Totals {
  std::int64_t count = 0;
  std::int64_t sum = 0;
  std::int64_t min = 0;
  std::int64_t max = 0;

  void add(std::uint64_t hash) {
    ++count;
    sum += 3;
    min = std::min<std::int64_t>(min, static_cast<std::int64_t>(hash >> 40));
    max = std::max<std::int64_t>(max, static_cast<std::int64_t>(hash >> 40));
  }
  void merge(const Totals& other) {
    count += other.count;
    sum += other.sum;
    min = std::min(min, other.min);
    max = std::max(max, other.max);
  }
};
BOOST_DESCRIBE_STRUCT(Totals, (), (count, sum, min, max))

struct Taken {
  std::filesystem::path folder;
  std::vector<StoredFile> files;
};

class BenchSubtask {
 public:
  explicit BenchSubtask(const char* backend = "memory", std::size_t memory = std::size_t{4} << 30,
                        const Taken& from = {})
      : folder_(std::filesystem::temp_directory_path() /
                ("tidemill-bench-" + std::to_string(std::random_device{}()))),
        backend_(make_backend(backend, {.dir = folder_ / "work", .memory = memory})),
        context_({"op", 0, 1, {0, kDefaultKeyGroups, kDefaultKeyGroups}}, resources_, metrics_,
                 clock_, nullptr) {
    backend_->restore(from.folder, from.files);
    resources_.lend<Backend>(*backend_);
  }
  ~BenchSubtask() {
    backend_.reset();
    std::filesystem::remove_all(folder_);
  }
  BenchSubtask(const BenchSubtask&) = delete;
  BenchSubtask& operator=(const BenchSubtask&) = delete;

  OperatorContext& context() { return context_; }
  Backend& backend() { return *backend_; }
  // Links what has been drained.
  Taken snapshot(CheckpointId id) {
    Taken taken{folder_ / ("checkpoint" + std::to_string(id)), {}};
    std::filesystem::create_directories(taken.folder);
    taken.files = backend_->snapshot(id, taken.folder);
    return taken;
  }

 private:
  std::filesystem::path folder_;
  std::unique_ptr<Backend> backend_;
  Resources resources_;
  MetricRegistry metrics_;
  SystemClock clock_;
  OperatorContext context_;
};

}  // namespace tidemill
