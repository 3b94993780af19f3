#include "connectors/redis/row_queue.h"

#include <deque>
#include <gtest/gtest.h>
#include <map>
#include <rapidcheck.h>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace tidemill {
namespace {

// What the queue means, plainly: the truth the property compares with.
struct ModelRow {
  std::uint64_t first_number;
  std::string key;
  std::string value;
  bool is_resent;
};

TEST(RedisRowQueue, ResendsTheLastRowOfEachKeyInTheFirstOnesPlace) {
  RedisRowQueue queue;
  queue.push({}, "p:", "k", "1");
  queue.push({}, "p:", "l", "2");
  queue.push({}, "p:", "k", "3");
  queue.push({}, "p:", "k", "not sent");
  for (int i = 0; i < 3; ++i) queue.mark_sent();
  queue.resend();

  ASSERT_EQ(queue.size(), 3u);
  EXPECT_EQ(queue.sent(), 0u);
  EXPECT_EQ(queue.key(queue.next_to_send()), "p:k");
  EXPECT_EQ(queue.value(queue.next_to_send()), "3");
  EXPECT_TRUE(queue.next_to_send().is_resent);
  queue.mark_sent();
  EXPECT_EQ(queue.value(queue.next_to_send()), "2");
  queue.mark_sent();
  EXPECT_EQ(queue.value(queue.next_to_send()), "not sent");
  EXPECT_FALSE(queue.next_to_send().is_resent);

  EXPECT_EQ(queue.answered_up_to(), 0u);
  queue.mark_answered();
  EXPECT_EQ(queue.answered_up_to(), 1u);
  queue.mark_answered();
  EXPECT_EQ(queue.answered_up_to(), 3u);
  queue.mark_sent();
  queue.mark_answered();
  EXPECT_EQ(queue.answered_up_to(), 4u);
  EXPECT_TRUE(queue.empty());
  EXPECT_EQ(queue.bytes(), 0u);
}

TEST(RedisRowQueue, KeepsNoMemoryOfAnsweredRows) {
  RedisRowQueue queue;
  const std::string value(1000, 'v');
  for (int i = 0; i < 100'000; ++i) {
    queue.push({}, "", "key", value);
    queue.mark_sent();
    if (queue.size() > 100) queue.mark_answered();
    ASSERT_LE(queue.bytes(), 101u * 1003u);
  }
}

TEST(RedisRowQueueProperty, DoesWhatAPlainListDoes) {
  EXPECT_TRUE(rc::check([] {
    RedisRowQueue queue;
    std::deque<ModelRow> sent;
    std::deque<ModelRow> unsent;
    std::uint64_t last = 0;
    const auto steps = *rc::gen::container<std::vector<int>>(rc::gen::inRange(0, 100));
    for (const int step : steps) {
      if (step < 40) {
        const std::string key = std::string(1, static_cast<char>('a' + step % 4));
        const std::string value = std::to_string(step) + "/" + std::to_string(last);
        RC_ASSERT(queue.push({}, "p", key, value) == ++last);
        unsent.push_back({last, "p" + key, value, false});
      } else if (step < 75 && !unsent.empty()) {
        RC_ASSERT(queue.value(queue.next_to_send()) == unsent.front().value);
        RC_ASSERT(queue.key(queue.next_to_send()) == unsent.front().key);
        RC_ASSERT(queue.next_to_send().is_resent == unsent.front().is_resent);
        queue.mark_sent();
        sent.push_back(unsent.front());
        unsent.pop_front();
      } else if (step < 97 && !sent.empty()) {
        RC_ASSERT(queue.value(queue.oldest_sent()) == sent.front().value);
        queue.mark_answered();
        sent.pop_front();
      } else if (step >= 97) {
        queue.resend();
        std::deque<ModelRow> again;
        for (const ModelRow& row : sent) {
          const auto same = std::find_if(again.begin(), again.end(), [&](const ModelRow& other) {
            return other.key == row.key;
          });
          if (same == again.end()) {
            again.push_back({row.first_number, row.key, row.value, true});
          } else {
            same->value = row.value;
          }
        }
        again.insert(again.end(), unsent.begin(), unsent.end());
        unsent = again;
        sent.clear();
      }
      RC_ASSERT(queue.sent() == sent.size());
      RC_ASSERT(queue.unsent() == unsent.size());
      const std::uint64_t answered = !sent.empty()     ? sent.front().first_number - 1
                                     : !unsent.empty() ? unsent.front().first_number - 1
                                                       : last;
      RC_ASSERT(queue.answered_up_to() == answered);
    }
  }));
}

}  // namespace
}  // namespace tidemill
