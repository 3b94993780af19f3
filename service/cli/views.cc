// The verbs that read, and how people see what they read.
#include <algorithm>
#include <charconv>
#include <ostream>

#include "engine/base/error.h"
#include "service/cli/calls.h"
#include "service/cli/connection.h"
#include "service/cli/table.h"

namespace tidemill::cli {
namespace {

constexpr std::size_t kLabel = 12;        // column of what a line of `status` is about
constexpr std::size_t kOutputsShown = 5;  // `status` stays within a screen
constexpr std::size_t kRunsShown = 10;
constexpr const char* kMostLines = "2000";

std::optional<double> in_ms(const Answer& us) {
  const auto number = us.number();
  return number ? std::optional(*number / 1000) : std::nullopt;
}

void print_line(const Invocation& invocation, const std::string& label, const std::string& text) {
  std::string heading = label;
  heading.resize(kLabel, ' ');
  invocation.out << heading << wrapped(printable(text), invocation.width, kLabel, kLabel) << "\n";
}

void print_problems(const Invocation& invocation, const std::vector<Answer>& problems) {
  for (const Answer& problem : problems) {
    std::string line = printable(problem["severity"].text() + " " + problem["id"].text() + ": " +
                                 problem["text"].text());
    if (problem["since_ms"].number())
      line += " (since " + ago_text(problem["since_ms"].number(), invocation.now_ms) + ")";
    invocation.out << wrapped(line, invocation.width, 2) << "\n";
    if (const std::string next = problem["next"].text(); !next.empty())
      invocation.out << "  " << wrapped("next: " + printable(next), invocation.width, 4, 2) << "\n";
  }
  if (!problems.empty()) invocation.out << "\n";
}

std::string watermark_text(const Answer& status, std::int64_t now_ms) {
  const auto at = status["watermark_ms"].number();
  if (!at) return "-";
  std::string text = instant_text(at) + " (" + ago_text(at, now_ms) + ")";
  const Answer holder = status["watermark_holder"];
  if (!holder.is_null()) {
    text += ", held by " + holder["source"].text() + " " + holder["split"].text() + ", " +
            duration_text(holder["behind_ms"].number()) + " behind";
    if (const auto since = holder["since_s"].number())
      text += ", for " + duration_text(*since * 1000);
  }
  return text;
}

std::string checkpoint_text(const Answer& checkpoint, std::int64_t now_ms) {
  const std::string id = checkpoint["last_id"].text();
  const std::string every = ", one each " + duration_text(checkpoint["interval_ms"].number());
  if (id.empty() && checkpoint["last_ms"].is_null()) return "none yet" + every;
  return or_dash(id) + ", " + ago_text(checkpoint["last_ms"].number(), now_ms) + ", took " +
         duration_text(in_ms(checkpoint["duration_us"])) + ", " +
         bytes_text(checkpoint["bytes"].number()) + every;
}

// A job says a text, a server where it was not the job that saw it {at_ms, message}.
std::string failure_text(const Answer& failure) {
  return failure["message"].is_null() ? failure.text() : failure["message"].text();
}

void print_status(const Invocation& invocation, const Answer& status) {
  const std::int64_t now = invocation.now_ms;
  print_problems(invocation, status["problems"].list());
  print_line(invocation, "job", or_dash(status["job"].text()));
  std::string state = or_dash(status["state"].text());
  if (status["since_ms"].number())
    state += ", since " + instant_text(status["since_ms"].number()) + " (" +
             ago_text(status["since_ms"].number(), now) + ")";
  if (const std::string desired = status["server"]["desired"].text(); !desired.empty())
    state += ", wanted: " + desired;
  print_line(invocation, "state", state);
  print_line(invocation, "process",
             "pid " + or_dash(status["pid"].text()) + ", version " +
                 or_dash(status["version"].text()) + ", parallelism " +
                 or_dash(status["parallelism"].text()) + ", started " +
                 ago_text(status["started_ms"].number(), now));
  std::string restarts = count_text(status["restarts"].number());
  if (const std::string why = failure_text(status["last_failure"]); !why.empty())
    restarts += ", last failure: " + why;
  print_line(invocation, "restarts", restarts);
  print_line(invocation, "rates",
             count_text(status["rates"]["events_per_s"].number()) + " events/s in, " +
                 count_text(status["rates"]["rows_per_s"].number()) + " rows/s out");
  const Answer totals = status["totals"];
  print_line(invocation, "so far",
             count_text(totals["events"].number()) + " events, " +
                 count_text(totals["rows"].number()) + " rows, " +
                 count_text(totals["late"].number()) + " late, " +
                 count_text(totals["bad"].number()) + " bad");
  print_line(invocation, "lag", count_text(status["lag_records"].number()) + " records");
  print_line(invocation, "watermark", watermark_text(status, now));
  const std::vector<Answer> outputs = status["freshness"].list();
  if (outputs.empty()) print_line(invocation, "freshness", "-");
  for (std::size_t i = 0; i < std::min(outputs.size(), kOutputsShown); ++i)
    print_line(invocation, i == 0 ? "freshness" : "",
               outputs[i]["output"].text() + ": p50 " +
                   duration_text(outputs[i]["p50_ms"].number()) + ", p99 " +
                   duration_text(outputs[i]["p99_ms"].number()) + ", max " +
                   duration_text(outputs[i]["max_ms"].number()));
  if (outputs.size() > kOutputsShown)
    print_line(invocation, "", "and " + std::to_string(outputs.size() - kOutputsShown) + " more");
  print_line(invocation, "checkpoint", checkpoint_text(status["checkpoint"], now));
  const Answer replay = status["replay"];
  if (!replay.is_null()) {
    const auto eta = replay["eta_s"].number();
    print_line(invocation, "replay",
               or_dash(replay["name"].text()) + ", at " + instant_text(replay["at_ms"].number()) +
                   " of " + instant_text(replay["until_ms"].number()) + ", " +
                   count_text(replay["percent"].number()) + " %, ready in " +
                   duration_text(eta ? std::optional(*eta * 1000) : std::nullopt));
  }
}

std::string problem_ids(const Answer& problems) {
  std::string ids;
  for (const Answer& problem : problems.list())
    ids += (ids.empty() ? "" : ", ") + problem["id"].text();
  if (ids.empty() && problems.number().value_or(0) > 0) ids = problems.text();
  return or_dash(ids);
}

void print_explain(const Invocation& invocation, const Answer& plan) {
  invocation.out << "parallelism " << count_text(plan["parallelism"].number()) << ", "
                 << count_text(plan["key_groups"].number()) << " key groups\n\n";
  Table table({"OPERATOR", "KIND", ">TASK", ">PARALLELISM", "STATE", "READS FROM"});
  const std::vector<Answer> nodes = plan["nodes"].list();
  for (const Answer& node : nodes) {
    std::string from;
    for (const Answer& edge : plan["edges"].list()) {
      if (edge["to"].text() != node["id"].text()) continue;
      const auto feeds = std::find_if(nodes.begin(), nodes.end(), [&](const Answer& other) {
        return other["id"].text() == edge["from"].text();
      });
      from += (from.empty() ? "" : ", ") +
              (feeds == nodes.end() ? edge["from"].text() : (*feeds)["name"].text()) +
              (edge["chained"].is_true() ? "" : " (" + edge["partitioning"].text() + ")");
    }
    table.add({node["name"].text(), node["kind"].text(), node["task"].text(),
               node["parallelism"].text(), node["stateful"].is_true() ? "yes" : "-",
               or_dash(from)});
  }
  table.print(invocation.out, invocation.width);
}

void print_checkpoints(const Invocation& invocation, const Answer& answer) {
  Table points({"ID", ">NUMBER", "MADE", ">SIZE", "WATERMARK", "KIND"});
  for (const Answer& point : answer["restore_points"].list()) {
    points.add({point["id"].text(), point["seq"].text(),
                ago_text(point["created_ms"].number(), invocation.now_ms),
                bytes_text(point["bytes"].number()), instant_text(point["watermark_ms"].number()),
                point["savepoint"].is_true() ? "savepoint"
                : point["final"].is_true()   ? "final"
                                             : "checkpoint"});
  }
  invocation.out << "restore points, newest first (tidemill restore JOB --from ID)\n";
  if (points.empty()) {
    invocation.out << "none\n";
  } else {
    points.print(invocation.out, invocation.width);
  }
  Table runs({"ID", "BEGUN", ">TOOK", ">SIZE", "SLOWEST", "RESULT"});
  const std::vector<Answer> history = answer["history"].list();
  for (std::size_t i = 0; i < std::min(history.size(), kRunsShown); ++i) {
    const Answer& run = history[i];
    const std::string reason = run["reason"].text();
    std::string slowest = or_dash(run["slowest"]["operator"].text());
    if (const std::string subtask = run["slowest"]["subtask"].text(); slowest != "-")
      slowest += "/" + subtask;
    runs.add({run["id"].text(), ago_text(run["triggered_ms"].number(), invocation.now_ms),
              duration_text(in_ms(run["duration_us"])), bytes_text(run["bytes"].number()), slowest,
              run["result"].text() + (reason.empty() ? "" : ": " + reason)});
  }
  if (runs.empty()) return;
  invocation.out << "\nthe last checkpoints of this process\n";
  runs.print(invocation.out, invocation.width);
}

std::vector<std::string> lines_of(const Reply& reply) {
  std::vector<std::string> lines;
  for (const Answer& line : reply.answer["lines"].list()) lines.push_back(line.text());
  return lines;
}

// How many lines of `now` were seen in `before`: what is `now`'s begin is `before`'s end.
std::size_t seen_lines(const std::vector<std::string>& before,
                       const std::vector<std::string>& now) {
  for (std::size_t gone = 0; gone < before.size(); ++gone) {
    const std::size_t kept = before.size() - gone;
    if (kept <= now.size() &&
        std::equal(before.begin() + static_cast<std::ptrdiff_t>(gone), before.end(), now.begin()))
      return kept;
  }
  return 0;
}

std::string number_given(const Invocation& invocation, std::string_view flag,
                         const std::string& fallback, int most) {
  if (!invocation.has(flag)) return fallback;
  const std::string text = invocation.text(flag);
  int number = 0;
  const auto [at, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || at != text.data() + text.size() || number < 1 || number > most)
    throw Error(ErrorCode::kConfig,
                std::string(flag) + " is a number from 1 to " + std::to_string(most) + ": " + text);
  return text;
}

}  // namespace

namespace calls {

void list(const Invocation& invocation) {
  const Reply reply = Connection(invocation).get("jobs");
  if (printed_whole(invocation, reply)) return;
  Table table({"JOB", "STATE", "SINCE", ">RESTARTS", ">EVENTS/S", ">LAG", ">FRESHNESS P99",
               "CHECKPOINT", "PROBLEMS"});
  for (const Answer& job : reply.answer["jobs"].list())
    table.add(
        {job["name"].text(), job["state"].text(),
         ago_text(job["since_ms"].number(), invocation.now_ms),
         count_text(job["restarts"].number()), count_text(job["rate"].number()),
         count_text(job["lag_records"].number()), duration_text(job["freshness_p99_ms"].number()),
         ago_text(job["checkpoint_ms"].number(), invocation.now_ms), problem_ids(job["problems"])});
  if (table.empty()) {
    invocation.out << "no jobs; tidemill submit makes one\n";
  } else {
    table.print(invocation.out, invocation.width);
  }
}

void status(const Invocation& invocation) {
  const Reply reply = Connection(invocation).of_job("status");
  if (!printed_whole(invocation, reply)) print_status(invocation, reply.answer);
}

void explain(const Invocation& invocation) {
  const Reply reply = Connection(invocation).of_job("explain");
  if (!printed_whole(invocation, reply)) print_explain(invocation, reply.answer);
}

void checkpoints(const Invocation& invocation) {
  const Reply reply = Connection(invocation).of_job("checkpoints");
  if (!printed_whole(invocation, reply)) print_checkpoints(invocation, reply.answer);
}

void logs(const Invocation& invocation) {
  const Connection connection(invocation);
  const std::string count = number_given(invocation, "--lines", "200", 2000);
  const bool follows = invocation.has("-f");
  if (follows && invocation.has("--json"))
    throw Error(ErrorCode::kConfig, "-f prints lines, not JSON; leave out -f or --json");
  const auto ask = [&](const std::string& lines) {
    return connection.of_job("logs", {{"lines", lines}});
  };
  const Reply reply = ask(count);
  if (printed_whole(invocation, reply)) return;
  std::vector<std::string> before = lines_of(reply);
  for (const std::string& line : before) invocation.out << printable(line) << "\n";
  invocation.out.flush();
  while (follows && invocation.pause()) {
    std::vector<std::string> now = lines_of(ask(kMostLines));
    // The first look may have been at fewer lines than this one.
    const auto at = std::search(now.begin(), now.end(), before.begin(), before.end());
    const std::size_t seen = at != now.end() && !before.empty()
                                 ? static_cast<std::size_t>(at - now.begin()) + before.size()
                                 : seen_lines(before, now);
    if (seen == 0 && !before.empty() && !now.empty())
      invocation.err << "… more lines came than can be asked for at once\n";
    for (std::size_t i = seen; i < now.size(); ++i) invocation.out << printable(now[i]) << "\n";
    invocation.out.flush();
    before = std::move(now);
  }
}

void audit(const Invocation& invocation) {
  const Reply reply =
      Connection(invocation)
          .get("audit", {{"limit", number_given(invocation, "--limit", "100", 1000)}});
  if (printed_whole(invocation, reply)) return;
  Table table({"AT", "WHO", "ROLE", "FROM", ">STATUS", "ACTION", "DETAILS"});
  for (const Answer& entry : reply.answer["audit"].list())
    table.add({instant_text(entry["at_ms"].number()), entry["who"].text(), entry["role"].text(),
               entry["peer"].text(), or_dash(entry["status"].text()), entry["action"].text(),
               entry["details"].text()});
  table.print(invocation.out, invocation.width);
}

void tokens(const Invocation& invocation) {
  const Reply reply = Connection(invocation).get("tokens");
  if (printed_whole(invocation, reply)) return;
  Table table({"NAME", "ROLE", "MADE"});
  for (const Answer& token : reply.answer["tokens"].list())
    table.add(
        {token["name"].text(), token["role"].text(), instant_text(token["created_ms"].number())});
  table.print(invocation.out, invocation.width);
}

}  // namespace calls
}  // namespace tidemill::cli
