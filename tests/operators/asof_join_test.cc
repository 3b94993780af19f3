// As-of joins, by example and against their definition (docs/semantics.md 4): random scripts, with
// restarts, other parallelism and firings that yield after every answer.
#include "operators/asof_join.h"

#include <algorithm>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <map>
#include <memory>
#include <rapidcheck/gtest.h>
#include <string>
#include <tuple>
#include <vector>

#include "operators/changelog.h"
#include "testing/operator_harness.h"

namespace tidemill {
namespace {

using ::testing::ElementsAre;
using testing::HarnessOptions;
using ::testing::IsEmpty;
using testing::OperatorHarness;
using ::testing::UnorderedElementsAre;

struct Probe {
  int key = 0;
  std::string text;
};
BOOST_DESCRIBE_STRUCT(Probe, (), (key, text))
using Version = Change<Probe>;

struct Text {
  std::string operator()(const Probe* probe, const Version* version) const {
    return probe->text + "," + (version != nullptr ? version->row.text : "-");
  }
};
int key_of(const Version& version) { return version.row.key; }
using Join = AsofJoin<Probe, Version, int Probe::*, int (*)(const Version&), Text>;

OperatorHarness::Make join(JoinType type, std::size_t budget = 4096) {
  return [=](OperatorContext& ctx) {
    return std::make_unique<Join>(ctx, AsofJoinOptions{type, budget}, &Probe::key, &key_of, Text{});
  };
}

EventTime at(double seconds) { return {static_cast<std::int64_t>(seconds * 1000)}; }
void probe(OperatorHarness& h, double seconds, std::string text, int key = 1) {
  h.push<Probe>({{{key, std::move(text)}, at(seconds)}}, 0);
}
void version(OperatorHarness& h, double seconds, std::string text, int key = 1) {
  h.push<Version>({{Version::update({key, std::move(text)}), at(seconds)}}, 1);
}
void deletion(OperatorHarness& h, double seconds) {
  h.push<Version>({{Version::remove({1, "gone"}), at(seconds)}}, 1);
}
std::vector<std::string> rows(OperatorHarness& h) {
  std::vector<std::string> all;
  for (const auto& row : h.drain<std::string>())
    all.push_back(row.value + "@" + std::to_string(row.time.ms));
  return all;
}
std::vector<std::string> late_probes(OperatorHarness& h) {
  std::vector<std::string> all;
  for (const auto& row : h.drain<Probe>(1)) all.push_back(row.value.text);
  return all;
}
std::vector<std::string> late_versions(OperatorHarness& h) {
  std::vector<std::string> all;
  for (const auto& row : h.drain<Version>(2)) all.push_back(row.value.row.text);
  return all;
}

TEST(AsofJoinTest, AnswersWithTheNewestVersionOnceTheTimeIsPassed) {
  OperatorHarness::run(join(JoinType::kLeft), [](OperatorHarness& h) {
    SCOPED_TRACE(h.mode());
    probe(h, 10, "p");
    probe(h, 10, "other", 2);
    version(h, 0, "v0");
    version(h, 10, "v10");
    version(h, 10.001, "v10001");
    h.watermark(at(10));
    EXPECT_THAT(rows(h), IsEmpty()) << "a version of time 10 may still come";
    h.watermark(at(10.001));
    EXPECT_THAT(rows(h), UnorderedElementsAre("p,v10@10000", "other,-@10000"));
    probe(h, 60, "q");
    h.end();
    EXPECT_THAT(rows(h), ElementsAre("q,v10001@60000"));
  });
}

TEST(AsofJoinTest, InnerGivesNothingWithoutAVersion) {
  OperatorHarness::run(join(JoinType::kInner), [](OperatorHarness& h) {
    SCOPED_TRACE(h.mode());
    probe(h, 1, "before");
    version(h, 2, "v");
    probe(h, 2, "with");
    deletion(h, 3);
    probe(h, 3, "after");
    h.end();
    EXPECT_THAT(rows(h), ElementsAre("with,v@2000"));
  });
}

TEST(AsofJoinTest, AVersionOfTheSameTimeReplacesTheFirst) {
  OperatorHarness::run(join(JoinType::kLeft), [](OperatorHarness& h) {
    SCOPED_TRACE(h.mode());
    probe(h, 5, "p");
    version(h, 4, "first");
    version(h, 4, "second");
    deletion(h, 2);
    h.watermark(at(6));
    EXPECT_THAT(rows(h), ElementsAre("p,second@5000"));
    version(h, 4, "third");
    probe(h, 6, "q");
    h.end();
    EXPECT_THAT(rows(h), ElementsAre("q,third@6000"));
    EXPECT_THAT(late_versions(h), IsEmpty());
  });
}

TEST(AsofJoinTest, AVersionBehindTheWatermarkCountsForLaterProbesWhileItIsTheNewest) {
  OperatorHarness::run(join(JoinType::kLeft), [](OperatorHarness& h) {
    SCOPED_TRACE(h.mode());
    probe(h, 5, "p");
    h.watermark(at(10));
    EXPECT_THAT(rows(h), ElementsAre("p,-@5000"));
    version(h, 3, "old");
    version(h, 12, "ahead");
    version(h, 2, "older");
    EXPECT_THAT(late_versions(h), ElementsAre("older"));
    version(h, 4, "newer");
    probe(h, 11, "q");
    h.watermark(at(11.5));
    EXPECT_THAT(rows(h), ElementsAre("q,newer@11000")) << "what was answered is not corrected";
    EXPECT_THAT(late_probes(h), IsEmpty());
  });
}

TEST(AsofJoinTest, ADeletionMakesOlderVersionsLate) {
  OperatorHarness::run(join(JoinType::kLeft), [](OperatorHarness& h) {
    SCOPED_TRACE(h.mode());
    deletion(h, 5);
    h.watermark(at(10));
    version(h, 4, "v");
    EXPECT_THAT(late_versions(h), ElementsAre("v"));
    probe(h, 9, "late");
    EXPECT_THAT(late_probes(h), ElementsAre("late"));
    probe(h, 10, "p");
    h.end();
    EXPECT_THAT(rows(h), ElementsAre("p,-@10000"));
    EXPECT_EQ(h.count("tidemill_late_records_total"), 2U);
  });
}

TEST(AsofJoinTest, AVersionThatComesBetweenIsNotSeenByWhatIsOwed) {
  OperatorHarness::run(join(JoinType::kLeft, 1), [](OperatorHarness& h) {
    SCOPED_TRACE(h.mode());
    for (int key = 0; key < 5; ++key) probe(h, 5, std::to_string(key), key);
    h.begin_watermark(at(10));
    for (int key = 0; key < 5; ++key) version(h, 4, "v", key);
    h.finish_watermark();
    EXPECT_THAT(rows(h),
                UnorderedElementsAre("0,-@5000", "1,-@5000", "2,-@5000", "3,-@5000", "4,-@5000"));
  });
}

TEST(AsofJoinTest, IsInnerOrLeft) {
  EXPECT_THROW(OperatorHarness(join(JoinType::kRight), {}), Error);
  EXPECT_THROW(OperatorHarness(join(JoinType::kOuter), {}), Error);
}

// From lists of all records: each probe is answered from the versions there are when its time is
// passed. A row: key (-1: a late probe, -2: a late version), time, text.
using Row = std::tuple<int, std::int64_t, std::string>;
class Oracle {
 public:
  explicit Oracle(JoinType type) : type_(type) {}

  void probes(const std::vector<Record<Probe>>& records, std::vector<Row>& rows) {
    for (const auto& [probe, time] : records) {
      if (time.ms < watermark_) {
        rows.emplace_back(-1, time.ms, probe.text);
      } else {
        waiting_.push_back({probe, time});
      }
    }
  }
  void versions(const std::vector<Record<Version>>& records, std::vector<Row>& rows) {
    for (const auto& [version, time] : records) {
      auto& all = versions_[version.row.key];
      const auto newest = newest_at(all, watermark_);
      if (time.ms < watermark_ && newest != all.end() && newest->first > time.ms) {
        rows.emplace_back(-2, time.ms, version.row.text);
      } else {
        all[time.ms] = version;
      }
    }
  }
  void watermark(std::int64_t time, std::vector<Row>& rows) {
    watermark_ = time;
    std::erase_if(waiting_, [&](const Record<Probe>& waiting) {
      const auto& [probe, at] = waiting;
      if (at.ms >= time) return false;
      auto& all = versions_[probe.key];
      const auto newest = newest_at(all, at.ms);
      const bool has_one = newest != all.end() && !newest->second.is_delete();
      if (has_one || type_ == JoinType::kLeft) {
        rows.emplace_back(probe.key, at.ms,
                          probe.text + "," + (has_one ? newest->second.row.text : "-"));
      }
      return true;
    });
  }

 private:
  using Versions = std::map<std::int64_t, Version>;
  static Versions::iterator newest_at(Versions& all, std::int64_t time) {
    const auto newer = all.upper_bound(time);
    return newer == all.begin() ? all.end() : std::prev(newer);
  }

  const JoinType type_;
  std::vector<Record<Probe>> waiting_;
  std::map<int, Versions> versions_;
  std::int64_t watermark_ = -1000000;
};

void operator_and_oracle_agree() {
  const JoinType type = *rc::gen::element(JoinType::kInner, JoinType::kLeft);
  OperatorHarness h(join(type, *rc::gen::element<std::size_t>(1, 3, 1000)),
                    HarnessOptions{.backend = "memory",
                                   .restarts = *rc::gen::inRange(0, 3) == 0,
                                   .parallelism = *rc::gen::inRange(1, 4),
                                   .key_groups = *rc::gen::element(4U, 16U)});
  Oracle oracle(type);
  std::vector<Row> expected;
  std::vector<Row> actual;
  std::map<std::string, int> keys;
  const auto take = [&] {
    for (const auto& [text, time] : h.drain<std::string>())
      actual.emplace_back(keys.at(text.substr(0, text.find(','))), time.ms, text);
    for (const auto& [probe, time] : h.drain<Probe>(1))
      actual.emplace_back(-1, time.ms, probe.text);
    for (const auto& [version, time] : h.drain<Version>(2))
      actual.emplace_back(-2, time.ms, version.row.text);
  };
  const auto compare = [&] {
    std::sort(expected.begin(), expected.end());
    std::sort(actual.begin(), actual.end());
    RC_ASSERT(actual == expected);
  };
  std::int64_t watermark = *rc::gen::inRange(-40, 10);
  bool is_firing = false;
  const int steps = *rc::gen::inRange(1, 25);
  for (int i = 0; i < steps; ++i) {
    const int step = *rc::gen::inRange(0, 10);
    if (step < 6) {
      std::vector<Record<Probe>> probes;
      std::vector<Record<Version>> versions;
      Batch<Probe> left;
      Batch<Version> right;
      const int count = *rc::gen::inRange(1, 6);
      for (int n = 0; n < count; ++n) {
        const Probe row{*rc::gen::inRange(0, 3), std::to_string(keys.size())};
        keys[row.text] = row.key;
        const EventTime time{watermark + *rc::gen::inRange(-12, 12)};
        if (step < 3) {
          probes.push_back({row, time});
          left.append_hashed(row, time, key_hash(row.key));
        } else {
          const bool is_delete = *rc::gen::inRange(0, 4) == 0;
          versions.push_back({is_delete ? Version::remove(row) : Version::insert(row), time});
          right.append_hashed(versions.back().value, time, key_hash(row.key));
        }
      }
      oracle.probes(probes, expected);
      oracle.versions(versions, expected);
      step < 3 ? h.push(std::move(left), 0) : h.push(std::move(right), 1);
    } else if (step < 9) {
      watermark += *rc::gen::inRange(0, 12);
      oracle.watermark(watermark, expected);
      is_firing = *rc::gen::arbitrary<bool>();
      is_firing ? h.begin_watermark({watermark}) : h.watermark({watermark});
    } else {
      h.restart(*rc::gen::inRange(1, 4));
    }
    take();
    if (!is_firing) compare();
  }
  oracle.watermark(1000000, expected);
  h.end();
  take();
  compare();
}

TEST(AsofJoinTest, AgreesWithItsDefinition) {
  EXPECT_TRUE(rc::check("any script", operator_and_oracle_agree));
}

}  // namespace
}  // namespace tidemill
