// Sorting by event time.
#include "operators/event_time_sort.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "testing/operator_harness.h"

namespace tidemill {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using testing::OperatorHarness;

using Event = std::string;
struct KeyOf {
  std::string operator()(const Event& event) const { return event.substr(0, 1); }
};

OperatorHarness::Make sorting(std::size_t budget) {
  return [budget](OperatorContext& ctx) {
    return std::make_unique<EventTimeSort<Event, KeyOf>>(ctx, KeyOf{}, budget);
  };
}
std::vector<std::string> rows(OperatorHarness& h, std::size_t port = 0) {
  std::vector<std::string> all;
  for (const Record<Event>& r : h.drain<Event>(port))
    all.push_back(r.value + "@" + std::to_string(r.time.ms));
  return all;
}

TEST(EventTimeSort, GivesOutInOrderWhatHasPassed) {
  for (const std::size_t budget : std::vector<std::size_t>{1, 1000}) {
    OperatorHarness::run(sorting(budget), [](OperatorHarness& h) {
      SCOPED_TRACE(h.mode());
      h.push<Event>({{"ax", {50}}, {"bx", {30}}, {"ay", {40}}, {"cx", {40}}, {"az", {40}}});
      EXPECT_THAT(rows(h), IsEmpty());
      h.watermark({40});
      EXPECT_THAT(rows(h), ElementsAre("bx@30"));
      h.push<Event>({{"late", {39}}, {"aw", {40}}});
      EXPECT_THAT(rows(h, 1), ElementsAre("late@39"));
      EXPECT_EQ(h.count("tidemill_late_records_total"), 1);
      h.watermark({50});
      const auto passed = rows(h);
      EXPECT_EQ(passed.size(), 4);  // of one time: those of one key as they came
      std::vector<std::string> of_a;
      std::copy_if(passed.begin(), passed.end(), std::back_inserter(of_a),
                   [](const std::string& row) { return row[0] == 'a'; });
      EXPECT_THAT(of_a, ElementsAre("ay@40", "az@40", "aw@40"));
      h.end();
      EXPECT_THAT(rows(h), ElementsAre("ax@50"));
    });
  }
}

TEST(EventTimeSort, IsInOrderOverAllKeys) {
  OperatorHarness h(sorting(100), {.backend = "rocksdb", .restarts = true});
  std::mt19937 random(3);
  Batch<Event> batch;
  for (int i = 0; i < 2000; ++i) {
    batch.append(std::string(1, static_cast<char>('a' + random() % 26)),
                 {static_cast<std::int64_t>(random() % 100'000)});
  }
  h.push(std::move(batch));
  std::vector<Record<Event>> all;
  for (int w = 10'000; w <= 100'000; w += 10'000) {
    h.watermark({w});
    for (Record<Event>& r : h.drain<Event>()) all.push_back(std::move(r));
  }
  EXPECT_EQ(all.size(), 2000);
  EXPECT_TRUE(std::is_sorted(all.begin(), all.end(),
                             [](const auto& a, const auto& b) { return a.time < b.time; }));
}

TEST(EventTimeSort, ManyRecordsOfOneKeySpreadWithinItsGroup) {
  for (const std::uint32_t groups : {1U, 3U, 100U, 128U}) {
    for (KeyGroup group = 0; group < groups; ++group) {
      for (const std::uint64_t mixed : {std::uint64_t{0}, ~std::uint64_t{0}, mix64(group)})
        ASSERT_EQ(key_group_of(hash_within(group, groups, mixed), groups), group);
    }
  }
}

TEST(EventTimeSort, WhatWaitsMovesWithItsKeys) {
  OperatorHarness h(sorting(100), {.backend = "memory", .parallelism = 3});
  for (int b = 0; b < 2; ++b) {
    Batch<Event> batch;
    for (int i = 0; i < 26; ++i) {
      const std::string key(1, static_cast<char>('a' + i));
      batch.append_hashed(key, {100 - 2 * i + b}, key_hash(key));
    }
    h.push(std::move(batch));
    h.restart(b == 0 ? 2 : 1);
  }
  h.end();
  const auto all = h.drain<Event>();
  EXPECT_EQ(all.size(), 52);
  EXPECT_TRUE(std::is_sorted(all.begin(), all.end(),
                             [](const auto& a, const auto& b) { return a.time < b.time; }));
}

}  // namespace
}  // namespace tidemill
