#include "connectors/kafka/transaction_admin.h"

#include <algorithm>
#include <chrono>
#include <thread>

#include "connectors/kafka/admin.h"
#include "connectors/kafka/transactional_producer.h"
#include "engine/base/error.h"

namespace tidemill::kafka {
namespace {

// Markers are written after the coordinator has answered.
constexpr std::chrono::seconds kMarkersCome{10};
constexpr std::chrono::milliseconds kLookAgain{50};

ProducerSettings producer_of(const CommitSettings& commit) {
  const std::string id = commit.job + "." + std::to_string(commit.slot);
  return {.client = commit.client,
          .client_id = id,
          .transactional_id = id,
          .checkpoint_interval = commit.checkpoint_interval,
          .transaction_timeout = commit.transaction_timeout};
}

void add_held(Admin& admin, const std::string& topic, HeldPartition::Role role,
              std::vector<HeldPartition>& held) {
  const auto found = admin.topic(topic);
  if (!found) return;
  std::vector<TopicPartition> partitions;
  for (std::int32_t p = 0; p < found->num_partitions; ++p) partitions.emplace_back(topic, p);
  // In this order: a transaction that ends in between holds nothing.
  const auto ends = admin.offsets(partitions, LogPoint::kHighWatermark);
  const auto stable = admin.offsets(partitions, LogPoint::kLastStable);
  for (const TopicPartition& partition : partitions) {
    if (stable.at(partition) < ends.at(partition))
      held.push_back({partition, role, stable.at(partition), ends.at(partition)});
  }
}

std::vector<HeldPartition> held_outputs(const CommitSettings& commit,
                                        const std::vector<std::string>& outputs) {
  Admin admin(commit.client, commit.job + ".transactions");
  std::vector<HeldPartition> held;
  for (const std::string& topic : outputs)
    add_held(admin, topic, HeldPartition::Role::kOutput, held);
  add_held(admin, commit.job + ".__commits", HeldPartition::Role::kCommitRecord, held);
  return held;
}

}  // namespace

TransactionView view_transactions(const CommitSettings& commit,
                                  const std::vector<std::string>& outputs,
                                  const std::map<std::string, SourceSettings>& sources) {
  const ProducerSettings producer = producer_of(commit);
  TransactionView view{producer.transactional_id, transaction_timeout_of(producer),
                       held_outputs(commit, outputs)};
  for (const auto& [name, source] : sources) {
    Admin admin(source.client, commit.job + ".transactions");
    for (const std::string& topic : source.topics)
      add_held(admin, topic, HeldPartition::Role::kInput, view.held);
  }
  return view;
}

void abort_transaction(const CommitSettings& commit, const std::vector<std::string>& outputs,
                       MetricRegistry& metrics) {
  if (commit.guarantee != Guarantee::kExactlyOnce)
    throw Error(ErrorCode::kConfig,
                "the job delivers at least once: it has no transactions that could be aborted");
  TransactionalProducer(producer_of(commit), metrics).init();
  const auto deadline = std::chrono::steady_clock::now() + kMarkersCome;
  while (!held_outputs(commit, outputs).empty() && std::chrono::steady_clock::now() < deadline)
    std::this_thread::sleep_for(kLookAgain);
}

}  // namespace tidemill::kafka
