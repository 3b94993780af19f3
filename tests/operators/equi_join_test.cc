// Regular joins without a window: each pair once, padded rows that are revised, TTL.
#include "operators/equi_join.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <map>
#include <memory>
#include <rapidcheck/gtest.h>
#include <string>
#include <vector>

#include "testing/operator_harness.h"

namespace tidemill {
namespace {

using ::testing::ElementsAre;
using testing::HarnessOptions;
using ::testing::IsEmpty;
using testing::OperatorHarness;
using ::testing::UnorderedElementsAre;

struct Event {
  int key = 0;
  std::string text;
};
BOOST_DESCRIBE_STRUCT(Event, (), (key, text))

struct Text {
  std::string operator()(const Event* left, const Event* right) const {
    return (left != nullptr ? left->text : "-") + "," + (right != nullptr ? right->text : "-");
  }
};
template <JoinType Type>
using Join = EquiJoin<Type, Event, Event, int Event::*, int Event::*, Text>;

template <JoinType Type>
OperatorHarness::Make join(const EquiJoinOptions& options = {}) {
  return [=](OperatorContext& ctx) {
    return std::make_unique<Join<Type>>(ctx, options, &Event::key, &Event::key, Text{});
  };
}

EventTime at(double seconds) { return {static_cast<std::int64_t>(seconds * 1000)}; }
void left(OperatorHarness& h, double seconds, std::string text, int key = 1) {
  h.push<Event>({{{key, std::move(text)}, at(seconds)}}, 0);
}
void right(OperatorHarness& h, double seconds, std::string text, int key = 1) {
  h.push<Event>({{{key, std::move(text)}, at(seconds)}}, 1);
}
template <class Out>
std::vector<std::string> rows(OperatorHarness& h) {
  std::vector<std::string> all;
  for (const auto& [row, time] : h.drain<Out>()) {
    const std::string end = "@" + std::to_string(time.ms);
    if constexpr (std::is_same_v<Out, std::string>) {
      all.push_back(row + end);
    } else {
      all.push_back((row.is_delete() ? "delete " : "") + row.row + end);
    }
  }
  return all;
}
constexpr auto inner_rows = &rows<std::string>;
constexpr auto changes = &rows<Change<std::string>>;

TEST(EquiJoinTest, EachPairOnceWhateverItsTimesAndTheWatermark) {
  OperatorHarness::run(join<JoinType::kInner>(), [](OperatorHarness& h) {
    SCOPED_TRACE(h.mode());
    left(h, 5, "a");
    left(h, 1, "b");
    right(h, 3, "x");
    EXPECT_THAT(inner_rows(h), UnorderedElementsAre("a,x@5000", "b,x@3000"));
    h.watermark(at(100));
    right(h, -5, "y");
    EXPECT_THAT(inner_rows(h), UnorderedElementsAre("a,y@5000", "b,y@1000")) << "nothing is late";
    left(h, 2, "c", 2);
    h.end();
    EXPECT_THAT(inner_rows(h), IsEmpty());
    EXPECT_EQ(h.forwarded(), at(100));
  });
}

TEST(EquiJoinTest, APaddedRowGoesOutAtOnceAndIsRevisedByTheFirstPartner) {
  OperatorHarness::run(join<JoinType::kOuter>(), [](OperatorHarness& h) {
    SCOPED_TRACE(h.mode());
    left(h, 5, "a");
    EXPECT_THAT(changes(h), ElementsAre("a,-@5000"));
    right(h, 7, "x");
    EXPECT_THAT(changes(h), ElementsAre("delete a,-@7000", "a,x@7000"));
    right(h, 6, "y");
    EXPECT_THAT(changes(h), ElementsAre("a,y@6000"));
    right(h, 1, "z", 2);
    EXPECT_THAT(changes(h), ElementsAre("-,z@1000"));
    left(h, 2, "b", 2);
    EXPECT_THAT(changes(h), ElementsAre("delete -,z@2000", "b,z@2000"));
  });
}

TEST(EquiJoinTest, OnlyTheSideThatIsAskedForIsPadded) {
  OperatorHarness::run(join<JoinType::kLeft>(), [](OperatorHarness& h) {
    SCOPED_TRACE(h.mode());
    right(h, 1, "x", 2);
    EXPECT_THAT(changes(h), IsEmpty());
    h.push<Event>({{{1, "a"}, at(1)}, {{2, "b"}, at(2)}}, 0);
    EXPECT_THAT(changes(h), ElementsAre("a,-@1000", "b,x@2000"));
  });
  OperatorHarness::run(join<JoinType::kRight>(), [](OperatorHarness& h) {
    SCOPED_TRACE(h.mode());
    left(h, 1, "a");
    right(h, 1, "x", 2);
    EXPECT_THAT(changes(h), ElementsAre("-,x@1000"));
    left(h, 3, "b", 2);
    EXPECT_THAT(changes(h), ElementsAre("delete -,x@3000", "b,x@3000"));
  });
}

TEST(EquiJoinTest, WithATtlRowsAreForgottenWhenTheirTimeIsUp) {
  OperatorHarness::run(join<JoinType::kOuter>({.ttl = 10s}), [](OperatorHarness& h) {
    SCOPED_TRACE(h.mode());
    left(h, 1, "a");
    left(h, 2, "b", 2);
    h.watermark(at(11));
    right(h, 11, "x");
    EXPECT_THAT(changes(h), ElementsAre("a,-@1000", "b,-@2000", "delete a,-@11000", "a,x@11000"));
    h.watermark(at(12.001));
    right(h, 12, "y", 2);
    EXPECT_THAT(changes(h), ElementsAre("-,y@12000")) << "b is forgotten, its row stays";
    left(h, 1, "too old to be kept");
    EXPECT_THAT(changes(h), ElementsAre("too old to be kept,x@11000"));
    right(h, 12, "z");
    EXPECT_THAT(changes(h), ElementsAre("-,z@12000"));
  });
}

TEST(EquiJoinTest, ARowThatHasMetItsOnlyPartnerIsForgotten) {
  OperatorHarness::run(join<JoinType::kOuter>({.right_is_unique = true}), [](OperatorHarness& h) {
    SCOPED_TRACE(h.mode());
    left(h, 1, "early");
    right(h, 2, "x");
    EXPECT_THAT(changes(h), ElementsAre("early,-@1000", "delete early,-@2000", "early,x@2000"));
    left(h, 3, "a");
    EXPECT_THAT(changes(h), ElementsAre("a,x@3000")) << "the partner itself is kept";
    right(h, 4, "second");
    EXPECT_THAT(changes(h), ElementsAre("-,second@4000")) << "neither left row is";
  });
  OperatorHarness::run(join<JoinType::kInner>({.left_is_unique = true}), [](OperatorHarness& h) {
    SCOPED_TRACE(h.mode());
    h.push<Event>({{{1, "x"}, at(1)}, {{2, "other key"}, at(1)}}, 1);
    left(h, 2, "a");
    right(h, 3, "y");
    EXPECT_THAT(inner_rows(h), ElementsAre("a,x@2000", "a,y@3000"));
    left(h, 4, "second");
    left(h, 4, "b", 2);
    EXPECT_THAT(inner_rows(h), ElementsAre("b,other key@4000"));
  });
}

TEST(EquiJoinTest, RefusesACheckpointOfAnotherTtlAndOneThatIsNotPositive) {
  EXPECT_THROW(OperatorHarness(join<JoinType::kInner>({.ttl = 0s}), {}), Error);
  EquiJoinOptions options{.ttl = 10s};
  OperatorHarness h(
      [&](OperatorContext& ctx) {
        return std::make_unique<Join<JoinType::kInner>>(ctx, options, &Event::key, &Event::key,
                                                        Text{});
      },
      {});
  options.ttl.reset();
  EXPECT_THROW(h.restart(), Error);
}

// Whatever comes in whatever order, in the end the changelog says what the join of all rows is.
TEST(EquiJoinTest, TheChangelogAddsUpToTheJoin) {
  EXPECT_TRUE(rc::check("any script", [] {
    OperatorHarness h(join<JoinType::kOuter>(),
                      HarnessOptions{.backend = "memory",
                                     .restarts = *rc::gen::inRange(0, 3) == 0,
                                     .parallelism = *rc::gen::inRange(1, 4),
                                     .key_groups = *rc::gen::element(4U, 16U)});
    std::vector<Event> all[2];
    std::map<std::string, int> actual;
    int number = 0;
    const int steps = *rc::gen::inRange(1, 20);
    for (int i = 0; i < steps; ++i) {
      if (*rc::gen::inRange(0, 5) == 0) h.restart(*rc::gen::inRange(1, 4));
      const int side = *rc::gen::inRange(0, 2);
      Batch<Event> batch;
      const int count = *rc::gen::inRange(1, 5);
      for (int n = 0; n < count; ++n) {
        const Event event{*rc::gen::inRange(0, 5), std::to_string(number++)};
        all[side].push_back(event);
        batch.append_hashed(event, {*rc::gen::inRange(-20, 20)}, key_hash(event.key));
      }
      h.push(std::move(batch), side);
      for (const auto& [change, time] : h.drain<Change<std::string>>())
        actual[change.row] += change.is_delete() ? -1 : 1;
    }
    std::erase_if(actual, [](const auto& row) { return row.second == 0; });
    std::map<std::string, int> expected;
    for (const int side : {0, 1}) {
      for (const Event& mine : all[side]) {
        bool has_partner = false;
        for (const Event& other : all[1 - side]) {
          if (mine.key != other.key) continue;
          has_partner = true;
          if (side == 0) expected[Text{}(&mine, &other)] = 1;
        }
        if (has_partner) continue;
        expected[side == 0 ? Text{}(&mine, nullptr) : Text{}(nullptr, &mine)] = 1;
      }
    }
    RC_ASSERT(actual == expected);
  }));
}

}  // namespace
}  // namespace tidemill
