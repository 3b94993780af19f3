#include "connectors/formats/murmur2.h"

#include <cstdint>
#include <gtest/gtest.h>
#include <string>
#include <string_view>

namespace tidemill {
namespace {

struct Vector {
  std::string_view key;
  std::int32_t hash;  // as Java's int
};

// Computed by Utils.murmur2 of Kafka's Java client, 4.3.1.
constexpr Vector kVectors[] = {
    {"21", -973932308},
    {"foobar", -790332482},
    {"a-little-bit-long-string", -985981536},
    {"a-little-bit-longer-string", -1486304829},
    {"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971},
    {"abc", 479470107},
};

TEST(Murmur2, HashesAsKafkasJavaClientDoes) {
  for (const Vector& v : kVectors) {
    EXPECT_EQ(static_cast<std::int32_t>(murmur2(v.key)), v.hash) << v.key;
  }
}

TEST(Murmur2, TakesEmptyKeysAndEveryTailLength) {
  EXPECT_EQ(static_cast<std::int32_t>(murmur2("")), 275646681);
  std::string key;
  std::uint32_t before = murmur2(key);
  for (int i = 0; i < 9; ++i) {
    key += '\xff';
    const std::uint32_t hash = murmur2(key);
    EXPECT_NE(hash, before);
    before = hash;
  }
}

TEST(Murmur2, MapsHashesWithTheSignBitIntoTheTopic) {
  // toPositive(murmur2("21")) % 7 in Java.
  EXPECT_EQ(partition_of("21", 7), ((-973932308) & 0x7fffffff) % 7);
  for (int i = 0; i < 1000; ++i) {
    const std::int32_t partition = partition_of("user-" + std::to_string(i), 3);
    EXPECT_GE(partition, 0);
    EXPECT_LT(partition, 3);
  }
}

}  // namespace
}  // namespace tidemill
