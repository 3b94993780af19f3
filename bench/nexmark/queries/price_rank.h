// Bids by the rank of their price, as q15 to q17 count them.
#pragma once

#include <array>
#include <cstdint>

namespace tidemill::nexmark {

// 0 below 10,000, 1 below 1,000,000, 2 for the rest.
inline std::size_t price_rank(std::int64_t price) {
  return price < 10'000 ? 0 : price < 1'000'000 ? 1 : 2;
}

using CountsByRank = std::array<std::int64_t, 3>;

}  // namespace tidemill::nexmark
