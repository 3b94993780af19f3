// State of the running job, for people.
#include <future>

#include "app/job_view.h"
#include "connectors/formats/json_writer.h"
#include "engine/base/error.h"
#include "state/state_reader.h"
#include "state/value_json.h"

namespace tidemill {
namespace {

// A task answers between two batches; a job that is held up answers nothing.
constexpr auto kAnswerTime = std::chrono::seconds(2);

StoredType type_of(const Bytes& stored) {
  ByteReader in(stored);
  return decode_stored_type(in);
}

std::string needed(const http::Request& request, const std::string& name) {
  const auto found = request.query.find(name);
  if (found == request.query.end() || found->second.empty())
    throw Error(ErrorCode::kConfig, "the query needs operator=, state= and key=; missing: " + name);
  return found->second;
}

void write_answer(JsonWriter& json, std::string& text, const StateQuery& query,
                  const StoredType& type) {
  const bool has_windows = !query.rows.empty() && query.rows.front().window.has_value();
  json.key("value");
  if (query.rows.empty()) {
    json.value(nullptr);
  } else if (!has_windows) {
    text += value_json(type, query.rows.front().value);
  } else {
    json.begin_array();
    bool is_first = true;
    for (const StateQuery::Row& row : query.rows) {
      if (!std::exchange(is_first, false)) text += ',';
      text += "{\"window_ms\":" + std::to_string(row.window->ms) +
              ",\"value\":" + value_json(type, row.value) + "}";
    }
    json.end_array();
  }
}

}  // namespace

std::string JobView::states() const {
  std::string text;
  JsonWriter json(text);
  json.begin_object().field("checkpoint", nullptr).key("states").begin_array();
  for (const StateDescription& state : supervisor_.states()) {
    json.begin_object().field("operator", state.name.op).field("state", state.name.state);
    json.field("kind", state.kind);
    for (const auto& [name, type] :
         {std::pair("key", &state.key_type), std::pair("value", &state.value_type)})
      json.field(name, type->empty() ? std::string("unknown") : to_text(type_of(*type)));
    json.field("entries", nullptr);
    json.field("bytes",
               sampler_.gauge_sum("tidemill_state_memory_bytes",
                                  {{"operator", state.name.op}, {"state", state.name.state}}));
    json.end_object();
  }
  json.end_array().end_object();
  return text;
}

http::Response JobView::state_of_key(const http::Request& request) const {
  if (const auto from = request.query.find("from");
      from != request.query.end() && from->second != "running")
    return error_response(422, "a running job answers from=running only: " + from->second,
                          "use from=running");
  StateQuery query;
  query.operator_name = needed(request, "operator");
  query.state = needed(request, "state");
  const std::string key = needed(request, "key");
  const std::vector<StateDescription> all = supervisor_.states();
  const auto described = std::find_if(all.begin(), all.end(), [&](const StateDescription& s) {
    return s.name.op == query.operator_name && s.name.state == query.state;
  });
  if (described == all.end())
    return error_response(404, "no such state: " + query.operator_name + "/" + query.state,
                          "GET /api/v1/state lists them");
  if (described->key_type.empty() || described->kind == "timers" || described->kind == "map")
    return error_response(
        422, "a running job cannot be asked for state of this kind: " + described->kind,
        "ask for value, list, table or windowed state");
  const StoredType key_type = asked_key_type(*described);
  query.key = parse_key(key_type, key);
  const auto hash = stored_key_hash(key_type, query.key);
  if (!hash)
    return error_response(422, "keys of this type cannot be found by text: " + to_text(key_type),
                          "look into a checkpoint instead");
  query.hash = *hash;
  auto asked = supervisor_.ask(std::move(query));
  if (!asked)
    return error_response(409, "the job has no running attempt with this operator",
                          "try again when it runs");
  if (asked->wait_for(kAnswerTime) != std::future_status::ready)
    return error_response(503, "the operator did not answer in time: it is held up",
                          "see the graph for who is back-pressured, and try again");
  const StateQuery answer = asked->get();
  if (!answer.error.empty()) return error_response(422, answer.error, "check the key");
  std::string text;
  JsonWriter json(text);
  json.begin_object().field("found", !answer.rows.empty());
  json.field("operator", answer.operator_name).field("state", answer.state).field("key", key);
  json.field("key_group", answer.key_group).field("subtask", answer.subtask);
  json.key("watermark_ms");
  if (answer.watermark.is_finite()) {
    json.value(answer.watermark.ms);
  } else {
    json.value(nullptr);
  }
  json.field("checkpoint", nullptr);
  write_answer(json, text, answer, type_of(described->value_type));
  json.end_object();
  return json_response(std::move(text));
}

}  // namespace tidemill
