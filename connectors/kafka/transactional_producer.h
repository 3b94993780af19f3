// One librdkafka producer with one transactional id: at most one open transaction, and every call
// that may block bounded by a deadline of ours (docs/exactly-once.md 1.2).
//
// librdkafka can block for ever. So the transactional calls run on a thread of this object, in
// slices; when one does not return in time the handle is *abandoned* and counted: left to the stuck
// call, because destroying it would hang as well. Whoever makes a new producer with the same id
// fences it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "connectors/kafka/settings.h"
#include "engine/base/error.h"
#include "engine/base/metrics.h"
#include "engine/data/raw_record.h"

namespace tidemill::kafka {

// Let the key decide; a record without one goes to any partition.
constexpr std::int32_t kByKey = -1;

// A record to be produced; its bytes are copied by `produce`.
struct OutputRecord {
  std::size_t topic = 0;  // what add_topic returned
  std::int32_t partition = kByKey;
  std::string_view key = {};
  bool has_key = false;
  std::string_view value = {};
  bool has_value = true;
  std::int64_t timestamp_ms = 0;  // 0: now
  const RecordHeaders* headers = nullptr;
};

enum class ProduceStatus : std::uint8_t {
  kAccepted,
  kQueueFull,  // back-pressure: try again later
  kRefused,    // never will be: see refusal()
};
struct ProduceResult {
  ProduceStatus status = ProduceStatus::kAccepted;
  int error = 0;  // librdkafka's code if refused
};

// A record that the brokers did not take, which fails the transaction it was in.
struct DeliveryFailure {
  std::string topic;
  std::int32_t partition = 0;
  std::size_t bytes = 0;
  int error = 0;
  ErrorCode code = ErrorCode::kIo;
  std::string text;
  friend bool operator==(const DeliveryFailure&, const DeliveryFailure&) = default;
};

class TransactionalProducer {
 public:
  class Calls;  // the handle and the thread that makes its calls

  // Connects to nothing yet. Without a transactional id init, begin and commit degrade to what
  // at-least-once needs: nothing, nothing, and waiting for every acknowledgement.
  TransactionalProducer(const ProducerSettings& settings, MetricRegistry& metrics);
  // Leaves an open transaction to the broker, which aborts it when the id is taken again or times
  // out. Takes at most some seconds.
  ~TransactionalProducer();
  TransactionalProducer(const TransactionalProducer&) = delete;
  TransactionalProducer& operator=(const TransactionalProducer&) = delete;

  // The calls of the transaction: one thread. All throw Error: kFenced if another instance took the
  // id or the transaction timed out, kConfig, kBadData and kRefused as error_code_of says, else
  // kIo. After any of them has thrown only the destructor may follow: the outcome is unknown.
  void init();  // fences every older instance; waits until its last transaction is decided
  void begin();
  void flush();  // waits for every acknowledgement
  void commit();
  void abort();  // a courtesy to readers on a clean stop; nothing relies on it

  // Makes a topic known, with its number of partitions, before the first record. Throws
  // Error(kRefused) if it does not exist. The thread of the transaction's calls; not while others
  // produce. The same name gives the same index.
  std::size_t add_topic(const std::string& name);
  [[nodiscard]] std::int32_t num_partitions(std::size_t topic) const;

  // Any thread, between begin and commit. Never blocks.
  ProduceResult produce(const OutputRecord& record);
  // What to throw for a refused record: topic, partition, size and reason; or why the transaction
  // has failed before. Any thread.
  [[nodiscard]] Error refusal(const OutputRecord& record, ProduceResult result) const;

  // Sends what lingers in batches, on this object's thread: what commit will wait for gets done
  // while a snapshot is written. Any thread; returns at once.
  void flush_soon();

  // True if a request of an earlier transaction may still be under way, because a connection broke
  // or a call was slow since `begin`: such a request could change the next transaction, so this
  // producer must be replaced before one begins (rule R). Any thread.
  [[nodiscard]] bool is_dirty() const;
  // A call did not return and the handle was given up.
  [[nodiscard]] bool is_abandoned() const;
  // The commit was not answered in time: its outcome is unknown.
  [[nodiscard]] bool is_unanswered() const { return is_unanswered_; }
  // Why the last commit failed, if it was because of a record.
  [[nodiscard]] std::optional<DeliveryFailure> delivery_failure() const;
  // Records handed over and not yet acknowledged. Any thread.
  [[nodiscard]] std::size_t in_flight() const;

 private:
  [[nodiscard]] Error failure() const;

  const ProducerSettings settings_;
  const Duration slow_;           // a commit that takes longer may have been repeated
  std::shared_ptr<Calls> calls_;  // shared with the thread that may be stuck in a call
  bool is_unanswered_ = false;
};

}  // namespace tidemill::kafka
