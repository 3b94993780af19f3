#include <array>

#include "bench/nexmark/queries/q15.h"
#include "bench/nexmark/queries/q16.h"
#include "bench/nexmark/queries/q17.h"
#include "bench/nexmark/queries/q18.h"
#include "bench/nexmark/queries/q19.h"
#include "bench/nexmark/queries/queries.h"

namespace tidemill::nexmark {

std::span<const Query> aggregate_queries() {
  static constexpr std::array kQueries{
      Query{"q15", [](const Events& in, const Outputs& out) { out.write(q15(in)); }},
      Query{"q16", [](const Events& in, const Outputs& out) { out.write(q16(in)); }},
      Query{"q17", [](const Events& in, const Outputs& out) { out.write(q17(in)); }},
      Query{"q18", [](const Events& in, const Outputs& out) { out.write(q18(in)); }},
      Query{"q19", [](const Events& in, const Outputs& out) { out.write(q19(in)); }},
  };
  return kQueries;
}

}  // namespace tidemill::nexmark
