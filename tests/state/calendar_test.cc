#include "state/calendar.h"

#include <gtest/gtest.h>
#include <random>

#include "engine/base/error.h"

namespace tidemill {
namespace {

// Sets timers as a job would, `spans` ahead of a time that goes on, and drops what is past.
std::size_t most_buckets(Duration step, const std::vector<Duration>& spans, Duration granularity) {
  Calendar calendar;
  std::size_t most = 0;
  EventTime now{1'700'000'000'000};
  for (int i = 0; i < 200'000; ++i) {
    now = now + step;
    for (const Duration span : spans) {
      const EventTime t = ceil_to(now + span, granularity);
      if (calendar.find(t) == nullptr) calendar.make(t, calendar.level_for(t - now));
      EXPECT_TRUE(calendar.find(t)->contains(t));
    }
    while (calendar.first_last() < now) calendar.remove(calendar.buckets().front());
    EXPECT_FALSE(calendar.is_nested());
    most = std::max(most, calendar.buckets().size());
  }
  return most;
}

TEST(Calendar, HasFewBucketsWhateverTheSpans) {
  EXPECT_LT(most_buckets(1ms, {1ms, 2ms, 50ms}, 1ms), 200U);
  EXPECT_LT(most_buckets(7ms, {5min}, 1ms), 200U);
  EXPECT_LT(most_buckets(1s, {5min, 1h, 24h}, 1ms), 200U);
  EXPECT_LT(most_buckets(1min, {5min, 1h, 24h}, 24min), 200U);
  std::vector<Duration> all;
  for (Duration d = 1ms; d < 24h; d = d * 3 / 2 + 1ms) all.push_back(d);
  EXPECT_LT(most_buckets(13s, all, 1ms), 200U);
}

TEST(Calendar, FindsTheFinestBucket) {
  Calendar calendar;
  EXPECT_EQ(calendar.find(EventTime{5}), nullptr);
  const Calendar::Bucket whole = Calendar::bucket_at(EventTime{-70'000}, 12);
  calendar.add(whole);
  EXPECT_TRUE(whole.contains(EventTime{-1}));
  EXPECT_FALSE(whole.contains(EventTime{0}));
  const Calendar::Bucket part = calendar.make(EventTime{-130'000}, 4);
  EXPECT_TRUE(calendar.is_nested());
  EXPECT_EQ(calendar.find(EventTime{-130'000})->level, 4);
  EXPECT_EQ(calendar.find(EventTime{-100'000})->level, 12);
  EXPECT_EQ(calendar.find(EventTime{0}), nullptr);
  // A bucket that would contain another is made smaller.
  const Calendar::Bucket between = calendar.make(EventTime{-129'500}, 11);
  EXPECT_GT(between.start, part.last);
  calendar.remove(part);
  calendar.remove(between);
  EXPECT_FALSE(calendar.is_nested());
  EXPECT_EQ(calendar.find(EventTime{-130'000})->level, 12);
}

TEST(Calendar, NamesEveryBucketDifferently) {
  std::mt19937_64 random(3);
  for (int i = 0; i < 10'000; ++i) {
    const EventTime t{static_cast<std::int64_t>(random() >> (random() % 64))};
    const int level = 1 + static_cast<int>(random() % 40);
    const Calendar::Bucket bucket = Calendar::bucket_at(t, level);
    ASSERT_TRUE(bucket.contains(t));
    const Calendar::Bucket again = Calendar::bucket_of_namespace(bucket.ns());
    ASSERT_EQ(again.start, bucket.start);
    ASSERT_EQ(again.last, bucket.last);
    ASSERT_EQ(again.level, level);
  }
  EXPECT_THROW(Calendar::bucket_of_namespace(EventTime{128}), Error);
  EXPECT_THROW(Calendar::bucket_of_namespace(EventTime{63}), Error);
}

TEST(Calendar, TakesTheEndsOfTime) {
  Calendar calendar;
  for (const EventTime t : {EventTime::max(), EventTime::min(), EventTime{0}}) {
    calendar.make(t, calendar.level_for(t - EventTime{0}));
    EXPECT_TRUE(calendar.find(t)->contains(t));
  }
  EXPECT_EQ(calendar.buckets().size(), 3U);
}

}  // namespace
}  // namespace tidemill
