#include "app/job_view.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <unistd.h>

#include "app/metrics_text.h"
#include "app/process_figures.h"
#include "app/progress.h"
#include "app/version.h"
#include "connectors/formats/iso_time.h"
#include "connectors/formats/json_writer.h"

namespace tidemill {
namespace {

const char* name_of(JobProgress::State state) {
  switch (state) {
    case JobProgress::State::kStarting: return "starting";
    case JobProgress::State::kRunning: return "running";
    case JobProgress::State::kRestarting: return "restarting";
    case JobProgress::State::kStopping: return "stopping";
    case JobProgress::State::kFinished: return "finished";
    case JobProgress::State::kFailed: return "failed";
  }
  return "failed";
}

std::optional<std::int64_t> ms_of(EventTime time) {
  return time.is_finite() ? std::optional(time.ms) : std::nullopt;
}

std::optional<std::int64_t> last_commit_of(const MetricSampler& sampler) {
  const auto at = sampler.gauge_sum("tidemill_checkpoint_last_committed_timestamp_seconds");
  return at && *at > 0 ? std::optional(std::int64_t{std::llround(*at * 1000)}) : std::nullopt;
}

const char* name_of(Partitioning partitioning) {
  switch (partitioning) {
    case Partitioning::kForward: return "forward";
    case Partitioning::kByKey: return "by key";
    case Partitioning::kRebalance: return "rebalance";
    case Partitioning::kBroadcast: return "broadcast";
    case Partitioning::kCustom: return "custom";
  }
  return "custom";
}

template <class Quantiles>
void write_ages(JsonWriter& json, const Quantiles& q) {
  json.field("p50_ms", q.p50_ms).field("p99_ms", q.p99_ms).field("max_ms", q.max_ms);
}

void write_problems(JsonWriter& json, const std::vector<Problem>& problems) {
  json.key("problems").begin_array();
  for (const Problem& p : problems) {
    json.begin_object().field("id", p.id).field("severity", p.is_error ? "error" : "warning");
    json.field("text", p.text).field("next", p.next).field("since_ms", p.since_ms).end_object();
  }
  json.end_array();
}

}  // namespace

JobView::JobView(const Environment& env, Supervisor& supervisor, const Plan& plan,
                 const Clock& clock)
    : env_(env),
      supervisor_(supervisor),
      plan_(plan),
      clock_(clock),
      started_ms_(clock.processing_time().ms),
      sampler_(env.metrics(), clock) {}

JobFacts JobView::facts() const {
  JobFacts f;
  const JobProgress progress = supervisor_.progress();
  f.state = name_of(progress.state);
  f.now_ms = clock_.processing_time().ms;
  f.started_ms = started_ms_;
  for (const JobFailure& failure : supervisor_.failures())
    f.failures.push_back({failure.at_ms, failure.message});
  f.last_commit_ms = last_commit_of(sampler_);
  f.interval_ms = env_.config().duration("checkpoint.interval").count();
  for (const CheckpointRun& run : supervisor_.checkpoint_log().runs())
    f.checkpoints.push_back({run.triggered_ms, run.duration_us, run.slowest, run.reason,
                             run.align_us + run.drain_us, run.store_us, run.commit_us});
  for (const auto& [source, watermarks] : supervisor_.event_time()) {
    const auto holder = watermarks->holder();
    for (const auto& split : watermarks->splits()) {
      JobFacts::Split s;
      s.source = source;
      s.name = split.name;
      s.is_idle = split.is_idle;
      s.is_finished = split.is_finished;
      if (holder && holder->split == split.name) {
        s.is_holder = true;
        s.behind_ms = static_cast<double>(holder->behind.count());
        s.since_s = std::chrono::duration<double>(clock_.monotonic() - holder->since).count();
      }
      s.lag_records = sampler_.gauge_sum("tidemill_source_lag_records",
                                         {{"operator", source}, {"split", split.name}});
      f.splits.push_back(std::move(s));
    }
  }
  for (const auto& [labels, seconds] : sampler_.each("tidemill_kafka_open_transaction_seconds")) {
    if (seconds <= 0) continue;
    const std::string topic = label_of(labels, "topic");
    const std::string partition = label_of(labels, "partition");
    const auto records = sampler_.gauge_sum("tidemill_kafka_open_transaction_records",
                                            {{"topic", topic}, {"partition", partition}});
    f.held.push_back({topic + ":" + partition, records.value_or(0), seconds});
  }
  for (const auto& [labels, seconds] : sampler_.each("tidemill_kafka_unreachable_seconds")) {
    if (seconds > 0)
      f.unreachable.push_back(
          {label_of(labels, "topic") + ":" + label_of(labels, "partition"), seconds});
  }
  f.events_per_s = sampler_.rate("tidemill_source_records_total").value_or(0);
  f.late_per_s = sampler_.rate("tidemill_late_records_total").value_or(0);
  f.bad_per_s = sampler_.rate("tidemill_bad_records_total").value_or(0);
  f.late_origin = label_of_most("tidemill_late_records_total", "split");
  f.bad_reason = label_of_most("tidemill_bad_records_total", "reason");
  for (const auto& [ends, keys] : exchange_keys()) {
    for (const auto& [key, share] : keys)
      f.hot_keys.push_back({ends.second, key, share, plan_.parallelism});
  }
  for (const auto& [labels, waiting] : sampler_.each("tidemill_redis_rows_waiting"))
    f.redis_sink = label_of(labels, "operator");
  f.redis_rows_waiting = sampler_.gauge_sum("tidemill_redis_rows_waiting").value_or(0);
  if (const auto latency = sampler_.redis_latency()) {
    f.redis_p50_ms = latency->p50_ms;
    f.redis_p99_ms = latency->p99_ms;
  }
  return f;
}

std::string JobView::label_of_most(const std::string& counter, const std::string& label) const {
  std::map<std::string, double> rates;
  for (const auto& [labels, rate] : sampler_.rates(counter)) {
    const std::string value = label_of(labels, label);
    rates[value.empty() ? "operator " + label_of(labels, "operator") : value] += rate;
  }
  const auto most = std::max_element(
      rates.begin(), rates.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
  return most == rates.end() || most->second <= 0 ? "" : most->first;
}

ReplayProgress JobView::replay(EventTime watermark, bool is_finished) const {
  ReplayFacts facts;
  const auto given = [&](const char* key) -> std::optional<std::int64_t> {
    const auto time = parse_given_time(env_.config().text(key));
    return time ? std::optional(time->ms) : std::nullopt;
  };
  facts.until_ms = given("until.time");
  facts.watermark_ms = ms_of(watermark);
  facts.is_finished = is_finished;
  facts.speed = sampler_.growth_of_min("tidemill_watermark_timestamp_seconds");
  facts.from_ms = given("from.time");
  if (!facts.from_ms && facts.watermark_ms) {
    // The first that was seen.
    std::int64_t unknown = kNotSeen;
    first_watermark_ms_.compare_exchange_strong(unknown, *facts.watermark_ms);
    facts.from_ms = first_watermark_ms_.load();
  }
  return replay_progress(facts);
}

std::vector<Problem> JobView::problems() const {
  const JobFacts now = facts();
  std::vector<Problem> found = diagnose(now);
  const std::lock_guard lock(first_told_mutex_);
  first_told_.date(found, now.now_ms);
  return found;
}

std::string JobView::metrics() const {
  JobFigures figures;
  figures.job = env_.job();
  figures.version = kVersionText;
  figures.parallelism = env_.parallelism();
  figures.is_replay = env_.is_replay();
  figures.state = name_of(supervisor_.progress().state);
  figures.problems = problems();
  figures.event_time = supervisor_.event_time();
  figures.process = process_figures();
  return prometheus_text(env_.metrics(), figures, clock_);
}

std::string JobView::status() const {
  const JobProgress progress = supervisor_.progress();
  const JobTotals totals = totals_of(env_);
  std::string text;
  JsonWriter json(text);
  json.begin_object().field("job", env_.job()).field("state", name_of(progress.state));
  json.field("since_ms", progress.state_since_ms).field("version", kVersionText);
  json.field("pid", static_cast<std::int64_t>(::getpid()))
      .field("parallelism", env_.parallelism())
      .field("started_ms", started_ms_)
      .field("restarts", progress.restarts);
  json.key("last_failure");
  if (progress.last_failure.empty()) {
    json.value(nullptr);
  } else {
    json.value(progress.last_failure);
  }
  EventTime watermark = EventTime::max();
  std::optional<std::pair<std::string, SourceWatermarks::Holder>> holder;
  const auto sources = supervisor_.event_time();
  for (const auto& [source, watermarks] : sources) {
    watermark = std::min(watermark, watermarks->merged());
    const auto held = watermarks->holder();
    if (held && held->behind > Duration::zero() &&
        (!holder || held->behind > holder->second.behind))
      holder.emplace(source, *held);
  }
  json.key("replay");
  if (env_.is_replay()) {
    json.begin_object().field("name", env_.job());
    const bool is_finished =
        !sources.empty() && std::all_of(sources.begin(), sources.end(), [](const auto& source) {
          return source.second->all_finished();
        });
    const ReplayProgress at = replay(watermark, is_finished);
    json.field("from_ms", at.from_ms).field("until_ms", at.until_ms).field("at_ms", at.at_ms);
    json.field("percent", at.percent).field("eta_s", at.eta_s).end_object();
  } else {
    json.value(nullptr);
  }
  json.key("totals").begin_object().field("events", totals.events).field("rows", totals.rows);
  json.field("late", totals.late).field("bad", totals.bad).end_object();
  json.key("rates").begin_object();
  json.field("events_per_s", sampler_.rate("tidemill_source_records_total"));
  json.field("rows_per_s", sampler_.rate("tidemill_records_out_total")).end_object();
  json.field("lag_records", totals.lag);
  json.field("watermark_ms", sources.empty() ? std::nullopt : ms_of(watermark));
  json.key("watermark_holder");
  if (holder) {
    json.begin_object().field("source", holder->first).field("split", holder->second.split);
    // Nothing: it has had no record yet.
    constexpr std::int64_t kFinite = std::int64_t{1} << 53;
    const std::int64_t behind = holder->second.behind.count();
    json.field("behind_ms", behind < kFinite ? std::optional(behind) : std::nullopt);
    json.field("since_s",
               std::chrono::duration<double>(clock_.monotonic() - holder->second.since).count());
    json.end_object();
  } else {
    json.value(nullptr);
  }
  const auto runs = supervisor_.checkpoint_log().runs();
  json.key("checkpoint").begin_object();
  json.key("last_id");
  if (progress.last_checkpoint.empty()) {
    json.value(nullptr);
  } else {
    json.value(progress.last_checkpoint);
  }
  json.field("last_ms", last_commit_of(sampler_));
  json.field("duration_us", runs.empty() ? std::nullopt : std::optional(runs.front().duration_us));
  json.field("bytes", sampler_.gauge_sum("tidemill_checkpoint_last_bytes"));
  json.field("interval_ms", env_.config().duration("checkpoint.interval").count()).end_object();
  json.key("freshness").begin_array();
  for (const auto& [stage, q] : sampler_.ages()) {
    // What was turned away as late is as old as it is.
    if (stage.first != "acknowledged" || env_.sinks_of_rejects().count(stage.second) > 0) continue;
    json.begin_object().field("output", stage.second);
    write_ages(json, q);
    json.end_object();
  }
  json.end_array();
  json.key("sources").begin_array();
  for (const auto& [source, watermarks] : sources) {
    for (const auto& split : watermarks->splits()) {
      const MetricSampler::Where here{{"operator", source}, {"split", split.name}};
      json.begin_object().field("name", source).field("split", split.name);
      const auto offset = sampler_.gauge_sum("tidemill_source_offset", here);
      json.field("offset",
                 offset ? std::optional(static_cast<std::int64_t>(*offset)) : std::nullopt);
      json.field("lag_records", sampler_.gauge_sum("tidemill_source_lag_records", here));
      json.field("watermark_ms", ms_of(split.watermark)).field("idle", split.is_idle).end_object();
    }
  }
  json.end_array();
  write_problems(json, problems());
  json.end_object();
  return text;
}

std::string JobView::graph() const {
  std::string text;
  JsonWriter json(text);
  std::set<NodeId> feeds;
  for (const Edge& e : plan_.graph.edges) feeds.insert(e.from);
  json.begin_object().key("nodes").begin_array();
  for (const Node& node : plan_.graph.nodes) {
    const Chain& chain = plan_.chains[plan_.chain_of[node.id]];
    const std::string& task = plan_.graph.nodes[chain.nodes.front()].name;
    const MetricSampler::Where here{{"operator", node.name}};
    const bool is_source = static_cast<bool>(node.make_source);
    const bool is_sink = !is_source && feeds.count(node.id) == 0;
    json.begin_object().field("id", std::to_string(node.id)).field("name", node.name);
    json.field("kind", is_source ? "source" : is_sink ? "sink" : "operator");
    json.field("chain", plan_.chain_of[node.id]).field("parallelism", chain.parallelism);
    const auto share = [&](const char* state) -> std::optional<double> {
      const auto part =
          sampler_.rate("tidemill_task_time_seconds_total", {{"task", task}, {"state", state}});
      const auto all = sampler_.rate("tidemill_task_time_seconds_total", {{"task", task}});
      if (!part || !all || *all <= 0) return std::nullopt;
      return *part / *all;
    };
    for (const char* state : {"busy", "back_pressured", "idle"}) json.field(state, share(state));
    json.field("records_in_per_s", sampler_.rate(is_source ? "tidemill_source_records_total"
                                                           : "tidemill_records_in_total",
                                                 here));
    json.field("records_out_per_s", sampler_.rate(is_sink ? "tidemill_records_out_total"
                                                          : "tidemill_operator_records_out_total",
                                                  here));
    const auto watermark = sampler_.gauge_min("tidemill_watermark_timestamp_seconds", here);
    constexpr double kFiniteSeconds = 8e15;
    const bool is_finite = watermark && std::abs(*watermark) < kFiniteSeconds;
    json.field("watermark_ms", is_finite
                                   ? std::optional(std::int64_t{std::llround(*watermark * 1000)})
                                   : std::nullopt);
    json.field("late", sampler_.counter("tidemill_late_records_total", here));
    json.field("state_bytes", sampler_.gauge_sum("tidemill_state_memory_bytes", here));
    json.end_object();
  }
  json.end_array().key("edges").begin_array();
  for (const Edge& e : plan_.graph.edges) {
    const Node& from = plan_.graph.nodes[e.from];
    json.begin_object().field("from", std::to_string(e.from)).field("to", std::to_string(e.to));
    json.field("partitioning", plan_.is_chained(e) ? "chained" : name_of(e.partitioning));
    json.field("records_per_s",
               sampler_.rate("tidemill_operator_records_out_total",
                             {{"operator", from.name}, {"output", std::to_string(e.port)}}));
    json.end_object();
  }
  json.end_array().end_object();
  return text;
}

std::string JobView::freshness() const {
  std::string text;
  JsonWriter json(text);
  json.begin_object().key("stages").begin_array();
  for (const auto& [stage, q] : sampler_.ages()) {
    json.begin_object().field("stage", stage.first).field("operator", stage.second);
    json.field("replay", env_.is_replay());
    write_ages(json, q);
    json.field("count", q.count).end_object();
  }
  json.end_array().key("history").begin_array();
  for (const MetricSampler::Moment& moment : sampler_.age_history()) {
    json.begin_object().field("at_ms", moment.at_ms).key("stages").begin_object();
    for (const auto& [stage, q] : moment.ages) {
      json.key(stage.first + " " + stage.second).begin_array();
      json.value(q.p50_ms).value(q.p99_ms).end_array();
    }
    json.end_object().end_object();
  }
  json.end_array().end_object();
  return text;
}

std::string JobView::exceptions() const {
  std::string text;
  JsonWriter json(text);
  json.begin_object().key("exceptions").begin_array();
  for (const JobFailure& failure : supervisor_.failures()) {
    json.begin_object().field("at_ms", failure.at_ms).key("operator");
    if (failure.place) {
      json.value(failure.place->operator_name).field("subtask", failure.place->subtask);
    } else {
      json.value(nullptr).field("subtask", nullptr);
    }
    json.field("message", failure.message).key("origin");
    if (failure.place && !failure.place->origin.empty()) {
      json.value(failure.place->origin);
    } else {
      json.value(nullptr);
    }
    json.field("attempt", failure.attempt).end_object();
  }
  json.end_array().end_object();
  return text;
}

std::string JobView::config() const {
  std::string text;
  JsonWriter json(text);
  json.begin_object().key("settings").begin_array();
  for (const Config::Effective& setting : env_.config().effective()) {
    json.begin_object().field("key", setting.key).field("value", setting.value);
    json.field("source", setting.origin).end_object();
  }
  json.end_array().end_object();
  return text;
}

}  // namespace tidemill
