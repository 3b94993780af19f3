// The verbs that look into state: of a running job, or of a checkpoint, by the server or in its
// folder without one.
#include <algorithm>
#include <charconv>
#include <filesystem>
#include <optional>
#include <ostream>
#include <utility>

#include "engine/base/error.h"
#include "service/cli/calls.h"
#include "service/cli/connection.h"
#include "service/cli/table.h"
#include "service/tools/state_tools.h"

namespace tidemill::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kDifferencesShown = 10;
constexpr std::size_t kMostDifferences = 100'000;

// What JOB stands for: a folder, or a job with or without a checkpoint's id.
struct Place {
  bool is_folder = false;
  std::string job;
  std::string id;
};

Place place_of(const std::string& text) {
  std::error_code ignored;
  const bool is_path = text.find('/') != std::string::npos || text.starts_with('.');
  if (is_path &&
      (text.starts_with('/') || text.starts_with('.') || fs::is_directory(text, ignored)))
    return {true, text, ""};
  const std::size_t slash = text.find('/');
  if (slash == std::string::npos) return {false, text, ""};
  return {false, text.substr(0, slash), text.substr(slash + 1)};
}

Invocation about(const Invocation& invocation, const std::string& job) {
  Invocation other = invocation;
  if (!job.empty()) other.given["JOB"] = {job};
  return other;
}

Reply reply_of(std::string body) {
  auto answer = Answer::parse(body);
  if (!answer) throw Error(ErrorCode::kInternal, "what was read is no JSON");
  return {std::move(body), std::move(*answer)};
}

// A checkpoint of a job that a server has, where both are on this machine.
std::pair<fs::path, std::string> checkpoint_at(const Invocation& invocation,
                                               const std::string& text) {
  const Place place = place_of(text);
  if (place.is_folder) return {place.job, ""};
  const Invocation job = about(invocation, place.job);
  const Connection connection(job);
  const std::string folder = connection.get(connection.job()).answer["checkpoint_folder"].text();
  std::error_code ignored;
  if (!fs::is_directory(folder, ignored))
    throw Error(ErrorCode::kConfig, "the checkpoints of " + place.job +
                                        " cannot be read from here: " + folder +
                                        "; run this where they are, or ask for one key with "
                                        "tidemill state get JOB/ID");
  return {folder, place.id};
}

Reply states_of(const Invocation& invocation, const Place& place) {
  if (place.is_folder)
    return reply_of(tools::states_json(tools::OpenedCheckpoint(place.job), false));
  const Invocation job = about(invocation, place.job);
  std::map<std::string, std::string> query;
  if (!place.id.empty()) query["from"] = place.id;
  return Connection(job).of_job("state", std::move(query));
}

bool is_chosen(const Invocation& invocation, const Answer& state) {
  return (!invocation.has("--operator") ||
          invocation.text("--operator") == state["operator"].text()) &&
         (!invocation.has("--state") || invocation.text("--state") == state["state"].text());
}

// {"found": …} of one state; nothing if keys of this text are not what it has.
class KeyReader {
 public:
  KeyReader(const Invocation& invocation, Place place)
      : invocation_(about(invocation, place.is_folder ? "" : place.job)), place_(std::move(place)) {
    if (place_.is_folder) opened_.emplace(place_.job);
  }
  [[nodiscard]] Reply ask(const std::string& op, const std::string& state) const {
    const std::string key = invocation_.text("--key");
    if (opened_) return reply_of(tools::key_json(*opened_, {op, state}, key));
    return Connection(invocation_)
        .of_job("state/get", {{"operator", op},
                              {"state", state},
                              {"key", key},
                              {"from", place_.id.empty() ? "running" : place_.id}});
  }

 private:
  const Invocation invocation_;
  const Place place_;
  std::optional<tools::OpenedCheckpoint> opened_;
};

void print_state_table(const Invocation& invocation, const Answer& answer) {
  if (const std::string id = answer["checkpoint"].text(); !id.empty())
    invocation.out << "checkpoint " << printable(id) << "\n";
  Table table({"OPERATOR", "STATE", "KIND", "KEY", "VALUE", ">ENTRIES", ">BYTES"});
  for (const Answer& state : answer["states"].list()) {
    if (!is_chosen(invocation, state)) continue;
    table.add({state["operator"].text(), state["state"].text(), state["kind"].text(),
               state["key"].text(), state["value"].text(), count_text(state["entries"].number()),
               bytes_text(state["bytes"].number())});
  }
  if (table.empty()) {
    invocation.out << "no state\n";
  } else {
    table.print(invocation.out, invocation.width);
  }
}

void print_difference(const Invocation& invocation, const Answer& answer) {
  invocation.out << "A " << printable(answer["a"].text()) << "\nB " << printable(answer["b"].text())
                 << "\n";
  Table table({"OPERATOR", "STATE", ">SAME", ">ONLY A", ">ONLY B", ">DIFFERENT", ">IN PARTS"});
  for (const Answer& state : answer["states"].list())
    table.add({state["operator"].text(), state["state"].text(), count_text(state["same"].number()),
               count_text(state["only_a"].number()), count_text(state["only_b"].number()),
               count_text(state["different"].number()), count_text(state["in_parts"].number())});
  table.print(invocation.out, invocation.width);
  for (const Answer& state : answer["states"].list()) {
    const std::vector<Answer> differences = state["differences"].list();
    if (differences.empty()) continue;
    invocation.out << "\n"
                   << printable(state["operator"].text() + "/" + state["state"].text()) << "\n";
    Table rows({"KEY", "WINDOW", "A", "B"});
    for (const Answer& row : differences)
      rows.add({row["key"].json(), instant_text(row["window_ms"].number()), row["a"].json(),
                row["b"].json()});
    rows.print(invocation.out, invocation.width);
  }
}

}  // namespace

namespace calls {

void state_list(const Invocation& invocation) {
  const Place place = place_of(invocation.text("JOB"));
  const Reply reply = place.is_folder
                          ? reply_of(tools::states_json(tools::OpenedCheckpoint(place.job), true))
                          : states_of(invocation, place);
  if (invocation.has("--json")) {
    invocation.out << reply.body << "\n";
  } else {
    print_state_table(invocation, reply.answer);
  }
}

void state_get(const Invocation& invocation) {
  const Place place = place_of(invocation.text("JOB"));
  const KeyReader reader(invocation, place);
  if (invocation.has("--operator") && invocation.has("--state")) {
    const Reply reply = reader.ask(invocation.text("--operator"), invocation.text("--state"));
    if (invocation.has("--json")) {
      invocation.out << reply.body << "\n";
      return;
    }
    const Answer& found = reply.answer;
    invocation.out << (found["found"].is_true() ? printable(found["value"].json())
                                                : std::string("no value"))
                   << "\n";
    return;
  }
  // All states that know the key; one alone says why it does not.
  Table table({"OPERATOR", "STATE", "VALUE"});
  std::string all;
  std::string no_answer;
  std::optional<CallFailed> failed;
  bool has_any = false;
  for (const Answer& state : states_of(invocation, place).answer["states"].list()) {
    if (!is_chosen(invocation, state) || state["kind"].text() == "operator") continue;
    has_any = true;
    try {
      const Reply reply = reader.ask(state["operator"].text(), state["state"].text());
      all += (all.empty() ? "" : ",") + reply.body;
      table.add({state["operator"].text(), state["state"].text(),
                 reply.answer["found"].is_true() ? reply.answer["value"].json() : "no value"});
    } catch (const CallFailed& refused) {
      if (refused.exit_code() != exit_code_of(422)) throw;
      failed.emplace(refused);
    } catch (const Error& error) {
      if (error.code() != ErrorCode::kConfig) throw;
      no_answer = error.what();
    }
  }
  if (!has_any)
    throw Error(ErrorCode::kConfig, "there is no such keyed state; tidemill state ls " +
                                        invocation.text("JOB") + " shows what there is");
  if (table.empty() && failed) throw CallFailed(*failed);
  if (table.empty()) throw Error(ErrorCode::kConfig, no_answer);
  if (invocation.has("--json")) {
    invocation.out << "{\"answers\":[" << all << "]}\n";
  } else {
    table.print(invocation.out, invocation.width);
  }
}

void state_diff(const Invocation& invocation) {
  std::size_t samples = kDifferencesShown;
  if (invocation.has("--show")) {
    const std::string text = invocation.text("--show");
    const auto [at, error] = std::from_chars(text.data(), text.data() + text.size(), samples);
    if (error != std::errc() || at != text.data() + text.size() || samples > kMostDifferences)
      throw Error(ErrorCode::kConfig, "--show is a number from 0 to 100000: " + text);
  }
  const auto [a_folder, a_id] = checkpoint_at(invocation, invocation.text("A"));
  const auto [b_folder, b_id] = checkpoint_at(invocation, invocation.text("B"));
  const tools::OpenedCheckpoint a(a_folder, a_id);
  const tools::OpenedCheckpoint b(b_folder, b_id);
  const Reply reply = reply_of(tools::difference_json(
      a, b, {invocation.text("--operator"), invocation.text("--state"), invocation.text("--key")},
      samples));
  if (invocation.has("--json")) {
    invocation.out << reply.body << "\n";
  } else {
    print_difference(invocation, reply.answer);
  }
}

}  // namespace calls
}  // namespace tidemill::cli
