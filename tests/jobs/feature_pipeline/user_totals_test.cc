// What the main job keeps of a user in parts gives the same rows as plain accumulators in every
// slice and window do.
#include "jobs/feature_pipeline/user_totals.h"

#include <algorithm>
#include <gtest/gtest.h>
#include <limits>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "jobs/feature_pipeline/features.h"
#include "operators/aggregates.h"
#include "operators/collections.h"
#include "state/memory_size.h"
#include "state/value_json.h"
#include "testing/operator_harness.h"

namespace tidemill::features {
namespace {

using testing::HarnessOptions;
using testing::OperatorHarness;

// As `tidemill state get` shows it, with nothing but what the checkpoint says of the type.
TEST(UserTotals, CanBeShownWithoutTheProgram) {
  const auto shown = [](const auto& value) {
    using T = std::remove_cvref_t<decltype(value)>;
    const Bytes type = encode_shown(tidemill::stored_type<T>());
    Bytes bytes;
    Codec<T>::encode(bytes, value);
    ByteReader in(type);
    return value_json(decode_stored_type(in), bytes);
  };
  UserTotals::Shared user;
  UserTotals::Slice slice;
  EXPECT_EQ(shown(user), R"({"actions":[],"last":null})");
  EXPECT_EQ(shown(slice), R"({"sum":0,"actions":[]})");
  const Stamp stamp{EventTime{5000}, {1, 42}};
  for (const char* action : {"view", "buy", "view"}) {
    const UserTotals::One one{2.75, user.actions.number_of(action)};
    slice.add(one);
    user.note(one, stamp);
  }
  EXPECT_EQ(shown(user), R"({"actions":["view","buy"],"last":{"time":5000,"partition":1,)"
                         R"("offset":42,"action":0}})");
  EXPECT_EQ(shown(slice), R"({"sum":8.25,"actions":[{"steps_from_last":0,"count":2},)"
                          R"({"steps_from_last":1,"count":1}]})");
  EXPECT_EQ(shown(UserTotals::One{-0.5, 3}), R"({"value":-0.5,"action":3})");
  for (const double value : {1e300, -1e-300, 123456789.125, -1.0, 1e16 + 2}) {
    ExactSum sum;
    sum.add(value);
    EXPECT_EQ(std::stod(shown(sum)), value);
    sum.add(-value / 4);
    EXPECT_DOUBLE_EQ(std::stod(shown(sum)), sum.value());
  }
  ExactSum infinite;
  infinite.add(-std::numeric_limits<double>::infinity());
  EXPECT_EQ(shown(infinite), "\"-Infinity\"");
}

struct PlainTotals {
  Mean<double> value;
  Distinct<std::string> actions;
  Last<std::string> last;

  void add(const UserEvent& e, const Stamp& at) {
    value.add(e.value);
    actions.add(e.action);
    last.add(e.action, at);
  }
  void merge(const PlainTotals& other) {
    value.merge(other.value);
    actions.merge(other.actions);
    last.merge(other.last);
  }
  void evict(const PlainTotals& oldest) {
    value.subtract(oldest.value);
    actions.subtract(oldest.actions);
    last.evict(oldest.last);
  }
  BOOST_DESCRIBE_CLASS(PlainTotals, (), (value, actions, last), (), ())
};

struct FinishPlain {
  std::size_t largest = 0;

  WindowFeatures operator()(const PlainTotals& t, std::size_t window) const {
    WindowFeatures features{t.value.n, t.actions.result(), t.value.result(), std::nullopt,
                            EventTime{}};
    if (window == largest && t.last.value) {
      features.last_action = t.last.result();
      features.last_time = t.last.event_time();
    }
    return features;
  }
};

using Plain = TrailingWindow<UserEvent, PlainTotals, UserOf, LogOrder, FinishPlain>;

template <class Window, class Finish>
OperatorHarness harness(const std::vector<Trailing>& windows, const TrailingOptions& options,
                        const HarnessOptions& how) {
  return OperatorHarness(
      [=](OperatorContext& ctx) {
        return std::make_unique<Window>(ctx, windows, options, UserOf{}, LogOrder{},
                                        Finish{windows.size() - 1});
      },
      how);
}

std::string text_of(const std::optional<double>& value) {
  return value ? std::to_string(*value) : "none";
}

std::vector<std::string> rows(OperatorHarness& h) {
  std::vector<std::string> all;
  for (const Record<FeatureRow>& r : h.drain<FeatureRow>()) {
    std::string text =
        r.value.key + "@" + std::to_string(r.value.at.ms) + (r.value.is_delete ? " deleted" : "");
    for (const WindowFeatures& f : r.value.results) {
      text += " [" + std::to_string(f.event_count) + " " + std::to_string(f.unique_actions) + " " +
              text_of(f.avg_value) + " " + f.last_action.value_or("none") + " " +
              std::to_string(f.last_action ? f.last_time.ms : 0) + "]";
    }
    all.push_back(std::move(text));
  }
  std::sort(all.begin(), all.end());
  return all;
}

class Random {
 public:
  explicit Random(std::uint32_t seed) : numbers_(seed) {}
  std::int64_t below(std::int64_t n) { return static_cast<std::int64_t>(numbers_()) % n; }

 private:
  std::mt19937 numbers_;
};

// Names of few to very many, short and long.
std::string any_action(Random& rng, std::int64_t num_actions) {
  const auto n = static_cast<std::size_t>(rng.below(num_actions));
  const std::string name = n == 0 ? "" : "action " + std::to_string(n);
  return n % 5 == 4 ? name + std::string(150, 'x') : name;
}

class UserTotalsTest : public ::testing::TestWithParam<TrailingEmit> {};

TEST_P(UserTotalsTest, GivesTheRowsOfPlainAccumulators) {
  for (std::uint32_t seed = 0; seed < 12; ++seed) {
    SCOPED_TRACE(seed);
    Random rng(seed);
    const std::vector<Trailing> windows{{Duration(20), Duration(1 + rng.below(6))},
                                        {Duration(60), Duration(1 + rng.below(20))},
                                        {Duration(200), Duration(1 + rng.below(40))}};
    const TrailingOptions options{.emit = GetParam(),
                                  .interval = Duration(1 + rng.below(15)),
                                  .lateness = Duration(rng.below(40)),
                                  .deletes_empty = rng.below(2) == 0};
    const HarnessOptions how{.restarts = seed % 4 == 0};
    auto plain = harness<Plain, FinishPlain>(windows, options, how);
    auto parts = harness<FeatureWindow, FinishFeatures>(windows, options, how);
    const std::int64_t num_actions = seed % 3 == 0 ? 4 : seed % 3 == 1 ? 30 : 100'000;
    std::int64_t watermark = 0;
    std::int64_t offset = 0;
    for (int step = 0; step < 60; ++step) {
      if (rng.below(3) != 0) {
        Batch<UserEvent> batch;
        for (std::int64_t n = 1 + rng.below(12); n > 0; --n) {
          const EventTime at{watermark - options.lateness.count() + rng.below(60)};
          batch.append({"user " + std::to_string(rng.below(3)), any_action(rng, num_actions),
                        static_cast<double>(rng.below(1000)) / 8, at,
                        static_cast<std::int32_t>(rng.below(2)), offset++},
                       at);
        }
        plain.push(Batch<UserEvent>(batch));
        parts.push(std::move(batch));
      } else {
        watermark += rng.below(20) == 0 ? 500 : rng.below(40);
        plain.watermark({watermark});
        parts.watermark({watermark});
      }
      ASSERT_EQ(rows(parts), rows(plain)) << "step " << step;
    }
    plain.end();
    parts.end();
    ASSERT_EQ(rows(parts), rows(plain));
  }
}
INSTANTIATE_TEST_SUITE_P(Emit, UserTotalsTest,
                         ::testing::Values(TrailingEmit::kOnRecord, TrailingEmit::kOnWatermark,
                                           TrailingEmit::kCoalesced));

// Names that no slice has any more are given back, also those of records that never counted.
TEST(UserTotalsTest, NamesDoNotPileUp) {
  const TrailingLayout layout({{Duration(10), Duration(1)}});
  TrailingKey<UserTotals> key;
  std::size_t most = 0;
  for (std::int64_t t = 0; t < 5000; ++t) {
    key.prepare(layout);
    key.advance(layout, {t});
    key.add(layout, {{t}}, UserEvent{"user", "new " + std::to_string(t), 1, {}, 0, 0});
    key.add(layout, {{t - 100}}, UserEvent{"user", "late " + std::to_string(t), 1, {}, 0, 0});
    most = std::max(most, key.shared().actions.size());
  }
  EXPECT_EQ(key.total(0).num_events, 10);
  EXPECT_EQ(key.total(0).num_actions, 10);
  EXPECT_EQ(key.shared().actions.text(key.shared().last_action), "new 4999");
  EXPECT_LT(most, 100);
}

TEST(UserTotalsTest, CountsBeyond32BitsOfOneAction) {
  UserTotals::Slice slice;
  slice.actions.push_back({7, 0xFFFFFFFF});
  slice.add({1.5, 7});
  slice.add({1.5, 3});
  UserTotals::Slice merged;
  merged.merge(slice);
  merged.merge(slice);
  UserTotals::Total total;
  total.merge(decode<UserTotals::Slice>([&] {
    Bytes bytes;
    encode(bytes, merged);
    return bytes;
  }()));
  EXPECT_EQ(total.times[7], 0x200000000);
  EXPECT_EQ(total.num_events, 0x200000002);
  EXPECT_EQ(total.num_actions, 2);
  total.subtract(merged);
  EXPECT_EQ(total.num_actions, 0);
}

TEST(UserTotalsTest, RefusesNumbersWithoutAName) {
  const TrailingLayout layout({{Duration(10), Duration(1)}});
  TrailingKey<UserTotals> key;
  key.prepare(layout);
  key.advance(layout, {1});
  key.add(layout, {{1}}, UserEvent{"user", "a", 1, {}, 0, 0});
  Bytes bytes;
  encode(bytes, key);
  const std::size_t name = bytes.find('a');
  ASSERT_NE(name, Bytes::npos);
  EXPECT_NO_THROW(decode<TrailingKey<UserTotals>>(bytes));
  bytes[bytes.size() - 3] = 1;  // of the only slice: [number 0][count 1], then [0 waiting]
  EXPECT_THROW(decode<TrailingKey<UserTotals>>(bytes), Error);
}

}  // namespace
}  // namespace tidemill::features
