// check-upgrade: whether another version can go on from a checkpoint, asked of the program here or
// through the server.
#include <array>
#include <filesystem>
#include <ostream>

#include "connectors/formats/json_writer.h"
#include "engine/base/error.h"
#include "service/cli/calls.h"
#include "service/cli/connection.h"
#include "service/cli/table.h"
#include "service/tools/state_tools.h"
#include "service/tools/upgrade_check.h"

namespace tidemill::cli {
namespace {

namespace fs = std::filesystem;

constexpr int kRefused = 3;

Reply asked_here(const Invocation& invocation, const std::string& place) {
  const tools::OpenedCheckpoint checkpoint(place);
  const std::string body = tools::ask_upgrade({.binary = invocation.text("BINARY"),
                                               .checkpoint = checkpoint.folder(),
                                               .config = invocation.text("--config")});
  auto answer = Answer::parse(body);
  if (!answer) throw Error(ErrorCode::kConfig, "what the program says is no JSON");
  return {body, std::move(*answer)};
}

Reply asked_there(const Invocation& invocation, const std::string& place) {
  const std::size_t slash = place.find('/');
  Invocation job = invocation;
  job.given["JOB"] = {place.substr(0, slash)};
  const Connection connection(job);
  const std::string path = connection.job();
  std::string body;
  JsonWriter json(body);
  json.begin_object().field("binary", connection.upload(invocation.text("BINARY")));
  if (invocation.has("--config")) json.field("config", config_text(invocation.text("--config")));
  if (slash != std::string::npos) json.field("from", place.substr(slash + 1));
  json.end_object();
  return connection.send("POST", path + "/check-upgrade", body);
}

std::string name_of(const Answer& state) {
  return state["operator"].text() + "/" + state["state"].text();
}

void print(const Invocation& invocation, const Answer& answer) {
  Table table({"STATE", "", "WHAT BECOMES OF IT"});
  for (const Answer& state : answer["kept"].list()) table.add({name_of(state), "fits", ""});
  for (const Answer& state : answer["changed"].list()) {
    std::string changes;
    for (const Answer& change : state["changes"].list())
      changes += (changes.empty() ? "" : "; ") + change.text();
    table.add({name_of(state), "changed",
               changes + (state["rows_converted"].is_true() ? " (rows are converted at the start)"
                                                            : " (read as it is)")});
  }
  for (const Answer& state : answer["added"].list())
    table.add({name_of(state), "new", "starts empty"});
  for (const Answer& state : answer["dropped"].list())
    table.add({name_of(state), "dropped", "forgotten, as --drop-state says"});
  for (const Answer& state : answer["lost"].list())
    table.add({name_of(state), "lost", "the program has no such state"});
  for (const Answer& one : answer["refused"].list())
    table.add({one["operator"].text(), "refused", one["reason"].text()});
  table.print(invocation.out, invocation.width);
  if (answer["fits"].is_true())
    invocation.out << "fits: the program can go on from checkpoint "
                   << printable(answer["checkpoint"].text()) << "\n";
}

}  // namespace

namespace calls {

void check_upgrade(const Invocation& invocation) {
  const std::string place = invocation.text("CHECKPOINT");
  std::error_code ignored;
  const bool is_folder = place.starts_with('/') || place.starts_with('.') ||
                         (place.find('/') != std::string::npos && fs::is_directory(place, ignored));
  const Reply reply = is_folder ? asked_here(invocation, place) : asked_there(invocation, place);
  if (invocation.has("--json")) {
    invocation.out << reply.body << "\n";
  } else {
    print(invocation, reply.answer);
  }
  if (reply.answer["fits"].is_true()) return;
  const int code = static_cast<int>(reply.answer["exit"].number().value_or(kRefused));
  throw CallFailed(reply.answer["reason"].text(),
                   "nothing was changed; a restart with this program would be refused so", code);
}

}  // namespace calls
}  // namespace tidemill::cli
