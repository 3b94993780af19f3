// Keys that lie in the rows that an operator keeps: whoever moves a row has done with its key.
#include <algorithm>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <memory>
#include <string>
#include <vector>

#include "operators/asof_join.h"
#include "operators/changelog.h"
#include "operators/dedup.h"
#include "operators/equi_join.h"
#include "operators/interval_join.h"
#include "operators/window_join.h"
#include "testing/operator_harness.h"

namespace tidemill {
namespace {

using testing::OperatorHarness;

struct Event {
  std::string key;
  std::string text;
};
BOOST_DESCRIBE_STRUCT(Event, (), (key, text))

// Too long to stay in a string that was moved from.
std::string key_of(int number) {
  return "a key of more than sixteen characters, " + std::to_string(number);
}
using KeyOf = const std::string& (*)(const Event&);
const std::string& lying_in(const Event& event) { return event.key; }

struct Both {
  std::string operator()(const Event& left, const Event& right) const {
    return left.key + ": " + left.text + right.text;
  }
};
struct Padded {
  std::string operator()(const Event* left, const Event* right) const {
    return Both{}(*left, *right);
  }
};

struct PaddedWithVersion {
  std::string operator()(const Event* left, const Change<Event>* version) const {
    return Both{}(*left, version->row);
  }
};
const std::string& lying_in_row(const Change<Event>& version) { return version.row.key; }

constexpr int kKeys = 3;
constexpr int kRowsOfKey = 40;  // more than look-ups that are made ahead

// All at about one time, so that they lie in one slice and one bucket.
Batch<Event> events(const std::string& text) {
  Batch<Event> batch;
  for (int n = 0; n < kKeys * kRowsOfKey; ++n)
    batch.append({key_of(n % kKeys), text + std::to_string(n / kKeys)}, EventTime{1000 + n});
  return batch;
}
std::vector<std::string> each_pair() {
  std::vector<std::string> pairs;
  for (int key = 0; key < kKeys; ++key) {
    for (int l = 0; l < kRowsOfKey; ++l) {
      for (int r = 0; r < kRowsOfKey; ++r)
        pairs.push_back(key_of(key) + ": l" + std::to_string(l) + "r" + std::to_string(r));
    }
  }
  return pairs;
}
const std::string& text_of(const std::string& row) { return row; }
const std::string& text_of(const Windowed<std::string, std::string>& row) { return row.value; }

// `Row`: what the join gives for each pair.
template <class Row>
void expect_each_pair(const OperatorHarness::Make& join) {
  OperatorHarness::run(join, [](OperatorHarness& h) {
    h.push(events("l"), 0);
    h.push(events("r"), 1);
    h.end();
    std::vector<std::string> found;
    for (const Record<Row>& record : h.drain<Row>()) found.push_back(text_of(record.value));
    std::vector<std::string> wanted = each_pair();
    std::sort(found.begin(), found.end());
    std::sort(wanted.begin(), wanted.end());
    EXPECT_EQ(found, wanted) << h.mode();
  });
}

TEST(MovedKeysTest, EquiJoin) {
  expect_each_pair<std::string>([](OperatorContext& ctx) {
    using Join = EquiJoin<JoinType::kInner, Event, Event, KeyOf, KeyOf, Padded>;
    return std::make_unique<Join>(ctx, EquiJoinOptions{}, &lying_in, &lying_in, Padded{});
  });
}

TEST(MovedKeysTest, IntervalJoin) {
  expect_each_pair<std::string>([](OperatorContext& ctx) {
    using Join = IntervalJoin<Event, Event, KeyOf, KeyOf, Padded>;
    return std::make_unique<Join>(ctx, IntervalJoinOptions{-1h, 1h}, &lying_in, &lying_in,
                                  Padded{});
  });
}

TEST(MovedKeysTest, WindowJoin) {
  expect_each_pair<Windowed<std::string, std::string>>([](OperatorContext& ctx) {
    using Join = WindowJoin<Event, Event, KeyOf, KeyOf, Both>;
    return std::make_unique<Join>(ctx, AlignedWindows(Tumbling{10s}), &lying_in, &lying_in,
                                  EachPair<Both>{});
  });
}

TEST(MovedKeysTest, DeduplicationLetsOneOfEachKeyOut) {
  OperatorHarness::run(
      [](OperatorContext& ctx) {
        return std::make_unique<DedupFirst<Event, KeyOf>>(ctx, DedupOptions{}, &lying_in);
      },
      [](OperatorHarness& h) {
        h.push(events("e"));
        h.end();
        std::vector<std::string> found;
        for (const Record<Event>& record : h.drain<Event>()) found.push_back(record.value.text);
        EXPECT_THAT(found, ::testing::ElementsAre("e0", "e0", "e0")) << h.mode();
      });
}

// A version behind the watermark is kept as long as it is the newest, and no timer drops it.
TEST(MovedKeysTest, AnAsofJoinKeepsOneVersionBehindItsWatermark) {
  using Join = AsofJoin<Event, Change<Event>, KeyOf, const std::string& (*)(const Change<Event>&),
                        PaddedWithVersion>;
  OperatorHarness h(
      [](OperatorContext& ctx) {
        return std::make_unique<Join>(ctx, AsofJoinOptions{}, &lying_in, &lying_in_row,
                                      PaddedWithVersion{});
      },
      {});
  h.watermark(EventTime{1'000'000});
  std::size_t after_first = 0;
  for (int n = 0; n < 1000; ++n) {
    h.push<Change<Event>>({{Change<Event>::update({key_of(0), "v"}), EventTime{n}}}, 1);
    h.advance(1ms);  // as the runtime does: gives memory back
    if (n == 10) after_first = h.memory_used();
  }
  EXPECT_LE(h.memory_used(), after_first);
}

}  // namespace
}  // namespace tidemill
