// What an operator or an accident does to topics, for tests.
#pragma once

#include <cstdint>
#include <string>

#include "connectors/kafka/settings.h"

namespace tidemill::kafka {

// All return when the cluster has done it, and throw std::runtime_error when it refuses.
void delete_topic(const ClientSettings& client, const std::string& topic);
void delete_records_before(const ClientSettings& client, const TopicPartition& partition,
                           std::int64_t offset);
void add_partitions(const ClientSettings& client, const std::string& topic, std::int32_t total);

}  // namespace tidemill::kafka
