#include "bench/nexmark/hand/hand_loops.h"

#include <algorithm>
#include <array>

#include "bench/nexmark/hand/aggregates.h"
#include "bench/nexmark/hand/joins.h"
#include "bench/nexmark/hand/stateless.h"
#include "bench/nexmark/hand/windows.h"

namespace tidemill::nexmark {
namespace {

volatile std::uint64_t used = 0;  // so that no row is optimised away

template <void (*kCount)(const EventLog&, hand::CountedRows&),
          void (*kCheck)(const EventLog&, hand::CheckedRows&)>
constexpr HandLoop loop(std::string_view query) {
  return {query,
          [](const EventLog& log) {
            hand::CountedRows rows;
            kCount(log, rows);
            used = rows.sum();
            return rows.rows();
          },
          [](const EventLog& log) {
            hand::CheckedRows rows;
            kCheck(log, rows);
            return HandLoop::Checked{rows.rows(), rows.sum()};
          }};
}

constexpr std::array kLoops{
    loop<hand::q0, hand::q0>("q0"),    loop<hand::q1, hand::q1>("q1"),
    loop<hand::q2, hand::q2>("q2"),    loop<hand::q3, hand::q3>("q3"),
    loop<hand::q4, hand::q4>("q4"),    loop<hand::q5, hand::q5>("q5"),
    loop<hand::q7, hand::q7>("q7"),    loop<hand::q8, hand::q8>("q8"),
    loop<hand::q9, hand::q9>("q9"),    loop<hand::q11, hand::q11>("q11"),
    loop<hand::q13, hand::q13>("q13"), loop<hand::q14, hand::q14>("q14"),
    loop<hand::q15, hand::q15>("q15"), loop<hand::q16, hand::q16>("q16"),
    loop<hand::q17, hand::q17>("q17"), loop<hand::q18, hand::q18>("q18"),
    loop<hand::q19, hand::q19>("q19"), loop<hand::q20, hand::q20>("q20"),
    loop<hand::q21, hand::q21>("q21"), loop<hand::q22, hand::q22>("q22"),
};

}  // namespace

const HandLoop* find_hand_loop(std::string_view query) {
  const auto found = std::find_if(kLoops.begin(), kLoops.end(),
                                  [&](const HandLoop& l) { return l.query == query; });
  return found == kLoops.end() ? nullptr : &*found;
}

}  // namespace tidemill::nexmark
