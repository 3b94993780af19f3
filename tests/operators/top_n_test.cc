// Top-N per key: by example, and against a list that is sorted anew.
#include "operators/top_n.h"

#include <algorithm>
#include <cmath>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "testing/operator_harness.h"

namespace tidemill {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using testing::OperatorHarness;
using ::testing::UnorderedElementsAre;

struct Bid {
  std::string auction;
  double price = 0;
  std::string bidder{};
  friend bool operator==(const Bid&, const Bid&) = default;
  BOOST_DESCRIBE_CLASS(Bid, (), (auction, price, bidder), (), ())
};
using KeyOf = std::string Bid::*;
using PriceOf = double Bid::*;
using Op = TopNPerKey<Bid, KeyOf, PriceOf>;
using PriceOnly = TopNPerKey<Bid, KeyOf, PriceOf, PriceOf>;

template <class O, class RowOf>
OperatorHarness::Make top(std::size_t n, RankOrder order, RowOf row_of) {
  return [=](OperatorContext& ctx) {
    return std::make_unique<O>(ctx, n, order, &Bid::auction, &Bid::price, row_of);
  };
}
OperatorHarness::Make top(std::size_t n, RankOrder order = RankOrder::kDescending) {
  return top<Op>(n, order, WholeRecord{});
}

std::string text_of(const Bid& bid) {
  return std::to_string(static_cast<int>(bid.price)) + bid.bidder;
}
std::string text_of(double price) { return std::to_string(static_cast<int>(price)); }

template <class O = Op>
std::vector<std::string> rows(OperatorHarness& h) {
  std::vector<std::string> all;
  for (const auto& r : h.drain<typename O::Out>()) {
    EXPECT_FALSE(r.value.is_delete());
    const auto& ranked = r.value.row;
    all.push_back((r.value.kind == ChangeKind::kInsert ? "+" : "~") + ranked.key + "#" +
                  std::to_string(ranked.rank) + "=" + text_of(ranked.row) + "@" +
                  std::to_string(r.time.ms));
  }
  return all;
}

TEST(TopN, GivesTheRanksThatChangedAtTheEndOfTheBatch) {
  OperatorHarness::run(top(2), [](OperatorHarness& h) {
    SCOPED_TRACE(h.mode());
    h.push<Bid>({{{"a", 5}, {1}}, {{"a", 9}, {2}}, {{"b", 1}, {2}}});
    EXPECT_THAT(rows(h), UnorderedElementsAre("+a#1=9@2", "+a#2=5@2", "+b#1=1@2"));
    h.push<Bid>({{{"a", 7}, {3}}});
    EXPECT_THAT(rows(h), ElementsAre("~a#2=7@3"));
    h.push<Bid>({{{"a", 6}, {4}}, {{"a", 1}, {4}}});
    EXPECT_THAT(rows(h), IsEmpty());
    h.watermark({100});
    h.push<Bid>({{{"a", 11}, {5}}, {{"a", 10}, {4}}, {{"b", 2}, {6}}});  // nothing is late
    EXPECT_THAT(rows(h), UnorderedElementsAre("~a#1=11@5", "~a#2=10@5", "~b#1=2@6", "+b#2=1@6"));
    h.end();
    EXPECT_THAT(rows(h), IsEmpty());
  });
}

TEST(TopN, TiesGoByTimeThenByArrival) {
  for (const RankOrder order : {RankOrder::kDescending, RankOrder::kAscending}) {
    OperatorHarness::run(top(3, order), [](OperatorHarness& h) {
      SCOPED_TRACE(h.mode());
      h.push<Bid>({{{"a", 5, "x"}, {10}}, {{"a", 5, "y"}, {9}}, {{"a", 5, "z"}, {10}}});
      EXPECT_THAT(rows(h), ElementsAre("+a#1=5y@10", "+a#2=5x@10", "+a#3=5z@10"));
      h.push<Bid>({{{"a", 5, "w"}, {10}}});
      EXPECT_THAT(rows(h), IsEmpty());
      h.push<Bid>({{{"a", 5, "v"}, {8}}});
      EXPECT_THAT(rows(h), ElementsAre("~a#1=5v@8", "~a#2=5y@8", "~a#3=5x@8"));
    });
  }
}

TEST(TopN, ARankWhoseRowIsTheSameGivesNone) {
  OperatorHarness::run(top<PriceOnly>(2, RankOrder::kAscending, &Bid::price),
                       [](OperatorHarness& h) {
                         SCOPED_TRACE(h.mode());
                         h.push<Bid>({{{"a", 5, "x"}, {10}}, {{"a", 7, "y"}, {10}}});
                         EXPECT_THAT(rows<PriceOnly>(h), ElementsAre("+a#1=5@10", "+a#2=7@10"));
                         h.push<Bid>({{{"a", 5, "z"}, {9}}});  // takes rank 1, which looks the same
                         EXPECT_THAT(rows<PriceOnly>(h), ElementsAre("~a#2=5@9"));
                       });
}

TEST(TopN, LeavesOutWhatIsNotANumberAndRefusesNoRanks) {
  OperatorHarness h(top(2), {});
  h.push<Bid>({{{"a", std::nan("")}, {1}}});
  EXPECT_THAT(rows(h), IsEmpty());
  EXPECT_THROW(OperatorHarness(top(0), {}), Error);
}

TEST(TopN, IsWhatSortingAllRecordsGives) {
  std::mt19937 random(7);
  for (const std::size_t n : std::vector<std::size_t>{1, 3, 10}) {
    OperatorHarness h(top(n), {.backend = "rocksdb", .restarts = true});
    std::map<std::string, std::vector<std::pair<Bid, EventTime>>> all;
    std::map<std::string, std::map<int, std::string>> shown;
    for (int b = 0; b < 40; ++b) {
      Batch<Bid> batch;
      for (int i = 0; i < 20; ++i) {
        const Bid bid{std::string(1, static_cast<char>('a' + random() % 4)),
                      static_cast<double>(random() % 30), std::to_string(random() % 5)};
        const EventTime time{static_cast<std::int64_t>(random() % 10)};
        all[bid.auction].emplace_back(bid, time);
        batch.append(bid, time);
      }
      h.push(std::move(batch));
      for (const auto& r : h.drain<Op::Out>()) {
        auto& ranks = shown[r.value.row.key];
        const int rank = r.value.row.rank;
        EXPECT_EQ(ranks.contains(rank), r.value.kind == ChangeKind::kUpdate);
        EXPECT_NE(ranks[rank], text_of(r.value.row.row)) << "nothing has changed";
        ranks[rank] = text_of(r.value.row.row);
      }
      for (auto [key, bids] : all) {
        std::stable_sort(bids.begin(), bids.end(), [](const auto& x, const auto& y) {
          return std::pair(-x.first.price, x.second) < std::pair(-y.first.price, y.second);
        });
        std::map<int, std::string> expected;
        for (std::size_t i = 0; i < std::min(n, bids.size()); ++i)
          expected[static_cast<int>(i + 1)] = text_of(bids[i].first);
        ASSERT_EQ(shown[key], expected);
      }
    }
  }
}

}  // namespace
}  // namespace tidemill
