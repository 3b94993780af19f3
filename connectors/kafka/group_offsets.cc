#include "connectors/kafka/group_offsets.h"

#include <algorithm>
#include <set>
#include <utility>

#include "engine/base/error.h"
#include "engine/base/log.h"
#include "engine/checkpoint/refusal.h"

namespace tidemill::kafka {
namespace {

constexpr Duration kTimeout = 5s;
constexpr Duration kLastWrite = 2s;

std::string metadata_of(const CommitRecord& record) {
  return record.lineage + " " + std::to_string(record.seq);
}

// The number in metadata of this lineage.
std::optional<CheckpointId> seq_of(const std::string& metadata, const std::string& lineage) {
  const std::string prefix = lineage + " ";
  if (lineage.empty() || metadata.rfind(prefix, 0) != 0) return std::nullopt;
  const std::string digits = metadata.substr(prefix.size());
  if (digits.empty() || digits.size() > 18 ||
      digits.find_first_not_of("0123456789") != digits.npos) {
    return std::nullopt;
  }
  return std::stoull(digits);
}

}  // namespace

GroupOffsets::GroupOffsets(const std::string& group,
                           const std::map<std::string, ClientSettings>& sources)
    : group_(group) {
  for (const auto& [name, client] : sources) {
    Cluster& cluster = clusters_[client.brokers];
    if (!cluster.admin) {
      cluster.admin = std::make_unique<Admin>(client, group + ".group", kTimeout);
    }
    cluster.sources.push_back(name);
  }
}

GroupOffsets::~GroupOffsets() {
  for (auto& [brokers, cluster] : clusters_) cluster.admin->finish_group_offsets(kLastWrite);
}

GroupOffsets::Offsets GroupOffsets::offsets_of(const Cluster& cluster, const CommitRecord& record) {
  Offsets offsets;
  for (const SourcePositions& source : record.positions) {
    const auto& names = cluster.sources;
    if (std::find(names.begin(), names.end(), source.source) == names.end()) continue;
    for (const SplitPosition& split : source.splits) {
      for (const TopicPartition& partition : parse_partitions(split.split)) {
        offsets[partition] = split.offset;
      }
    }
  }
  return offsets;
}

void GroupOffsets::check(const std::optional<CommitRecord>& record) {
  for (auto& [brokers, cluster] : clusters_) {
    try {
      check_state(cluster);
      if (record) check_offsets(cluster, *record);
    } catch (const Error& e) {
      if (e.code() == ErrorCode::kRefused) throw;
      log(LogLevel::kWarn,
          "kafka: the offsets of group " + group_ + " cannot be compared: " + e.what());
    }
  }
}

void GroupOffsets::check_state(Cluster& cluster) {
  const std::string state = cluster.admin->group_state(group_);
  if (state != "Empty" && state != "Dead" && state != "Unknown") {
    log(LogLevel::kWarn, "kafka: somebody consumes in group " + group_ + " (state " + state +
                             "): lag tools will show their offsets as well; this job does not "
                             "depend on the group");
  }
}

void GroupOffsets::check_offsets(Cluster& cluster, const CommitRecord& record) {
  const Offsets ours = offsets_of(cluster, record);
  std::vector<TopicPartition> partitions;
  for (const auto& [partition, offset] : ours) partitions.push_back(partition);
  std::set<std::string> foreign;
  for (const auto& [partition, found] : cluster.admin->group_offsets(group_, partitions)) {
    const std::int64_t recorded = ours.at(partition);
    const auto seq = seq_of(found.metadata, record.lineage);
    if (!seq) {
      if (found.offset > recorded) foreign.insert(to_string(partition));
      continue;
    }
    if (*seq <= record.seq && found.offset <= recorded) continue;
    throw RefusedStart(
        {"commit_record_outdated", "D", "bring the control topic back as it was", {}, true},
        "the commit record is older than what this job has committed: it names checkpoint " +
            record.checkpoint + ", offset " + std::to_string(recorded) + " of " +
            to_string(partition) + ", but the group has offset " + std::to_string(found.offset) +
            " of checkpoint " + std::to_string(*seq) +
            ": somebody reset, edited or lost the control topic, or the group's offsets; "
            "check the outputs, then go on with --restore ID --accept-duplicates, which "
            "starts a new lineage");
  }
  if (foreign.empty()) return;
  log(LogLevel::kWarn, "kafka: offsets in group " + group_ +
                           " are not this job's and lie ahead of "
                           "it, e.g. of " +
                           *foreign.begin() + ": lag tools will be wrong until the next commit");
}

void GroupOffsets::publish(const CommitRecord& record) {
  const std::string metadata = metadata_of(record);
  for (auto& [brokers, cluster] : clusters_) {
    std::map<TopicPartition, GroupOffset> offsets;
    for (const auto& [partition, offset] : offsets_of(cluster, record)) {
      offsets[partition] = {offset, metadata};
    }
    cluster.admin->set_group_offsets(group_, offsets);
  }
}

}  // namespace tidemill::kafka
