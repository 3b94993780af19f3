#include "examples/impossible_travel.h"

#include <gtest/gtest.h>
#include <memory>

#include "testing/operator_harness.h"

namespace tidemill::examples {
namespace {

using testing::OperatorHarness;

// Runs straight through and restarted between every two steps, on every state backend.
TEST(ImpossibleTravel, AlertsOnTwoCountriesWithinTheTime) {
  OperatorHarness::run(
      [](OperatorContext& ctx) { return std::make_unique<ImpossibleTravel>(ctx, 1h); },
      [](OperatorHarness& h) {
        SCOPED_TRACE(h.mode());
        const auto pay = [&](const char* card, const char* country, std::int64_t minute) {
          const EventTime at{minute * 60'000};
          h.push<Payment>({{{card, country, at}, at}});
        };
        pay("a", "DE", 0);
        pay("a", "DE", 10);
        pay("b", "FR", 11);
        EXPECT_TRUE(h.drain<Alert>().empty());
        pay("a", "SE", 69);
        const auto alerts = h.drain<Alert>();
        ASSERT_EQ(alerts.size(), 1U);
        EXPECT_EQ(alerts[0].value.from, "DE");
        EXPECT_EQ(alerts[0].value.to, "SE");
        pay("a", "DE", 129);  // an hour later to the minute: possible
        EXPECT_TRUE(h.drain<Alert>().empty());
      });
}

}  // namespace
}  // namespace tidemill::examples
