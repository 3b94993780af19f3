#include <array>

#include "bench/nexmark/queries/q11.h"
#include "bench/nexmark/queries/q12.h"
#include "bench/nexmark/queries/q5.h"
#include "bench/nexmark/queries/q7.h"
#include "bench/nexmark/queries/queries.h"

namespace tidemill::nexmark {

std::span<const Query> window_queries() {
  static constexpr std::array kQueries{
      Query{"q5", [](const Events& in, const Outputs& out) { out.write(q5(in)); }},
      Query{"q7", [](const Events& in, const Outputs& out) { out.write(q7(in)); }},
      Query{"q11", [](const Events& in, const Outputs& out) { out.write(q11(in)); }},
      Query{"q12", [](const Events& in, const Outputs& out) { out.write(q12(in)); }},
  };
  return kQueries;
}

}  // namespace tidemill::nexmark
