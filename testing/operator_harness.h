// Tests one operator without a job: push records and watermarks, look at what comes out. Stages,
// state and checkpoints are the real ones.
//
//   OperatorHarness::run(
//       [](OperatorContext& ctx) { return std::make_unique<ImpossibleTravel>(ctx, 1h); },
//       [](OperatorHarness& h) {
//         SCOPED_TRACE(h.mode());
//         h.push<Payment>({{{"card", "DE"}, EventTime{0}}, {{"card", "FR"}, EventTime{1}}});
//         EXPECT_EQ(h.drain<Alert>().size(), 1);
//       });
//
// `run` calls the test several times: straight through, then with the operator restarted from its
// snapshot between every two steps, over each state backend. A member that is neither state, nor an
// output, nor derived from them shows.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/clock.h"
#include "engine/base/metrics.h"
#include "engine/data/batch.h"
#include "engine/data/message.h"
#include "engine/operator/context.h"
#include "engine/operator/operator.h"
#include "engine/runtime/stage.h"
#include "state/backend.h"

namespace tidemill::testing {

struct HarnessOptions {
  std::string backend = "memory";
  bool restarts = false;  // before every step but the first, and whenever a firing yields
  int parallelism = 1;    // more than one: batches must carry hashes
  std::uint32_t key_groups = kDefaultKeyGroups;
  std::size_t memory = std::size_t{256} << 20;  // what the state's tables and caches may hold
};

// One thread. Each verb is a step: everything it causes, resumed work included, has happened when
// it returns.
class OperatorHarness {
 public:
  using Make = std::function<std::unique_ptr<Operator>(OperatorContext&)>;

  static void run(const Make& make, const std::function<void(OperatorHarness&)>& test);

  OperatorHarness(Make make, HarnessOptions options);
  ~OperatorHarness();
  OperatorHarness(const OperatorHarness&) = delete;
  OperatorHarness& operator=(const OperatorHarness&) = delete;

  // What is being done differently, for SCOPED_TRACE.
  [[nodiscard]] std::string mode() const;

  template <class T>
  void push(Batch<T> batch, int input = 0) {
    begin_step();
    std::vector<std::unique_ptr<Batch<T>>> parts;
    for (std::size_t s = 0; s < stages_.size(); ++s) parts.push_back(std::make_unique<Batch<T>>());
    for (std::size_t i = 0; i < batch.size(); ++i) {
      Record<T>& record = batch[i];
      if (batch.is_hashed()) {
        parts[subtask_of_hash(batch.hash(i))]->append_hashed(std::move(record.value), record.time,
                                                             batch.hash(i));
      } else {
        TM_CHECK(stages_.size() == 1);
        parts[0]->append(std::move(record.value), record.time);
      }
    }
    for (std::size_t s = 0; s < stages_.size(); ++s) {
      if (!parts[s]->empty()) stages_[s]->on_batch(input, std::move(parts[s]));
    }
  }
  template <class T>
  void push(std::initializer_list<Record<T>> records, int input = 0) {
    Batch<T> batch;
    for (const Record<T>& record : records) batch.append(record.value, record.time);
    push(std::move(batch), input);
  }

  void watermark(EventTime time);
  // The watermark arrives, but the operator is not called again if it yields: other steps may come
  // in between.
  void begin_watermark(EventTime time);
  // Finishes what begin_watermark left. True if there was something.
  bool finish_watermark();
  void idle();
  void active();
  void end();
  // Processing time moves on, and the operator gets its tick.
  void advance(Duration by);
  // Takes a checkpoint, throws everything away and starts from it.
  void restart(int parallelism = 0);

  // The records that port `port` has given out since the last call.
  template <class T>
  std::vector<Record<T>> drain(std::size_t port = 0) {
    std::vector<Record<T>> records;
    for (AnyBatch& any : take_batches(port)) {
      for (Record<T>& record : static_cast<Batch<T>&>(*any)) records.push_back(std::move(record));
    }
    return records;
  }
  // The watermark the operator has forwarded.
  [[nodiscard]] EventTime forwarded() const;
  // What the state's tables hold in memory.
  [[nodiscard]] std::size_t memory_used() const { return backend_->budget().used(); }
  // A counter of the operator, over all subtasks.
  [[nodiscard]] std::uint64_t count(const std::string& counter) const;
  [[nodiscard]] const MetricRegistry& metrics() const { return metrics_; }
  // Keyed state of the former program that this one has not asked for: a job would be refused until
  // --drop-state.
  [[nodiscard]] std::vector<std::string> unused_states() const;

 private:
  class Collector;

  void begin_step();
  void build(const RestoredOperator* restored);
  void signal(const Signal& signal);
  void settle();
  [[nodiscard]] bool has_work() const;
  [[nodiscard]] std::size_t subtask_of_hash(std::uint64_t hash) const;
  std::vector<AnyBatch> take_batches(std::size_t port);

  const Make make_;
  HarnessOptions options_;
  const std::filesystem::path folder_;
  ManualClock clock_;
  MetricRegistry metrics_;
  std::vector<std::unique_ptr<Collector>> ports_;
  std::unique_ptr<Backend> backend_;
  Resources resources_;
  RestoredOperator restored_;
  std::vector<std::unique_ptr<Stage>> stages_;
  CheckpointId checkpoint_ = 0;
  bool has_started_ = false;
  bool has_ended_ = false;
};

}  // namespace tidemill::testing
