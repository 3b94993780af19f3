// A replay takes the place of its job: begun, watched, told how to roll it back.
#include <ostream>

#include "connectors/formats/json_writer.h"
#include "engine/base/error.h"
#include "service/cli/calls.h"
#include "service/cli/connection.h"
#include "service/cli/table.h"

namespace tidemill::cli {
namespace {

// What the phases of a promotion are to people.
std::string phase_text(const std::string& phase) {
  if (phase == "replaying") return "replaying: the replay is far behind the job";
  if (phase == "catching_up") return "catching up: the replay is near the job";
  if (phase == "holding") return "holding: the replay waits until the job has passed it";
  if (phase == "cutting") return "cutting: the job has stopped, the replay goes on to where it did";
  if (phase == "moving") return "moving: the replay's state and keys become the job's";
  if (phase == "done") return "done: the new version runs";
  return phase;
}

std::string line_of(const Answer& promotion) {
  const std::string trouble = promotion["error"].text();
  return phase_text(promotion["phase"].text()) + (trouble.empty() ? "" : " (" + trouble + ")");
}

// The promotion of this number as it is now.
Answer look_at(const Connection& connection, const std::string& job, const std::string& id) {
  for (const Answer& one : connection.get("promotions", {{"job", job}}).answer["promotions"].list())
    if (one["id"].text() == id) return one;
  throw CallFailed("the server does not know promotion " + id + " of " + job + " any more",
                   "tidemill promotions lists them", 1);
}

std::string to_roll_back(const Answer& promotion) {
  const std::string job = promotion["job"].text();
  const std::string name = promotion["replay"].text().substr(job.size() + 1);
  return "to roll back: tidemill replay " + job + " --as before-" + name + " --version " +
         promotion["replaced_version"].text() + " --restore " + promotion["savepoint"].text() +
         ", then tidemill promote " + job + ".before-" + name;
}

std::string replayed_by(const Invocation& invocation, const Connection& connection) {
  const std::string job = connection.get(connection.job()).answer["replay_of"].text();
  if (job.empty())
    throw Error(ErrorCode::kConfig,
                invocation.text("JOB") +
                    " is no replay: give JOB.NAME, which tidemill replay JOB --as NAME starts");
  return job;
}

void print_diff(const Invocation& invocation, const Answer& diff) {
  const auto count = [&](const char* name) { return count_text(diff[name].number()); };
  invocation.out << printable(diff["output"].text()) << "\n"
                 << "rows: " << count("equal") << " equal, " << count("different") << " different, "
                 << count("only_live") << " of the job only, " << count("only_replay")
                 << " of the replay only; " << count("keys") << " keys\n";
  if (!diff["first_window"].is_null())
    invocation.out << "compared from " << printable(diff["first_window"].text()) << " to "
                   << printable(diff["last_window"].text()) << ", where the replay has rows; "
                   << count("outside") << " rows of the job are outside\n";
  if (diff["one_key_in"].number().value_or(1) > 1)
    invocation.out << "too much for memory: one key in " << count("one_key_in")
                   << " was compared\n";
  Table table({"KEY", "WINDOW", "JOB", "REPLAY"});
  for (const Answer& one : diff["differences"].list())
    table.add({one["key"].text(), one["window"].is_null() ? "-" : one["window"].text(),
               json_or_dash(one["live"]), json_or_dash(one["replay"])});
  if (table.empty()) return;
  invocation.out << "\n";
  table.print(invocation.out, invocation.width);
}

}  // namespace

namespace calls {

void diff(const Invocation& invocation) {
  const Connection connection(invocation, kComparisonTime);
  const std::string job = replayed_by(invocation, connection);
  std::map<std::string, std::string> query = {{"replay", invocation.text("JOB")}};
  if (invocation.has("--output")) query["output"] = invocation.text("--output");
  query["show"] = invocation.has("--show") ? invocation.text("--show") : "20";
  const Reply reply = connection.get("jobs/" + job + "/diff", query);
  if (!printed_whole(invocation, reply)) print_diff(invocation, reply.answer);
}

void promote(const Invocation& invocation) {
  const Connection connection(invocation);
  const std::string replay = invocation.text("JOB");
  const std::string job = replayed_by(invocation, connection);
  std::string body;
  JsonWriter(body).begin_object().field("replay", replay).end_object();
  const bool is_cancel = invocation.has("--cancel");
  const Reply reply = connection.send(is_cancel ? "DELETE" : "POST", "jobs/" + job + "/promote",
                                      is_cancel ? "" : body);
  if (is_cancel || invocation.has("--no-wait")) {
    if (printed_whole(invocation, reply)) return;
    invocation.out << printable(is_cancel ? job + ": the old version stays"
                                          : replay +
                                                ": is being promoted; tidemill promotions "
                                                "shows how far it is")
                   << "\n";
    return;
  }
  const std::string id = reply.answer["id"].text();
  std::string shown;
  while (true) {
    const Answer now = look_at(connection, job, id);
    const std::string phase = now["phase"].text();
    if (const std::string line = line_of(now); line != shown) {
      (invocation.has("--json") ? invocation.err : invocation.out) << printable(line) << "\n"
                                                                   << std::flush;
      shown = line;
    }
    if (phase == "done") {
      if (!invocation.has("--json"))
        invocation.out << printable(to_roll_back(now)) << "\n";
      else
        printed_whole(invocation, connection.get("promotions", {{"job", job}, {"limit", "1"}}));
      return;
    }
    if (phase == "failed")
      throw CallFailed(replay + " was not promoted: " + now["error"].text(),
                       "the old version runs on; tidemill status " + job + " shows it", 1);
    if (!invocation.pause()) return;
  }
}

void promotions(const Invocation& invocation) {
  const std::string limit = invocation.has("--limit") ? invocation.text("--limit") : "20";
  const Reply reply = Connection(invocation).get("promotions", {{"limit", limit}});
  if (printed_whole(invocation, reply)) return;
  Table table({"BEGUN", "REPLAY", "PHASE", ">REPLACED VERSION", "SAVEPOINT", "TROUBLE"});
  for (const Answer& one : reply.answer["promotions"].list())
    table.add({instant_text(one["created_ms"].number()), one["replay"].text(), one["phase"].text(),
               one["replaced_version"].text(), or_dash(one["savepoint"].text()),
               or_dash(one["error"].text())});
  if (table.empty()) {
    invocation.out << "no promotions; tidemill promote JOB.NAME begins one\n";
  } else {
    table.print(invocation.out, invocation.width);
  }
}

}  // namespace calls
}  // namespace tidemill::cli
