// The longer lists of a job's API, and its routes.
#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <future>
#include <map>

#include <yaml-cpp/yaml.h>

#include "app/checkpoint_tools.h"
#include "app/job_view.h"
#include "app/logging.h"
#include "app/metrics_text.h"
#include "connectors/formats/json_writer.h"
#include "engine/base/error.h"
#include "engine/base/log.h"
#include "engine/checkpoint/storage.h"

namespace tidemill {
namespace {

void write_reasons(JsonWriter& json, const MetricSampler& sampler, const std::string& metric) {
  std::map<std::array<std::string, 3>, double> counts;
  for (const auto& [labels, count] : sampler.each(metric))
    counts[{label_of(labels, "operator"), label_of(labels, "reason"), label_of(labels, "split")}] +=
        count;
  json.begin_array();
  for (const auto& [where, count] : counts) {
    if (count == 0) continue;
    json.begin_object().field("operator", where[0]).field("reason", where[1]).key("split");
    if (where[2].empty()) {
      json.value(nullptr);
    } else {
      json.value(where[2]);
    }
    json.field("count", count).end_object();
  }
  json.end_array();
}

// In milliseconds: what 999 of 1,000 stay below.
double most_of(const Histogram& histogram) {
  const double wanted = 0.999 * static_cast<double>(histogram.count());
  double below = 0;
  for (std::size_t i = 0; i < Histogram::kBuckets; ++i) {
    below += static_cast<double>(histogram.bucket(i));
    if (below >= wanted)
      return std::ceil(static_cast<double>(Histogram::lower_bound(i + 1)) / 1000);
  }
  return 0;
}

// Of each split that has had late records: its bound, and the one that would have saved 99.9 % of
// them.
void write_disorder(JsonWriter& json, const MetricRegistry& metrics, const MetricSampler& sampler) {
  json.begin_array();
  MetricRegistry::Visitor visitor;
  visitor.counter = [](const auto&, const Labels&, const auto&, const Counter&) {};
  visitor.gauge = [](const auto&, const Labels&, const auto&, const Gauge&) {};
  visitor.histogram = [&](const std::string& name, const Labels& labels, const std::string&,
                          const Histogram& late_by) {
    if (name != "tidemill_late_by_seconds") return;
    const std::string source = label_of(labels, "operator");
    const std::string split = label_of(labels, "split");
    std::optional<double> configured = sampler.gauge_sum("tidemill_disorder_bound_seconds",
                                                         {{"operator", source}, {"split", split}});
    if (configured) configured = std::round(*configured * 1000);
    json.begin_object().field("source", source).field("split", split);
    json.field("configured_ms", configured);
    json.field("needed_999_ms",
               configured ? std::optional(*configured + most_of(late_by)) : std::nullopt);
    json.end_object();
  };
  metrics.visit(visitor);
  json.end_array();
}

std::size_t number_in(const http::Request& request, const std::string& name, std::size_t fallback,
                      std::size_t most) {
  const auto found = request.query.find(name);
  if (found == request.query.end()) return fallback;
  std::size_t value = 0;
  const char* end = found->second.data() + found->second.size();
  const auto [at, error] = std::from_chars(found->second.data(), end, value);
  if (error != std::errc() || at != end || value == 0 || value > most)
    throw Error(ErrorCode::kConfig,
                name + " is a number from 1 to " + std::to_string(most) + ": " + found->second);
  return value;
}

// JSON is YAML too. Throws Error(kConfig).
YAML::Node object_in(const std::string& body) {
  try {
    YAML::Node node = YAML::Load(body.empty() ? "{}" : body);
    if (node.IsMap()) return node;
  } catch (const YAML::Exception&) {
  }
  throw Error(ErrorCode::kConfig, "the body is no JSON object: " + body.substr(0, 100));
}

// A field that is a single value; empty if it is not there.
std::string text_in(const YAML::Node& object, const std::string& field) {
  const YAML::Node value = object[field];
  if (!value) return "";
  if (!value.IsScalar()) throw Error(ErrorCode::kConfig, field + " is no single value");
  return value.as<std::string>();
}

SourceHold::Offsets offsets_in(const YAML::Node& object) {
  std::string text;
  for (const auto& split : object["offsets"]) {
    if (!split.first.IsScalar() || !split.second.IsScalar())
      throw Error(ErrorCode::kConfig, "offsets is an object of \"TOPIC:P\": N");
    text += (text.empty() ? "" : ",") + split.first.as<std::string>() + "=" +
            split.second.as<std::string>();
  }
  return parse_offsets(text);
}

void write_offsets(JsonWriter& json, std::string_view name, const SourceHold::Offsets& offsets) {
  json.key(name).begin_object();
  for (const auto& [split, offset] : offsets) json.field(split, offset);
  json.end_object();
}

// What holds now, where the splits stand, and whether all of them have come there.
http::Response hold_json(const SourceHold& hold) {
  std::string text;
  JsonWriter json(text);
  json.begin_object();
  if (const auto offsets = hold.offsets()) {
    write_offsets(json, "offsets", *offsets);
  } else {
    json.key("offsets").value(nullptr);
  }
  write_offsets(json, "positions", hold.positions());
  json.field("reached", hold.is_reached()).end_object();
  return json_response(text);
}

std::string id_json(const std::string& id) {
  std::string text;
  JsonWriter(text).begin_object().field("id", id).end_object();
  return text;
}

http::Response stop(Supervisor& supervisor, const http::Request& request) {
  const std::string mode = text_in(object_in(request.body), "mode");
  if (mode == "savepoint")
    return json_response(id_json(supervisor.request_stop_with_savepoint().get()));
  StopMode how{};
  if (mode == "checkpoint" || mode.empty()) {
    how = StopMode::kCheckpoint;
  } else if (mode == "drain") {
    how = StopMode::kDrain;
  } else if (mode == "cancel") {
    how = StopMode::kCancel;
  } else {
    return error_response(422, "mode is none of checkpoint, savepoint, drain, cancel: " + mode,
                          "give one of them");
  }
  if (!supervisor.request_stop(how))
    return error_response(409, "the job is being stopped already, in a way that goes before",
                          "wait until it has ended");
  return json_response("{}", 202);
}

}  // namespace

std::string JobView::checkpoints() const {
  std::string text;
  JsonWriter json(text);
  json.begin_object().key("history").begin_array();
  for (const CheckpointRun& run : supervisor_.checkpoint_log().runs()) {
    const bool is_committed = run.result == CheckpointRun::Result::kCommitted;
    json.begin_object().field("id", run.id).field("seq", run.seq);
    json.field("triggered_ms", run.triggered_ms).field("duration_us", run.duration_us);
    json.key("phases")
        .begin_object()
        .field("align_us", run.align_us)
        .field("drain_us", run.drain_us);
    json.field("store_us", run.store_us).field("commit_us", run.commit_us).end_object();
    json.field("bytes", run.bytes).field("stall_us", run.stall_us);
    json.key("slowest").begin_object().field("operator", run.slowest);
    json.field("subtask", run.slowest_subtask).end_object();
    json.field("result", is_committed ? "committed" : "declined").key("reason");
    if (is_committed) {
      json.value(nullptr);
    } else {
      json.value(run.reason);
    }
    json.end_object();
  }
  json.end_array();
  text += ",\"restore_points\":" + restore_points_json(env_.checkpoint_folder()) + "}";
  return text;
}

std::string JobView::late() const {
  std::string text;
  JsonWriter json(text);
  json.begin_object().key("late");
  write_reasons(json, sampler_, "tidemill_late_records_total");
  json.key("bad");
  write_reasons(json, sampler_, "tidemill_bad_records_total");
  json.key("samples");
  write_late_records(json, env_.metrics());
  json.key("bad_samples").begin_array();
  for (const BadRecord& bad : supervisor_.bad_samples().records()) {
    json.begin_object().field("reason", bad.reason).field("origin", bad.origin);
    json.field("text", bad.text).end_object();
  }
  json.end_array().key("disorder");
  write_disorder(json, env_.metrics(), sampler_);
  json.end_object();
  return text;
}

JobView::ExchangeKeys JobView::exchange_keys() const {
  ExchangeKeys exchanges;
  MetricRegistry::Visitor visitor;
  visitor.counter = [](const auto&, const Labels&, const auto&, const Counter&) {};
  visitor.gauge = [](const auto&, const Labels&, const auto&, const Gauge&) {};
  visitor.histogram = [](const auto&, const Labels&, const auto&, const Histogram&) {};
  visitor.ranking = [&](const std::string&, const Labels& labels, const std::string&,
                        const Ranking& ranking) {
    auto& keys = exchanges[{label_of(labels, "operator"), label_of(labels, "to")}];
    for (const Ranking::Entry& entry : ranking.entries())
      keys[entry.name] += entry.share / plan_.parallelism;
  };
  env_.metrics().visit(visitor);
  return exchanges;
}

std::string JobView::keys() const {
  std::string text;
  JsonWriter json(text);
  json.begin_object().key("exchanges").begin_array();
  for (const auto& [ends, keys] : exchange_keys()) {
    json.begin_object().field("from", ends.first).field("to", ends.second);
    json.key("keys").begin_array();
    for (const auto& [key, share] : keys) {
      json.begin_object().field("key", key).field("share", share).field("subtask", nullptr);
      json.end_object();
    }
    json.end_array();
    double most = 0;
    double sum = 0;
    for (int subtask = 0; subtask < plan_.parallelism; ++subtask) {
      const double rate =
          sampler_
              .rate("tidemill_records_in_total",
                    {{"operator", ends.second}, {"subtask", std::to_string(subtask)}})
              .value_or(0);
      most = std::max(most, rate);
      sum += rate;
    }
    json.field("skew", sum > 0 ? std::optional(most / sum * plan_.parallelism) : std::nullopt);
    json.end_object();
  }
  json.end_array().end_object();
  return text;
}

void JobView::add_to(JobApi& api) {
  const auto text = [](std::string body, const char* type) {
    http::Response response;
    response.content_type = type;
    response.body = std::move(body);
    return response;
  };
  api.get("/metrics", [this, text](const http::Request&) {
    return text(metrics(), "text/plain; version=0.0.4; charset=utf-8");
  });
  api.get("/healthz",
          [text](const http::Request&) { return text("ok\n", "text/plain; charset=utf-8"); });
  api.get("/readyz", [this, text](const http::Request&) {
    const JobProgress progress = supervisor_.progress();
    const bool is_ready = progress.state == JobProgress::State::kRunning && progress.committed > 0;
    http::Response response =
        text(is_ready ? "ready\n"
                      : "not ready: no checkpoint committed yet, or restarting or stopping\n",
             "text/plain; charset=utf-8");
    response.status = is_ready ? 200 : 503;
    return response;
  });
  api.get("/late", [this](const http::Request&) {
    return json_response(late_records_json(env_.metrics()));
  });
  const auto add = [&](const char* name, std::string (JobView::*give)() const) {
    api.get(std::string("/api/v1/") + name,
            [this, give](const http::Request&) { return json_response((this->*give)()); });
  };
  add("status", &JobView::status);
  add("graph", &JobView::graph);
  add("freshness", &JobView::freshness);
  add("checkpoints", &JobView::checkpoints);
  add("late", &JobView::late);
  add("keys", &JobView::keys);
  add("exceptions", &JobView::exceptions);
  add("config", &JobView::config);
  add("state", &JobView::states);
  api.get("/api/v1/state/get",
          [this](const http::Request& request) { return state_of_key(request); });
  api.get("/api/v1/explain", [this](const http::Request&) {
    return json_response(explain(plan_, ExplainFormat::kJson));
  });
  api.get("/api/v1/logs", [](const http::Request& request) {
    std::string body;
    JsonWriter json(body);
    json.begin_object().key("lines").begin_array();
    for (const std::string& line :
         recent_log_lines(number_in(request, "lines", 200, kLogLinesKept)))
      json.value(line);
    json.end_array().end_object();
    return json_response(std::move(body));
  });
  api.get("/api/v1/events", [this](const http::Request&) {
    http::Response response;
    response.events = http::EventStream{
        std::chrono::milliseconds(1000),
        [this] { return "{\"status\":" + status() + ",\"graph\":" + graph() + "}"; }};
    return response;
  });
  api.post("/api/v1/savepoint", [this](const http::Request&) {
    return json_response(id_json(supervisor_.request_savepoint().get()));
  });
  api.post("/api/v1/stop",
           [this](const http::Request& request) { return stop(supervisor_, request); });
  api.post("/api/v1/hold", [this](const http::Request& request) {
    const YAML::Node object = object_in(request.body);
    SourceHold& hold = supervisor_.source_hold();
    const std::string here = text_in(object, "here");
    if (here != "" && here != "true" && here != "false")
      throw Error(ErrorCode::kConfig, "here is neither true nor false: " + here);
    if (here == "true" && object["offsets"])
      throw Error(ErrorCode::kConfig, "here and offsets are two ways to hold; give one");
    if (here == "true") {
      hold.set_here();
    } else if (object["offsets"]) {
      hold.set(offsets_in(object));
    } else {
      hold.release();
    }
    return hold_json(hold);
  });
  api.get("/api/v1/hold",
          [this](const http::Request&) { return hold_json(supervisor_.source_hold()); });
  api.add("DELETE", "/api/v1/savepoints/*", JobApi::Where::kSocketOnly,
          [this](const http::Request& request) {
            delete_savepoint(env_.checkpoint_folder(),
                             request.path.substr(request.path.rfind('/') + 1));
            return json_response("{}");
          });
}

}  // namespace tidemill
