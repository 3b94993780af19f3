#include <array>

#include "bench/nexmark/queries/q20.h"
#include "bench/nexmark/queries/q3.h"
#include "bench/nexmark/queries/q4.h"
#include "bench/nexmark/queries/q6.h"
#include "bench/nexmark/queries/q8.h"
#include "bench/nexmark/queries/q9.h"
#include "bench/nexmark/queries/queries.h"

namespace tidemill::nexmark {

std::span<const Query> join_queries() {
  static constexpr std::array kQueries{
      Query{"q3", [](const Events& in, const Outputs& out) { out.write(q3(in)); }},
      Query{"q4", [](const Events& in, const Outputs& out) { out.write(q4(in)); }},
      Query{"q6", [](const Events& in, const Outputs& out) { out.write(q6(in)); }},
      Query{"q8", [](const Events& in, const Outputs& out) { out.write(q8(in)); }},
      Query{"q9", [](const Events& in, const Outputs& out) { out.write(q9(in)); }},
      Query{"q20", [](const Events& in, const Outputs& out) { out.write(q20(in)); }},
  };
  return kQueries;
}

}  // namespace tidemill::nexmark
