#include "connectors/memory/memory_rows.h"

#include <utility>

namespace tidemill {
namespace {

class MemorySink final : public Sink, private Snapshotable {
 public:
  MemorySink(OperatorContext& ctx, std::shared_ptr<MemoryRows> rows) : rows_(std::move(rows)) {
    ctx.attach(*this);
  }

  void write(const OutputBatch& batch) override {
    for (std::size_t i = 0; i < batch.size(); ++i) {
      const OutputBatch::Row row = batch.row(i);
      MemoryRow kept{std::string(row.key), std::string(row.value), row.time, row.is_delete};
      open_.push_back(kept);
      rows_->write(std::move(kept));
    }
  }

 private:
  void freeze(CheckpointId) override {
    frozen_ = 0;
    if (!open_.empty()) frozen_ = rows_->prepare(std::exchange(open_, {}));
  }
  bool drain(StageSnapshot& out, std::size_t) override {
    if (frozen_ != 0) append_u64(out.prepared, frozen_);
    return true;
  }

  const std::shared_ptr<MemoryRows> rows_;  // shared with the test, which reads them
  std::vector<MemoryRow> open_;             // since the last barrier
  std::uint64_t frozen_ = 0;
};

}  // namespace

std::vector<MemoryRow> MemoryRows::take_written() {
  const std::lock_guard lock(mutex_);
  return std::exchange(written_, {});
}

std::vector<MemoryRow> MemoryRows::committed() const {
  const std::lock_guard lock(mutex_);
  return committed_;
}

void MemoryRows::write(MemoryRow row) {
  const std::lock_guard lock(mutex_);
  written_.push_back(std::move(row));
}

std::uint64_t MemoryRows::prepare(std::vector<MemoryRow> rows) {
  const std::lock_guard lock(mutex_);
  prepared_[next_name_] = std::move(rows);
  return next_name_++;
}

void MemoryRows::commit(std::uint64_t name) {
  const std::lock_guard lock(mutex_);
  const auto it = prepared_.find(name);
  if (it == prepared_.end()) return;
  committed_.insert(committed_.end(), std::make_move_iterator(it->second.begin()),
                    std::make_move_iterator(it->second.end()));
  prepared_.erase(it);
}

void MemoryRows::discard_prepared() {
  const std::lock_guard lock(mutex_);
  prepared_.clear();
}

SinkSpec memory_sink(std::shared_ptr<MemoryRows> rows) {
  SinkSpec spec;
  spec.kind = "memory sink";
  spec.make = [rows](OperatorContext& ctx) { return std::make_unique<MemorySink>(ctx, rows); };
  spec.publish = [rows](ByteView prepared) {
    ByteReader in(prepared);
    while (!in.empty()) rows->commit(in.u64());
  };
  spec.discard_unpublished = [rows] { rows->discard_prepared(); };
  return spec;
}

}  // namespace tidemill
