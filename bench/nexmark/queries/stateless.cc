#include <array>

#include "bench/nexmark/queries/q0.h"
#include "bench/nexmark/queries/q1.h"
#include "bench/nexmark/queries/q10.h"
#include "bench/nexmark/queries/q13.h"
#include "bench/nexmark/queries/q14.h"
#include "bench/nexmark/queries/q2.h"
#include "bench/nexmark/queries/q21.h"
#include "bench/nexmark/queries/q22.h"
#include "bench/nexmark/queries/queries.h"

namespace tidemill::nexmark {

std::span<const Query> stateless_queries() {
  static constexpr std::array kQueries{
      Query{"q0", [](const Events& in, const Outputs& out) { out.write(q0(in)); }},
      Query{"q1", [](const Events& in, const Outputs& out) { out.write(q1(in)); }},
      Query{"q2", [](const Events& in, const Outputs& out) { out.write(q2(in)); }},
      Query{"q10", [](const Events& in, const Outputs& out) { out.write(q10(in)); }, kQ10Bucket},
      Query{"q13", [](const Events& in, const Outputs& out) { out.write(q13(in)); }},
      Query{"q14", [](const Events& in, const Outputs& out) { out.write(q14(in)); }},
      Query{"q21", [](const Events& in, const Outputs& out) { out.write(q21(in)); }},
      Query{"q22", [](const Events& in, const Outputs& out) { out.write(q22(in)); }},
  };
  return kQueries;
}

}  // namespace tidemill::nexmark
