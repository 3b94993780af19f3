// The operator of examples/custom_operator.cc; its test is
// tests/examples/impossible_travel_test.cc.
#pragma once

#include <string>

#include <boost/describe.hpp>

#include "engine/operator/operator.h"
#include "state/keyed_value.h"

namespace tidemill::examples {

struct Payment {
  std::string card;
  std::string country;
  EventTime at{};
};

struct Alert {
  std::string card;
  std::string from;
  std::string to;
};

// What is remembered of a card. One line makes the struct storable.
struct Seen {
  std::string country;
  EventTime at{};
  BOOST_DESCRIBE_CLASS(Seen, (), (country, at), (), ())
};

// Alerts when one card is used in two countries less than `within` apart.
class ImpossibleTravel final : public OneInput<Payment> {
 public:
  using Out = Alert;

  ImpossibleTravel(OperatorContext& ctx, Duration within)
      : within_(within), seen_(ctx, "seen"), alerts_(ctx.output<Alert>(0)) {}

  void process(Batch<Payment>& payments) override {
    for (auto& [payment, time] : payments) {
      Seen& last = seen_[payment.card];
      const bool moved = !last.country.empty() && last.country != payment.country;
      if (moved && time - last.at < within_)
        alerts_.emit({payment.card, last.country, payment.country}, time);
      last = {payment.country, time};
    }
  }

 private:
  const Duration within_;
  KeyedValue<std::string, Seen> seen_;
  Emitter<Alert>& alerts_;
};

}  // namespace tidemill::examples
