// The one Kafka transaction that a job's sinks write into and the commit protocol opens and
// commits: lent to the sinks through the job's resources. Outlives the sinks of its attempt.
//
// Epoch n is what lies between barrier n-1 and barrier n; its records belong into the transaction
// that commits checkpoint n. A sink that has passed barrier n may write again only once epoch n+1
// is open: what comes in between is the sink's to keep (docs/exactly-once.md 6.7).
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "connectors/kafka/settings.h"
#include "connectors/kafka/transactional_producer.h"
#include "engine/base/error.h"
#include "engine/base/metrics.h"
#include "engine/data/message.h"

namespace tidemill::kafka {

class Admin;

// What a process remembers over its attempts. Thread-safe.
class CommitHistory {
 public:
  // This record was found after the fence: everything up to it is this process's past.
  void found(const std::string& checkpoint);
  void attempted(const std::string& checkpoint);
  void committed(const std::string& checkpoint);
  // True if the record of that checkpoint is this process's past, or may be.
  [[nodiscard]] bool knows(const std::string& checkpoint) const;
  [[nodiscard]] bool has_committed() const;

  // Counts what happened since the last commit and gives back what is to be thrown instead: the
  // same record refused twice (row M), three transactions fenced (row J) or given up without an
  // answer.
  [[nodiscard]] Error judge(const Error& error, const TransactionalProducer& producer,
                            Duration transaction_timeout);
  // The last attempt ended because somebody took the transactional id.
  [[nodiscard]] bool was_fenced() const;
  void start_attempt();

 private:
  mutable std::mutex mutex_;
  std::string last_;  // committed, as far as is known
  std::string attempted_;
  bool has_committed_ = false;
  std::optional<DeliveryFailure> failure_;
  bool is_judged_ = false;  // in this attempt
  bool was_fenced_ = false;
  int num_fenced_ = 0;
  int num_given_up_ = 0;  // handles abandoned, commits without an answer
};

class Transaction {
 public:
  static constexpr CheckpointId kClosed = ~CheckpointId{0};

  // Audit: one line about a loss that a person has accepted.
  Transaction(const ProducerSettings& settings, MetricRegistry& metrics, CommitHistory& history,
              std::function<void(const std::string&)> audit);
  ~Transaction();

  // --- for sinks ---
  // While no epoch is open. Creates the topic if the settings say so. Throws Error(kRefused) if it
  // does not exist.
  std::size_t add_topic(const std::string& name, const TopicModel& model = {});
  [[nodiscard]] std::int32_t num_partitions(std::size_t topic) const {
    return producer_->num_partitions(topic);
  }
  // True once a sink in this epoch may write.
  [[nodiscard]] bool is_open(CheckpointId epoch) const {
    return epoch_.load(std::memory_order_acquire) == epoch;
  }
  [[nodiscard]] CheckpointId epoch() const { return epoch_.load(std::memory_order_acquire); }
  // Requires: is_open. Any thread.
  ProduceResult produce(const OutputRecord& record) { return producer_->produce(record); }
  // What to throw for a record that was refused.
  [[nodiscard]] Error refusal(const OutputRecord& record, ProduceResult result);
  // Sends what waits for its batch to fill.
  void flush_soon() { producer_->flush_soon(); }
  void note(const std::string& text) const {
    if (!is_rehearsal_) audit_(text);
  }

  // --- for the protocol: one thread ---
  // From now on nothing is made and nothing written: sinks are only built.
  void rehearse() { is_rehearsal_ = true; }
  void init();
  void begin(CheckpointId epoch);
  // Waits until all that was produced is acknowledged.
  void flush();
  void commit(const std::string& checkpoint);
  // Replaces the producer if a request of the committed transaction may still be under way (rule
  // R).
  void recycle_if_dirty();
  // An open transaction would hold readers back until it times out. Best effort.
  void abort_quietly();

 private:
  static void create_topic(Admin& admin, const std::string& name, const TopicModel& model);
  template <class Call>
  void judged(Call call);
  [[nodiscard]] std::unique_ptr<TransactionalProducer> make_producer() const;

  const ProducerSettings settings_;
  const bool is_at_least_once_;
  MetricRegistry& metrics_;
  CommitHistory& history_;
  const std::function<void(const std::string&)> audit_;
  Counter& num_recycles_;
  std::unique_ptr<TransactionalProducer> producer_;  // replaced only while no epoch is open
  std::vector<std::string> topics_;
  std::atomic<CheckpointId> epoch_{kClosed};
  bool is_begun_ = false;
  bool has_failed_ = false;
  bool is_rehearsal_ = false;
};

}  // namespace tidemill::kafka
