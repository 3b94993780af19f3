#include "service/scenario/pipeline.h"

#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "connectors/memory/scripted_source.h"
#include "operators/source.h"
#include "operators/stream.h"
#include "service/scenario/pipeline_parser.h"
#include "service/scenario/stages.h"
#include "state/operator_state.h"

namespace tidemill::scenario {
namespace {

using Text = std::string;

// The rows of a first stage as records of the second: what one cause gave out, in the order of
// time. Port 1: what is behind the watermark the first stage has forwarded, for a second stage
// whose records are judged before they come to it.
class RowsToRecords final : public OneInput<ResultRow> {
 public:
  RowsToRecords(OperatorContext& ctx, bool judges)
      : judges_(judges),
        watermark_(ctx, "watermark"),
        out_(ctx.output<ScenarioRecord>(0)),
        late_(ctx.output<ScenarioRecord>(1)) {
    *watermark_ = EventTime::min();
    if (const auto& before = watermark_.restored(); !before.empty())
      *watermark_ = std::ranges::min(before);
  }

  void process(Batch<ResultRow>& batch) override {
    std::stable_sort(batch.begin(), batch.end(),
                     [](const auto& a, const auto& b) { return a.time < b.time; });
    for (auto& row : batch) {
      auto record = make_record(std::move(row.value.key), row.time, std::move(row.value.value), {});
      (judges_ && row.time < *watermark_ ? late_ : out_).emit(std::move(record), row.time);
    }
  }
  Progress on_watermark(EventTime watermark) override {
    *watermark_ = watermark;
    return Progress::kDone;
  }

 private:
  const bool judges_;
  OperatorState<EventTime> watermark_;
  Emitter<ScenarioRecord>& out_;
  Emitter<ScenarioRecord>& late_;
};

// By key; batches are never put together, since a batch is a step of the scenario.
class BatchByBatch final : public ExchangeOutlet {
 public:
  BatchByBatch(std::vector<Channel*> targets, std::uint32_t key_groups)
      : exchange_(std::move(targets), key_groups, &ScenarioRecord::key) {}
  void push(AnyBatch batch) override {
    exchange_.push(std::move(batch));
    exchange_.flush();
  }
  void push(const Signal& signal) override { exchange_.push(signal); }
  [[nodiscard]] bool is_blocked() const override { return exchange_.is_blocked(); }
  void flush() override {}

 private:
  KeyExchange<ScenarioRecord, std::string ScenarioRecord::*> exchange_;
};

Text text_of_rejected(const RejectedRecord& record) {
  return "late " + record.key + "@" + print(record.timestamp) +
         (record.value == "1" ? "" : "=" + record.value);
}
Text text_of(const ResultRow& row) { return row.text; }

using AddStage = StageRows (*)(const StageSite&);

AddStage stage_of(const std::string& kind) {
  static const std::map<std::string, AddStage> all = {
      {"tumbling", &add_window_stage},
      {"sliding", &add_window_stage},
      {"session", &add_session_stage},
      {"global", &add_global_stage},
      {"trailing", &add_trailing_stage},
      {"watermarks", &add_watermarks_stage},
      {"window-join", &add_window_join_stage},
      {"interval-join", &add_interval_join_stage},
      {"asof-join", &add_asof_join_stage},
      {"dedup", &add_dedup_stage},
      {"topn", &add_topn_stage},
      {"timers", &add_timers_stage},
  };
  return all.at(kind);
}

class Builder {
 public:
  Builder(const Scenario& scenario, std::shared_ptr<MemoryRows> rows, std::size_t firing_budget)
      : scenario_(scenario),
        rows_(std::move(rows)),
        firing_budget_(firing_budget),
        graph_(std::make_shared<GraphBuilder>()) {}

  Graph build(const std::shared_ptr<Script<ScenarioRecord>>& script) {
    const auto& stages = scenario_.stages;
    const bool is_only = stages.size() == 1;
    const StageRows first = add_stage(
        {graph_, stages.front(), {true, is_only, firing_budget_}, "first stage", read(script)});
    if (is_only) {
      show(first.rows.map(&text_of), "rows of the first stage");
    } else {
      const auto is_result = [](const ResultRow& row) { return row.is_result; };
      const auto is_none = [](const ResultRow& row) { return !row.is_result; };
      show(first.rows.filter(is_none).map(&text_of), "rows that are no results");
      const StageRows second = add_stage({graph_,
                                          stages.back(),
                                          {false, false, firing_budget_},
                                          "second stage",
                                          {records_of(first.rows.filter(is_result))}});
      show(second.rows.map(&text_of), "rows of the second stage");
    }
    Graph graph = graph_->graph();
    for (Edge& edge : graph.edges) {
      if (edge.partitioning != Partitioning::kByKey || edge.type != typeid(ScenarioRecord))
        continue;
      edge.make_exchange = [](std::vector<Channel*> targets, std::uint32_t key_groups, int) {
        return std::make_unique<BatchByBatch>(std::move(targets), key_groups);
      };
    }
    return graph;
  }

 private:
  // One stream, or left and right: two splits of one source, so that what is said of inputs (of all
  // at once, alignment, idleness) holds for these two as for any.
  std::vector<Stream<ScenarioRecord>> read(const std::shared_ptr<Script<ScenarioRecord>>& script) {
    const Stream<ScenarioRecord> all = read_all(script);
    if (!has_two_inputs(scenario_.stages.front().kind)) return {all};
    const auto of_input = [&](int input) {
      return all.filter(
          [input](const ScenarioRecord& record) { return record.place.partition == input; });
    };
    return {of_input(0), of_input(1)};
  }

  Stream<ScenarioRecord> read_all(const std::shared_ptr<Script<ScenarioRecord>>& script) {
    const StageSpec& spec = scenario_.stages.front();
    SourceSettings settings;
    settings.idle = spec.duration("idle");
    if (spec.kind == "trailing")
      settings.lateness = spec.duration("lateness").value_or(Duration::zero());
    const SourceSpec<ScenarioRecord> source{"script",
                                            read_script(script, 0, scenario_.inputs.size())};
    const auto decode = [](const ScenarioRecord& raw, const Origin&, ScenarioRecord& out,
                           Rejection&) {
      out = raw;
      return true;
    };
    const auto time_of = [](const ScenarioRecord& record) { return record.time; };
    const EventTimeSettings<ScenarioDisorder> event_time{
        {BoundedDisorder{spec.duration("disorder").value_or(Duration::zero())},
         spec.has("disorder")},
        spec.duration("drift")};
    const auto streams =
        add_source<ScenarioRecord>(graph_, "inputs", source, settings, decode, time_of, event_time);
    if (spec.kind == "trailing") show(streams.late.map(&text_of_rejected), "late");
    return streams.events;
  }

  StageRows add_stage(const StageSite& site) {
    StageRows rows = stage_of(site.spec.kind)(site);
    for (std::size_t i = 0; i < rows.late.size(); ++i)
      show(rows.late[i], "late for the " + site.name + " " + std::to_string(i));
    return rows;
  }

  Stream<ScenarioRecord> records_of(const Stream<ResultRow>& rows) {
    const bool judges = scenario_.stages.back().kind == "trailing";
    Node node;
    node.name = node.kind = "rows to records";
    node.is_stateful = true;
    node.make_operator = [judges](OperatorContext& ctx) {
      return std::make_unique<RowsToRecords>(ctx, judges);
    };
    const NodeId convert = graph_->add(std::move(node));
    graph_->connect<ResultRow>(rows.from(), convert);
    if (judges)
      show(Stream<ScenarioRecord>(graph_, {{convert, 1}}).map(&text_of_late), "late in between");
    return {graph_, {{convert, 0}}};
  }

  void show(const Stream<Text>& texts, std::string name) {
    texts.sink_to(std::move(name), memory_sink(rows_),
                  [](const Text& text, EventTime time, OutputBatch& out) {
                    out.begin_row();
                    out.end_key();
                    out.buffer() += text;
                    out.set_time(time);
                    out.end_row();
                  });
  }

  const Scenario& scenario_;
  const std::shared_ptr<MemoryRows> rows_;
  const std::size_t firing_budget_;
  const std::shared_ptr<GraphBuilder> graph_;
};

}  // namespace

NodeId StageSite::add(MakeOperator make, int parallelism) const {
  Node node;
  node.name = name;
  node.kind = spec.kind;
  node.is_stateful = true;
  node.parallelism = parallelism;
  node.make_operator = std::move(make);
  return graph->add(std::move(node));
}

NodeId StageSite::add_by_key(MakeOperator make) const {
  const NodeId id = add(std::move(make));
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    graph->connect_by_key<ScenarioRecord>(inputs[i].from(), id, &ScenarioRecord::key,
                                          static_cast<int>(i));
  }
  return id;
}

std::string text_of_late(const ScenarioRecord& record) {
  return late_row(record.key, record.time, record.value);
}

Graph build_graph(const Scenario& scenario, const std::shared_ptr<Script<ScenarioRecord>>& script,
                  std::shared_ptr<MemoryRows> rows, std::size_t firing_budget) {
  return Builder(scenario, std::move(rows), firing_budget).build(script);
}

}  // namespace tidemill::scenario
