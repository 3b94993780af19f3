// Keys as popular as ranks by Zipf's law: the k-th of n with a probability in proportion to
// 1 / k^s. Rejection-inversion (Hörmann and Derflinger 1996): no table, any n, a few dozen ns.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>

namespace tidemill {

class Zipf {
 public:
  // `exponent` is above 0 and not 1.
  Zipf(std::uint64_t n, double exponent)
      : n_(n),
        exponent_(exponent),
        low_(integral(1.5) - 1),
        high_(integral(static_cast<double>(n) + 0.5)),
        certain_(2 - inverse(integral(2.5) - weight(2))) {}

  // A rank from 0 on, the most popular first.
  template <class Random>
  std::uint64_t operator()(Random& random) {
    while (true) {
      const double u = std::uniform_real_distribution<double>(low_, high_)(random);
      const double x = inverse(u);
      const double k = std::clamp(std::floor(x + 0.5), 1.0, static_cast<double>(n_));
      if (k - x <= certain_ || u >= integral(k + 0.5) - weight(k))
        return static_cast<std::uint64_t>(k) - 1;
    }
  }

 private:
  [[nodiscard]] double weight(double x) const { return std::pow(x, -exponent_); }
  [[nodiscard]] double integral(double x) const {
    return (std::pow(x, 1 - exponent_) - 1) / (1 - exponent_);
  }
  [[nodiscard]] double inverse(double u) const {
    return std::pow(1 + u * (1 - exponent_), 1 / (1 - exponent_));
  }

  const std::uint64_t n_;
  const double exponent_;
  const double low_;
  const double high_;
  const double certain_;
};

}  // namespace tidemill
