// The partitioner of Kafka's Java client: the same key goes to the same partition whoever writes
// it.
#pragma once

#include <cstdint>
#include <string_view>

namespace tidemill {

// 32-bit MurmurHash2 with the seed that Kafka uses.
std::uint32_t murmur2(std::string_view key);

// Requires: num_partitions > 0.
std::int32_t partition_of(std::string_view key, std::int32_t num_partitions);

}  // namespace tidemill
