#include "app/otlp_exporter.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <random>
#include <utility>
#include <vector>

#include "app/version.h"
#include "connectors/formats/json_writer.h"
#include "engine/base/error.h"
#include "engine/base/log.h"
#include "http/client.h"

namespace tidemill {
namespace {

constexpr std::chrono::milliseconds kEvery{500};
constexpr std::chrono::milliseconds kLongestPause{30'000};
constexpr std::chrono::milliseconds kTimeout{1000};
constexpr std::size_t kMostAtOnce = 16;  // traces in one request

// Ids tell spans apart and need to be nothing else.
std::string random_id(std::size_t bytes) {
  static thread_local std::mt19937_64 random{std::random_device{}()};
  std::string text;
  for (std::size_t i = 0; i < bytes; i += 8) {
    char part[17];
    std::snprintf(part, sizeof part, "%016llx", static_cast<unsigned long long>(random() | 1));
    text += part;
  }
  return text;
}

// The JSON of OTLP: 64-bit numbers are strings, ids hexadecimal.
class TraceWriter {
 public:
  TraceWriter(std::string& out, const std::string& job) : json_(out) {
    json_.begin_object().key("resourceSpans").begin_array().begin_object();
    json_.key("resource").begin_object().key("attributes").begin_array();
    attribute("service.name", job);
    attribute("service.namespace", std::string("tidemill"));
    attribute("service.version", std::string(kVersionText));
    json_.end_array().end_object();
    json_.key("scopeSpans").begin_array().begin_object();
    json_.key("scope").begin_object().field("name", "tidemill").end_object();
    json_.key("spans").begin_array();
  }
  void finish() {
    json_.end_array().end_object().end_array().end_object().end_array().end_object();
  }

  // The spans that follow lie within this one. `start_ms` since the epoch.
  void begin_trace(std::int64_t start_ms) {
    trace_ = random_id(16);
    root_ = random_id(8);
    start_us_ = start_ms * 1000;
  }
  // From and to in microseconds since the trace's start. Attributes follow, then `end`.
  void root(const char* name, std::int64_t to_us) { begin(name, root_, "", 0, to_us); }
  void span(const char* name, std::int64_t from_us, std::int64_t to_us) {
    begin(name, random_id(8), root_, from_us, to_us);
  }
  void attribute(const char* name, const std::string& text) {
    json_.begin_object().field("key", name).key("value").begin_object();
    json_.field("stringValue", text).end_object().end_object();
  }
  void attribute(const char* name, std::int64_t number) {
    json_.begin_object().field("key", name).key("value").begin_object();
    json_.field("intValue", std::to_string(number)).end_object().end_object();
  }
  void end() {
    json_.end_array();
    json_.end_object();
  }
  void end_failed(const std::string& why) {
    json_.end_array().key("status").begin_object().field("code", 2).field("message", why);
    json_.end_object().end_object();
  }

 private:
  void begin(const char* name, const std::string& id, const std::string& parent,
             std::int64_t from_us, std::int64_t to_us) {
    json_.begin_object().field("traceId", trace_).field("spanId", id);
    if (!parent.empty()) json_.field("parentSpanId", parent);
    json_.field("name", name).field("kind", 1);
    json_.field("startTimeUnixNano", nanoseconds(from_us));
    json_.field("endTimeUnixNano", nanoseconds(std::max(from_us, to_us)));
    json_.key("attributes").begin_array();
  }
  [[nodiscard]] std::string nanoseconds(std::int64_t us) const {
    return std::to_string((start_us_ + us) * 1000);
  }

  JsonWriter json_;
  std::string trace_;
  std::string root_;
  std::int64_t start_us_ = 0;
};

void write_trace(TraceWriter& out, const CheckpointRun& run) {
  out.begin_trace(run.triggered_ms);
  out.root("checkpoint", run.duration_us);
  out.attribute("tidemill.checkpoint", run.id);
  out.attribute("tidemill.bytes", static_cast<std::int64_t>(run.bytes));
  if (run.result == CheckpointRun::Result::kCommitted) {
    out.end();
  } else {
    out.end_failed(run.reason);
  }
  for (const CheckpointRun::Part& part : run.parts) {
    const auto span = [&](const char* name, std::int64_t from, std::int64_t to) {
      out.span(name, from, to);
      out.attribute("tidemill.operator", part.operator_name);
      out.attribute("tidemill.subtask", std::int64_t{part.subtask});
      out.end();
    };
    span("align", 0, part.aligned_us);
    span("drain", part.aligned_us, part.acknowledged_us);
  }
  const std::int64_t drained = run.align_us + run.drain_us;
  out.span("store", drained, drained + run.store_us);
  out.end();
  if (run.result != CheckpointRun::Result::kCommitted) return;
  out.span("commit", drained + run.store_us, run.duration_us);
  out.end();
}

void write_trace(TraceWriter& out, const RestoreRun& run) {
  out.begin_trace(run.started_ms);
  out.root("restore", run.duration_us);
  if (!run.checkpoint.empty()) out.attribute("tidemill.checkpoint", run.checkpoint);
  out.attribute("tidemill.attempt", static_cast<std::int64_t>(run.attempt));
  if (run.has_failed) {
    out.end_failed("the attempt failed before its first record; the job's exceptions say why");
  } else {
    out.end();
  }
  const std::pair<const char*, std::int64_t> parts[] = {{"fence", run.fence_us},
                                                        {"load", run.load_us},
                                                        {"publish", run.publish_us},
                                                        {"build", run.build_us}};
  std::int64_t at = 0;
  for (const auto& [name, took] : parts) {
    if (took == 0) continue;  // not reached
    out.span(name, at, at + took);
    out.end();
    at += took;
  }
}

// What is new behind `seen`, which is moved past what the log has lost; adds how much that is.
template <class Run>
std::vector<Run> fresh(const RunLog<Run>& log, std::uint64_t& seen, Counter& dropped) {
  auto [runs, added] = log.runs_after(seen);
  const std::uint64_t first = added - runs.size();
  dropped.add(first - seen);
  seen = first;
  if (runs.size() > kMostAtOnce) runs.resize(kMostAtOnce);
  return std::move(runs);
}

}  // namespace

void check_otlp_endpoint(const std::string& endpoint) {
  if (endpoint.empty()) return;
  try {
    const http::Client client(endpoint);
  } catch (const Error& e) {
    throw Error(ErrorCode::kConfig, std::string("otlp.endpoint: ") + e.what());
  }
}

OtlpExporter::OtlpExporter(std::string endpoint, std::string job, const Supervisor& supervisor,
                           MetricRegistry& metrics)
    : endpoint_(std::move(endpoint)),
      job_(std::move(job)),
      supervisor_(supervisor),
      exported_(metrics.counter("tidemill_traces_exported_total")),
      dropped_(metrics.counter("tidemill_traces_dropped_total")) {
  thread_ = std::thread([this] { run(); });
}

OtlpExporter::~OtlpExporter() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  stop_.notify_all();
  thread_.join();
}

void OtlpExporter::run() {
  auto pause = kEvery;
  std::unique_lock lock(mutex_);
  while (!stop_.wait_for(lock, pause, [&] { return stopping_; })) {
    lock.unlock();
    pause = send_all() ? kEvery : std::min(pause * 2, kLongestPause);
    lock.lock();
  }
  lock.unlock();
  if (!is_away_) send_all();  // the last checkpoint of the job
}

bool OtlpExporter::send_all() {
  while (true) {
    const Sent sent = send_some();
    if (sent != Sent::kTaken) return sent == Sent::kNothing;
  }
}

OtlpExporter::Sent OtlpExporter::send_some() {
  const auto restores = fresh(supervisor_.restore_log(), restores_seen_, dropped_);
  const auto checkpoints = fresh(supervisor_.checkpoint_log(), checkpoints_seen_, dropped_);
  if (restores.empty() && checkpoints.empty()) return Sent::kNothing;
  std::string body;
  TraceWriter out(body, job_);
  for (const RestoreRun& run : restores) write_trace(out, run);
  for (const CheckpointRun& run : checkpoints) write_trace(out, run);
  out.finish();
  const Sent sent = post(body);
  if (sent == Sent::kFailed) return sent;  // the same again, as far as the logs keep them
  restores_seen_ += restores.size();
  checkpoints_seen_ += checkpoints.size();
  (sent == Sent::kTaken ? exported_ : dropped_).add(restores.size() + checkpoints.size());
  return Sent::kTaken;
}

// kNothing: it was refused for good.
OtlpExporter::Sent OtlpExporter::post(const std::string& body) {
  constexpr int kTooMany = 429;
  constexpr int kServerError = 500;
  std::string why;
  try {
    http::Request request;
    request.method = "POST";
    request.path = "/v1/traces";
    request.headers["content-type"] = "application/json";
    request.body = body;
    http::ClientSettings settings;
    settings.timeout = kTimeout;
    const int status = http::Client(endpoint_, settings).send(request).status;
    if (status / 100 == 2) {
      if (std::exchange(is_away_, false))
        log(LogLevel::kInfo, "traces: " + endpoint_ + " takes them again");
      return Sent::kTaken;
    }
    why = "it answered " + std::to_string(status);
    if (status < kServerError && status != kTooMany) {
      if (!std::exchange(is_away_, true))
        log(LogLevel::kWarn, "traces: " + endpoint_ + " does not want them: " + why);
      return Sent::kNothing;
    }
  } catch (const Error& e) {
    why = e.what();
  }
  if (!std::exchange(is_away_, true)) {
    log(LogLevel::kWarn, "traces cannot be sent, the job goes on without them; see whether " +
                             endpoint_ + " takes OTLP over HTTP: " + why);
  }
  return Sent::kFailed;
}

}  // namespace tidemill
