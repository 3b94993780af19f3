// Whether Redis serves what a job has committed.
#include <ostream>

#include "service/cli/calls.h"
#include "service/cli/connection.h"
#include "service/cli/table.h"

namespace tidemill::cli {
namespace {

void print_verification(const Invocation& invocation, const Answer& found) {
  const auto count = [&](const char* name) { return count_text(found[name].number()); };
  invocation.out << printable(found["redis"].text() + " beside " + found["committed"].text())
                 << "\n"
                 << count("sampled") << " keys: " << count("equal") << " equal, " << count("ahead")
                 << " ahead of the last commit, " << count("behind") << " behind, "
                 << count("missing") << " missing, " << count("different") << " different, "
                 << count("unknown") << " unknown; rightly not there: " << count("absent")
                 << " without a row, " << count("expired") << " expired\n";
  if (!found["is_certain"].is_true())
    invocation.out << "not certain: the job has not committed three checkpoints since Redis was "
                      "read, so what is named may only be ahead\n";
  Table table({"KEY", "KIND", "REDIS", "COMMITTED"});
  for (const Answer& one : found["differences"].list())
    table.add({one["key"].text(), one["kind"].text(), json_or_dash(one["redis"]),
               json_or_dash(one["committed"])});
  if (table.empty()) return;
  invocation.out << "\n";
  table.print(invocation.out, invocation.width);
}

}  // namespace

namespace calls {

void verify(const Invocation& invocation) {
  const Connection connection(invocation, kComparisonTime);
  std::map<std::string, std::string> query;
  for (const char* name : {"sample", "seed", "show"}) {
    const std::string flag = std::string("--") + name;
    if (invocation.has(flag)) query[name] = invocation.text(flag);
  }
  const Reply reply = connection.get(connection.job() + "/verify", query);
  const Answer& found = reply.answer;
  if (!printed_whole(invocation, reply)) print_verification(invocation, found);
  double wrong = 0;
  for (const char* kind : {"behind", "missing", "different", "unknown"})
    wrong += found[kind].number().value_or(0);
  if (wrong > 0)
    throw CallFailed("Redis does not serve what " + invocation.text("JOB") +
                         " has committed: " + count_text(wrong) + " of " +
                         count_text(found["sampled"].number()) + " keys",
                     "see docs/operations.md, \"Is Redis right?\"", 1);
}

}  // namespace calls
}  // namespace tidemill::cli
