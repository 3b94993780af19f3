#include "app/dry_start.h"

#include <cstdio>
#include <string>

#include "connectors/formats/json_writer.h"
#include "engine/base/clock.h"
#include "engine/checkpoint/start_rehearsal.h"

namespace tidemill {
namespace {

const char* name_of(ErrorCode code) {
  switch (exit_code(code)) {
    case 2: return "wrong_configuration";
    case 3: return "refused";
    default: return "failed";
  }
}

void write_refusal(JsonWriter& json, const std::optional<Refusal>& refusal) {
  json.key("refusal");
  if (!refusal) {
    json.value(nullptr);
    return;
  }
  json.begin_object().field("id", refusal->id);
  if (refusal->row.empty()) {
    json.field("row", nullptr);
  } else {
    json.field("row", refusal->row);
  }
  json.field("mend", refusal->mend).key("choices").begin_array();
  for (const Refusal::Choice& choice : refusal->choices) {
    json.begin_object().key("flags").begin_array();
    for (const std::string& flag : choice.flags) json.value(flag);
    json.end_array().field("consequence", choice.consequence).end_object();
  }
  json.end_array().end_object();
}

void write_points(JsonWriter& json, const std::vector<StartRehearsal::Point>& points) {
  json.key("restore_points").begin_array();
  for (const StartRehearsal::Point& point : points) {
    json.begin_object().field("id", point.name.id).field("savepoint", point.name.is_savepoint);
    if (point.consequence.empty()) {
      json.field("consequence", nullptr);
    } else {
      json.field("consequence", point.consequence);
    }
    json.end_object();
  }
  json.end_array();
}

}  // namespace

int dry_start(const Environment& env, const SupervisorSettings& settings,
              const Deployment& deployment, const std::filesystem::path& folder,
              const std::vector<Finding>& findings) {
  if (settings.take_over || settings.first_from)
    throw Error(ErrorCode::kConfig,
                "--dry-start is of a plain start: leave out --take-over and --from-checkpoint");
  StartRehearsal rehearsal =
      rehearse(settings, env.graph()->graph(), deployment, env.metrics(), SystemClock());
  std::error_code ignored;
  std::filesystem::remove_all(folder, ignored);
  for (const Finding& finding : findings) {
    // What a start looks at first is what it would end with.
    if (finding.severity != Finding::Severity::kError) continue;
    rehearsal.begins.clear();
    rehearsal.error = finding.text;
    rehearsal.code = finding.code;
    rehearsal.refusal.reset();
    break;
  }
  const bool starts = !rehearsal.begins.empty();
  std::string out;
  JsonWriter json(out);
  json.begin_object().field("job", env.job()).field("starts", starts);
  json.field("exit", std::int64_t{starts ? 0 : exit_code(rehearsal.code)});
  if (starts) {
    json.field("begins", rehearsal.begins).field("outcome", "starts").field("error", nullptr);
  } else {
    json.field("begins", nullptr).field("outcome", name_of(rehearsal.code));
    json.field("error", rehearsal.error);
  }
  write_refusal(json, rehearsal.refusal);
  json.key("warnings").begin_array();
  for (const Finding& finding : findings) {
    if (finding.severity == Finding::Severity::kWarning) json.value(finding.text);
  }
  json.end_array();
  if (rehearsal.record) {
    json.field("committed", rehearsal.record->checkpoint);
  } else {
    json.field("committed", nullptr);
  }
  write_points(json, rehearsal.points);
  json.end_object();
  std::printf("%s\n", out.c_str());
  return starts ? 0 : exit_code(rehearsal.code);
}

}  // namespace tidemill
