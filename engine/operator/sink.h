// Sinks take encoded records, so that a connector never knows the user's type. A sink subtask lives
// on one thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/time.h"
#include "engine/data/raw_record.h"
#include "engine/operator/context.h"
#include "engine/operator/operator.h"
#include "engine/operator/snapshot.h"

namespace tidemill {

// Encoded records in one buffer: no allocation per record in steady state.
class OutputBatch {
 public:
  struct Row {
    std::string_view key;
    bool has_key = false;
    std::string_view value;
    bool is_delete = false;  // no value: a tombstone, a DEL
    EventTime time{};
    const RecordHeaders* headers = nullptr;
    const std::string* topic = nullptr;  // null: the sink's own
  };

  // Append key and value bytes to `buffer()` between begin_row and end_row: first the key, then
  // mark, then the value.
  std::string& buffer() { return bytes_; }
  void begin_row() { current_ = {bytes_.size(), bytes_.size(), 0, false, false, {}, -1, -1}; }
  void end_key() {
    current_.value_at = bytes_.size();
    current_.has_key = true;
  }
  void set_time(EventTime time) { current_.time = time; }
  void set_delete() { current_.is_delete = true; }
  void set_headers(RecordHeaders headers) {
    current_.headers = static_cast<std::int32_t>(headers_.size());
    headers_.push_back(std::make_unique<RecordHeaders>(std::move(headers)));
  }
  void set_topic(std::string topic) {
    current_.topic = static_cast<std::int32_t>(topics_.size());
    topics_.push_back(std::make_unique<std::string>(std::move(topic)));
  }
  // Makes the last row one that deletes: its key stays, its value goes.
  void make_last_delete() {
    Place& last = rows_.back();
    last.is_delete = true;
    last.end = last.value_at;
    bytes_.resize(last.end);
  }
  void end_row() {
    current_.end = bytes_.size();
    rows_.push_back(current_);
  }

  // The number of the checkpoint that will cover these rows.
  [[nodiscard]] CheckpointId epoch() const { return epoch_; }
  void set_epoch(CheckpointId epoch) { epoch_ = epoch; }

  [[nodiscard]] std::size_t size() const { return rows_.size(); }
  [[nodiscard]] std::size_t bytes() const { return bytes_.size(); }
  [[nodiscard]] Row row(std::size_t i) const {
    const Place& p = rows_[i];
    const std::string_view all(bytes_);
    return {all.substr(p.key_at, p.value_at - p.key_at),
            p.has_key,
            all.substr(p.value_at, p.end - p.value_at),
            p.is_delete,
            p.time,
            p.headers < 0 ? nullptr : headers_[static_cast<std::size_t>(p.headers)].get(),
            p.topic < 0 ? nullptr : topics_[static_cast<std::size_t>(p.topic)].get()};
  }
  void clear() {
    bytes_.clear();
    rows_.clear();
    headers_.clear();
    topics_.clear();
  }

 private:
  struct Place {
    std::size_t key_at, value_at, end;
    bool has_key, is_delete;
    EventTime time;
    std::int32_t headers, topic;
  };
  std::string bytes_;
  std::vector<Place> rows_;
  Place current_{};
  CheckpointId epoch_ = 0;
  std::vector<std::unique_ptr<RecordHeaders>> headers_;
  std::vector<std::unique_ptr<std::string>> topics_;
};

// Lent to the operators of an attempt by whoever runs it.
struct AttemptInfo {
  std::string job;
  CheckpointId next_checkpoint = 0;  // the first barrier of the attempt
  std::string id = {};               // no other attempt has it
  // Restored by choice: what later checkpoints have put out is no part of this job's output any
  // more.
  bool is_by_choice = false;
};

// One subtask of a sink. It may attach a Snapshotable in its constructor (ctx.attach): `freeze` is
// the moment the barrier passes, and `drain` returns true only when everything written before the
// barrier is safe (acknowledged, fsynced, in the transaction).
class Sink {
 public:
  virtual ~Sink() = default;

  // Takes the rows; keeps copies of what it needs. Never blocks: buffers, and reports is_full.
  virtual void write(const OutputBatch& batch) = 0;
  // Called between messages, at least once a millisecond: push buffered rows on, take
  // acknowledgements. Throws Error on failure.
  virtual void poll() {}
  [[nodiscard]] virtual bool is_full() const { return false; }
};

using SinkFactory = std::function<std::unique_ptr<Sink>(OperatorContext&)>;

// What a connector gives to the job: how to build its subtasks, and what the coordinator does for
// it around commits.
struct SinkSpec {
  std::string kind;  // for people: "file sink"
  SinkFactory make;
  int parallelism = 0;  // 0: the job's
  // Rows can only be added, not replaced or deleted by their key: streams that revise themselves
  // are refused when the job is planned.
  bool is_append_only = false;
  // As Node::parts.
  std::optional<std::vector<std::string>> parts = {};
  // After the commit of the checkpoint that prepared `prepared`, and again after a restore:
  // idempotent. Coordinator's thread.
  std::function<void(ByteView prepared)> publish = {};
  // Before the tasks of an attempt are built, after `publish`: removes what attempts that never
  // counted left behind.
  std::function<void()> discard_unpublished = {};
};

}  // namespace tidemill
