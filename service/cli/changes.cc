// The verbs that change something.
#include <array>
#include <charconv>
#include <fstream>
#include <ostream>

#include "connectors/formats/json_writer.h"
#include "engine/base/error.h"
#include "service/cli/calls.h"
#include "service/cli/connection.h"
#include "service/cli/table.h"

namespace tidemill::cli {
namespace {

constexpr std::size_t kLargestConfig = std::size_t{1} << 20;

// A JSON object, made from what was given.
class Body {
 public:
  Body() : writer_(text_) { writer_.begin_object(); }
  template <class V>
  Body& field(std::string_view name, const V& value) {
    writer_.field(name, value);
    return *this;
  }
  Body& given(const Invocation& invocation, std::string_view flag, std::string_view name) {
    if (invocation.has(flag)) writer_.field(name, invocation.text(flag));
    return *this;
  }
  Body& texts(std::string_view name, const std::vector<std::string>& values) {
    writer_.key(name).begin_array();
    for (const std::string& value : values) writer_.value(value);
    writer_.end_array();
    return *this;
  }
  [[nodiscard]] std::string text() {
    writer_.end_object();
    return text_;
  }

 private:
  std::string text_;
  JsonWriter writer_;
};

std::int64_t whole_number(const Invocation& invocation, const std::string& flag) {
  const std::string text = invocation.text(flag);
  std::int64_t number = 0;
  const auto [at, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || at != text.data() + text.size() || number < 1)
    throw Error(ErrorCode::kConfig, flag + " is a number from 1: " + text);
  return number;
}

// The settings and the program that were given with a verb that may change them.
void add_version(const Invocation& invocation, const Connection& connection, Body& body) {
  const std::string config =
      invocation.has("--config") ? config_text(invocation.text("--config")) : "";
  if (invocation.has("--binary"))
    body.field("binary", connection.upload(invocation.text("--binary")));
  if (invocation.has("--config")) body.field("config", config);
}

// The process that runs it now, of which `--wait` shall see the end.
std::optional<double> process_of(const Invocation& invocation, const Connection& connection,
                                 const std::string& path) {
  if (!invocation.has("--wait")) return std::nullopt;
  return connection.get(path + "/status").answer["pid"].number();
}

// How a job is once it is no longer on its way to `wanted`; while the process `replaced` runs it
// is. Progress of a replay is shown.
std::string settled_state(const Invocation& invocation, const Connection& connection,
                          const std::string& path, std::string_view wanted,
                          std::optional<double> replaced) {
  std::string shown;
  while (true) {
    const Answer status = connection.get(path + "/status").answer;
    const std::string state = status["state"].text();
    const Answer replay = status["replay"];
    if (wanted == "finished" && !replay.is_null()) {
      const auto eta = replay["eta_s"].number();
      const std::string line = "at " + instant_text(replay["at_ms"].number()) + ", " +
                               count_text(replay["percent"].number()) + " %, ready in " +
                               duration_text(eta ? std::optional(*eta * 1000) : std::nullopt);
      if (line != shown) invocation.err << line << "\n";
      shown = line;
    }
    if (replaced && status["pid"].number() == replaced) {
      if (!invocation.pause()) return state;
      continue;
    }
    for (const std::string_view end :
         {wanted, std::string_view("finished"), std::string_view("failed"),
          std::string_view("crash_loop"), std::string_view("lost")}) {
      if (state == end) return state;
    }
    if (wanted != "stopped" && state == "stopped") return state;
    if (!invocation.pause()) return state;
  }
}

// Prints what was answered; with --wait how it ended, which may be a failure.
void report(const Invocation& invocation, const Connection& connection, const Reply& reply,
            const std::string& done, const std::string& path, std::string_view wanted,
            std::optional<double> replaced = std::nullopt) {
  if (!printed_whole(invocation, reply)) invocation.out << printable(done) << "\n";
  if (!invocation.has("--wait")) return;
  invocation.out.flush();
  const std::string state = settled_state(invocation, connection, path, wanted, replaced);
  const std::string job = path.substr(path.find('/') + 1);
  const bool is_well = state == wanted || state == "finished";
  if (!is_well)
    throw CallFailed(job + " is " + state + ", not " + std::string(wanted),
                     "tidemill status " + job + " says why", 1);
  if (!invocation.has("--json")) invocation.out << printable(job + " is " + state) << "\n";
}

// POST jobs/JOB/VERB.
void ask(const Invocation& invocation, const std::string& verb, const std::string& body,
         const std::string& done, std::string_view wanted) {
  const Connection connection(invocation);
  const std::string path = connection.job();
  const auto replaced = verb == "restore" ? process_of(invocation, connection, path) : std::nullopt;
  const Reply reply = connection.send("POST", path + "/" + verb, body);
  const std::string id = reply.answer["id"].text();
  report(invocation, connection, reply,
         invocation.text("JOB") + ": " + done + (id.empty() ? "" : " " + id), path, wanted,
         replaced);
}

}  // namespace

std::string config_text(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::string text(kLargestConfig + 1, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  const auto size = static_cast<std::size_t>(in.gcount());
  if (in.bad() || !in.eof() || size > kLargestConfig)
    throw Error(ErrorCode::kConfig,
                "--config is no file of at most 1 MiB that can be read: " + path);
  text.resize(size);
  return text;
}

namespace calls {

void submit(const Invocation& invocation) {
  const Connection connection(invocation);
  const std::string config = config_text(invocation.text("--config"));
  const std::string name = invocation.text("--name");
  const std::string sha256 = connection.upload(invocation.text("BINARY"));
  Body body;
  body.field("name", name).field("binary", sha256).field("config", config);
  body.given(invocation, "--restore", "restore")
      .given(invocation, "--memory-limit", "memory_limit")
      .given(invocation, "--user", "user");
  if (invocation.has("--accept-duplicates")) body.field("accept_duplicates", true);
  if (const auto args = invocation.given.find("--arg"); args != invocation.given.end())
    body.texts("args", args->second);
  if (invocation.has("--stopped")) body.field("start", false);
  const Reply reply = connection.send("POST", "jobs", body.text());
  const bool stays = invocation.has("--stopped");
  report(invocation, connection, reply,
         name + (stays ? ": submitted; tidemill start " + name + " runs it"
                       : ": submitted; tidemill status " + name + " says how it does"),
         "jobs/" + name, stays ? "stopped" : "running");
}

void start(const Invocation& invocation) {
  ask(invocation, "start", "{}", "is being started", "running");
}

void stop(const Invocation& invocation) {
  if (invocation.has("--drain") && invocation.has("--savepoint"))
    throw Error(ErrorCode::kConfig,
                "--drain and --savepoint are two ways to stop; give one: a drained job's last "
                "checkpoint is final");
  if (invocation.has("--drain"))
    return ask(invocation, "drain", "{}", "ends its input, fires everything and stops", "stopped");
  if (invocation.has("--savepoint"))
    return ask(invocation, "stop", R"({"mode":"savepoint"})", "stops with savepoint", "stopped");
  ask(invocation, "stop", R"({"mode":"checkpoint"})", "takes a checkpoint and stops", "stopped");
}

void cancel(const Invocation& invocation) {
  ask(invocation, "cancel", "{}", "ends now; its last commit stands", "stopped");
}

void savepoint(const Invocation& invocation) {
  ask(invocation, "savepoint", "{}", "savepoint", "");
}

void restart(const Invocation& invocation) {
  const Connection connection(invocation);
  const std::string path = connection.job();
  Body body;
  if (invocation.has("--parallelism")) {
    body.field("parallelism", whole_number(invocation, "--parallelism"));
  }
  add_version(invocation, connection, body);
  const auto replaced = process_of(invocation, connection, path);
  const Reply reply = connection.send("POST", path + "/restart", body.text());
  report(invocation, connection, reply, invocation.text("JOB") + ": is being restarted", path,
         "running", replaced);
}

void restore(const Invocation& invocation) {
  const bool accepts = invocation.has("--accept-duplicates");
  Body body;
  body.given(invocation, "--from", "from").field("accept_duplicates", accepts);
  try {
    ask(invocation, "restore", body.text(), "is being restored from " + invocation.text("--from"),
        "running");
  } catch (const CallFailed& refused) {
    if (refused.exit_code() != 3 || accepts) throw;
    throw CallFailed(refused.what(), refused.next() + " (here: --accept-duplicates)",
                     refused.exit_code(), refused.body());
  }
}

void remove(const Invocation& invocation) {
  const Connection connection(invocation);
  const Reply reply = connection.send("DELETE", connection.job(), "");
  const std::string folder = reply.answer["folder"].text();
  report(invocation, connection, reply,
         invocation.text("JOB") + ": deleted" +
             (folder.empty() ? "" : "; what it had is below " + folder),
         "", "");
}

void replay(const Invocation& invocation) {
  const Connection connection(invocation);
  const std::string path = connection.job();
  Body body;
  body.given(invocation, "--as", "name");
  for (const auto& [flag, name] :
       std::array<std::pair<const char*, const char*>, 6>{{{"--from-time", "from_time"},
                                                           {"--until-time", "until_time"},
                                                           {"--from-offsets", "from_offsets"},
                                                           {"--until-offsets", "until_offsets"},
                                                           {"--rate", "rate"},
                                                           {"--restore", "restore"}}})
    body.given(invocation, flag, name);
  if (invocation.has("--version")) body.field("version", whole_number(invocation, "--version"));
  add_version(invocation, connection, body);
  const Reply reply = connection.send("POST", path + "/replays", body.text());
  const std::string name = invocation.text("JOB") + "." + invocation.text("--as");
  report(invocation, connection, reply,
         name + ": replays; tidemill status " + name + " says how far it is", "jobs/" + name,
         "finished");
}

}  // namespace calls
}  // namespace tidemill::cli
