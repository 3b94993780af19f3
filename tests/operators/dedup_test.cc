// Deduplication, by example.
#include "operators/dedup.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <memory>
#include <string>
#include <vector>

#include "testing/operator_harness.h"

namespace tidemill {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using testing::OperatorHarness;
using ::testing::UnorderedElementsAre;

struct Event {
  std::string key;
  std::string text;
  BOOST_DESCRIBE_CLASS(Event, (), (key, text), (), ())
};
using KeyOf = std::string Event::*;

OperatorHarness::Make first(DedupOptions options) {
  return [options](OperatorContext& ctx) {
    return std::make_unique<DedupFirst<Event, KeyOf>>(ctx, options, &Event::key);
  };
}
std::unique_ptr<Operator> last(OperatorContext& ctx) {
  return std::make_unique<DedupLast<Event, KeyOf>>(ctx, &Event::key);
}

std::vector<std::string> rows(OperatorHarness& h, std::size_t port = 0) {
  std::vector<std::string> all;
  for (const Record<Event>& r : h.drain<Event>(port))
    all.push_back(r.value.key + r.value.text + "@" + std::to_string(r.time.ms));
  return all;
}
std::vector<std::string> changes(OperatorHarness& h) {
  std::vector<std::string> all;
  for (const Record<Change<Event>>& r : h.drain<Change<Event>>()) {
    EXPECT_FALSE(r.value.is_delete());
    all.push_back((r.value.kind == ChangeKind::kInsert ? "+" : "~") + r.value.row.key +
                  r.value.row.text + "@" + std::to_string(r.time.ms));
  }
  return all;
}

TEST(DedupFirst, TheSmallestTimeGoesOutOncePassed) {
  OperatorHarness::run(first({.firing_budget = 1}), [](OperatorHarness& h) {
    SCOPED_TRACE(h.mode());
    h.push<Event>({{{"a", "x"}, {50}}, {{"b", "x"}, {60}}, {{"a", "y"}, {40}}});
    h.push<Event>({{{"a", "z"}, {40}}, {{"a", "w"}, {45}}});
    h.watermark({40});
    EXPECT_THAT(rows(h), IsEmpty());
    h.push<Event>({{{"b", "y"}, {40}}});  // of the watermark's time: not late
    h.watermark({41});
    EXPECT_THAT(rows(h), UnorderedElementsAre("ay@40", "by@40"));
    h.push<Event>({{{"a", "v"}, {100}}, {{"a", "u"}, {41}}, {{"c", "t"}, {40}}});
    h.end();
    EXPECT_THAT(rows(h), IsEmpty());
    EXPECT_THAT(rows(h, 1), ElementsAre("ct@40"));
    EXPECT_EQ(h.count("tidemill_late_records_total"), 1);
    EXPECT_EQ(h.count("tidemill_duplicate_records_total"), 6);  // x, z, w, bx, v, u
  });
}

TEST(DedupFirst, ANewFirstOnceTheIntervalIsOver) {
  OperatorHarness::run(first({.within = 10ms, .firing_budget = 1}), [](OperatorHarness& h) {
    SCOPED_TRACE(h.mode());
    h.push<Event>({{{"a", "x"}, {5}}, {{"a", "y"}, {3}}, {{"a", "z"}, {25}}, {{"a", "w"}, {13}}});
    h.watermark({4});
    EXPECT_THAT(rows(h), ElementsAre("ay@3"));
    h.push<Event>({{{"a", "v"}, {12}}});  // less than 10 after 3
    h.watermark({30});
    EXPECT_THAT(rows(h), ElementsAre("aw@13", "az@25"));
    EXPECT_EQ(h.count("tidemill_duplicate_records_total"), 2);
    h.watermark({35});  // the key is forgotten
    h.push<Event>({{{"a", "u"}, {35}}});
    h.end();
    EXPECT_THAT(rows(h), ElementsAre("au@35"));
  });
}

// An earlier record makes another one the duplicate: nothing is decided before its time has passed.
TEST(DedupFirst, AnEarlierRecordChangesWhoIsFirst) {
  OperatorHarness::run(first({.within = 10ms}), [](OperatorHarness& h) {
    SCOPED_TRACE(h.mode());
    h.push<Event>({{{"a", "x"}, {10}}, {{"a", "y"}, {20}}});
    h.push<Event>({{{"a", "z"}, {5}}});
    h.watermark({100});
    EXPECT_THAT(rows(h), ElementsAre("az@5", "ay@20"));
  });
}

TEST(DedupFirst, KeysMoveWithTheirGroup) {
  OperatorHarness h(first({}), {.backend = "memory", .parallelism = 2});
  const auto batch = [](int from) {
    Batch<Event> b;
    for (int i = 0; i < 60; ++i) {
      const std::string key = std::to_string(i);
      b.append_hashed({key, ""}, {from + i}, key_hash(key));
    }
    return b;
  };
  h.push(batch(100));
  h.restart(3);
  h.push(batch(90));
  h.watermark({120});
  EXPECT_EQ(rows(h).size(), 30);
  h.restart(1);
  h.push(batch(500));
  h.end();
  EXPECT_EQ(rows(h).size(), 30);
}

TEST(DedupFirst, RefusesAnEmptyInterval) {
  EXPECT_THROW(OperatorHarness(first({.within = 0ms}), {}), Error);
}

TEST(DedupLast, OneRowPerKeyAndBatchOfTheGreatestTime) {
  OperatorHarness::run(last, [](OperatorHarness& h) {
    SCOPED_TRACE(h.mode());
    h.push<Event>({{{"a", "x"}, {50}}, {{"b", "x"}, {60}}, {{"a", "y"}, {40}}, {{"b", "y"}, {60}}});
    EXPECT_THAT(changes(h), UnorderedElementsAre("+ax@50", "+by@60"));
    h.watermark({1000});
    h.push<Event>({{{"a", "z"}, {49}}});  // older
    EXPECT_THAT(changes(h), IsEmpty());
    h.push<Event>({{{"a", "w"}, {50}}, {{"c", "x"}, {-5}}});  // as old; nothing is late
    EXPECT_THAT(changes(h), UnorderedElementsAre("~aw@50", "+cx@-5"));
    h.push<Event>({{{"a", "v"}, {52}}, {{"a", "u"}, {51}}, {{"a", "t"}, {53}}});
    EXPECT_THAT(changes(h), ElementsAre("~at@53"));
    EXPECT_EQ(h.count("tidemill_duplicate_records_total"), 5);  // ay, bx, az, av, au
  });
}

}  // namespace
}  // namespace tidemill
