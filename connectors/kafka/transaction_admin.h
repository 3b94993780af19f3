// For a person at night: which partitions an open transaction holds back, and ending the one that
// an instance of the job has left.
//
// librdkafka 2.0.2 cannot ask the brokers for a transaction's state, owner or age
// (DescribeTransactions, ListTransactions). What can be seen is what it does: between a partition's
// last stable offset and its high watermark lie records that read_committed readers do not get.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "connectors/kafka/commit_protocol.h"
#include "connectors/kafka/settings.h"

namespace tidemill::kafka {

struct HeldPartition {
  TopicPartition partition;
  enum class Role { kOutput, kCommitRecord, kInput } role = Role::kOutput;
  std::int64_t last_stable = 0;
  std::int64_t high_watermark = 0;
};

struct TransactionView {
  std::string transactional_id;  // the job's
  Duration timeout{0};           // the brokers abort a transaction that is open for longer
  std::vector<HeldPartition> held;
};

// Topics that do not exist hold nothing. Blocks; throws Error as Admin does.
[[nodiscard]] TransactionView view_transactions(
    const CommitSettings& commit, const std::vector<std::string>& outputs,
    const std::map<std::string, SourceSettings>& sources);

// Takes the job's transactional id: fences whoever has it and aborts the transaction it has open
// (or waits until one that is being committed is); returns when its partitions are free, or after
// ten seconds if somebody else's transaction holds them. Throws Error(kConfig) if the job has no
// transactions.
void abort_transaction(const CommitSettings& commit, const std::vector<std::string>& outputs,
                       MetricRegistry& metrics);

}  // namespace tidemill::kafka
