#include "service/scenario/pipeline.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "connectors/memory/scripted_source.h"
#include "operators/source.h"
#include "operators/stream.h"
#include "operators/trailing_window.h"
#include "service/scenario/stages.h"
#include "state/operator_state.h"

namespace tidemill::scenario {
namespace {

using Text = std::string;
using TrailingText = TrailingRow<std::string, Value>;

// Shows the merged watermark itself. One subtask, since all would show the same.
class ShowWatermarks final : public OneInput<ScenarioRecord> {
 public:
  ShowWatermarks(OperatorContext& ctx, bool shows_idleness)
      : shows_idleness_(shows_idleness), shown_(ctx, "shown"), out_(ctx.output<Text>(0)) {
    *shown_ = EventTime::min();
    for (const EventTime before : shown_.restored()) *shown_ = std::max(*shown_, before);
  }

  void process(Batch<ScenarioRecord>&) override {}
  Progress on_watermark(EventTime watermark) override {
    if (watermark <= *shown_) return Progress::kDone;
    *shown_ = watermark;
    out_.emit("w=" + print(watermark), watermark);
    return Progress::kDone;
  }
  void on_idle(bool is_idle) override {
    if (shows_idleness_) out_.emit(is_idle ? "idle" : "active", *shown_);
  }
  Progress on_end() override { return on_watermark(EventTime::max()); }

 private:
  const bool shows_idleness_;
  OperatorState<EventTime> shown_;
  Emitter<Text>& out_;
};

// The rows of a first stage as records of the second: what one cause gave out, in the order of
// time. Port 1: what is behind the watermark the first stage has forwarded, for a second stage
// whose records are judged before they come to it.
class RowsToRecords final : public OneInput<WindowRow> {
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

  void process(Batch<WindowRow>& batch) override {
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

Text text_of_late(const ScenarioRecord& record) {
  return late_row(record.key, record.time, record.value);
}
Text text_of_rejected(const RejectedRecord& record) {
  return "late " + record.key + "@" + print(record.timestamp) +
         (record.value == "1" ? "" : "=" + record.value);
}
Text text_of_window(const WindowRow& row) {
  return window_row(row.key, row.window.start, row.window.end, row.value);
}

class Builder {
 public:
  Builder(const Scenario& scenario, std::shared_ptr<MemoryRows> rows, std::size_t firing_budget)
      : scenario_(scenario),
        rows_(std::move(rows)),
        firing_budget_(firing_budget),
        graph_(std::make_shared<GraphBuilder>()) {}

  Graph build(std::shared_ptr<Script<ScenarioRecord>> script) {
    const auto source = read(std::move(script));
    const auto& stages = scenario_.stages;
    if (stages.front().kind == "trailing") show(source.late.map(&text_of_rejected), "late");
    if (stages.size() == 1) {
      add_last_stage(source.events, stages.front(), true);
    } else {
      add_last_stage(first_stage(source.events), stages.back(), false);
    }
    Graph graph = graph_->graph();
    for (Edge& edge : graph.edges) {
      if (edge.partitioning != Partitioning::kByKey) continue;
      edge.make_exchange = [](std::vector<Channel*> targets, std::uint32_t key_groups, int) {
        return std::make_unique<BatchByBatch>(std::move(targets), key_groups);
      };
    }
    return graph;
  }

 private:
  SourceStreams<ScenarioRecord> read(std::shared_ptr<Script<ScenarioRecord>> script) {
    const StageSpec& spec = scenario_.stages.front();
    SourceSettings settings;
    settings.idle = spec.duration("idle");
    if (spec.kind == "trailing")
      settings.lateness = spec.duration("lateness").value_or(Duration::zero());
    const SourceSpec<ScenarioRecord> source{
        "script", read_script(std::move(script), 0, scenario_.inputs.size())};
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
    return add_source<ScenarioRecord>(graph_, "inputs", source, settings, decode, time_of,
                                      event_time);
  }

  NodeId add(std::string name, const std::string& kind, MakeOperator make, int parallelism = 0) {
    Node node;
    node.name = std::move(name);
    node.kind = kind;
    node.is_stateful = true;
    node.parallelism = parallelism;
    node.make_operator = std::move(make);
    return graph_->add(std::move(node));
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

  Stream<ScenarioRecord> first_stage(const Stream<ScenarioRecord>& records) {
    const NodeId window = add_windows(records, scenario_.stages.front(),
                                      {true, false, firing_budget_}, "first stage");
    const bool judges = scenario_.stages.back().kind == "trailing";
    const Stream<WindowRow> rows(graph_, {{window, 0}});
    const NodeId convert = add(
        "rows to records", "rows to records",
        [judges](OperatorContext& ctx) { return std::make_unique<RowsToRecords>(ctx, judges); });
    graph_->connect<WindowRow>(rows.from(), convert);
    if (judges)
      show(Stream<ScenarioRecord>(graph_, {{convert, 1}}).map(&text_of_late), "late in between");
    return {graph_, {{convert, 0}}};
  }

  NodeId add_windows(const Stream<ScenarioRecord>& records, const StageSpec& spec,
                     const StagePlace& place, const std::string& name) {
    const NodeId id = add(name, spec.kind + " window", make_window_stage(spec, place));
    graph_->connect_by_key<ScenarioRecord>(records.from(), id, &ScenarioRecord::key);
    show(Stream<ScenarioRecord>(graph_, {{id, 1}}).map(&text_of_late), "late for the " + name);
    return id;
  }

  void add_last_stage(const Stream<ScenarioRecord>& records, const StageSpec& spec, bool is_only) {
    const StagePlace place{is_only, is_only, firing_budget_};
    if (spec.kind == "watermarks") {
      const NodeId id = add(
          "last stage", "watermarks",
          [is_only](OperatorContext& ctx) {
            return std::make_unique<ShowWatermarks>(ctx, is_only);
          },
          1);
      graph_->connect<ScenarioRecord>(records.from(), id);
      show(Stream<Text>(graph_, {{id, 0}}), "rows");
    } else if (spec.kind == "trailing") {
      const NodeId id = add("last stage", "trailing window", make_trailing_stage(spec, place));
      graph_->connect_by_key<ScenarioRecord>(records.from(), id, &ScenarioRecord::key);
      std::vector<Duration> windows = spec.parameters.at("windows").durations;
      std::ranges::sort(windows);
      show(Stream<TrailingText>(graph_, {{id, 0}}).map([windows](const TrailingText& row) {
        return text_of_trailing(row, windows);
      }),
           "rows");
    } else {
      const NodeId id = add_windows(records, spec, place, "last stage");
      show(Stream<WindowRow>(graph_, {{id, 0}}).map(&text_of_window), "rows");
    }
  }

  static Text text_of_trailing(const TrailingText& row, const std::vector<Duration>& windows) {
    const Text at = row.key + "@" + print(row.at);
    if (row.is_delete) return "delete " + at;
    Text inner;
    for (std::size_t i = 0; i < windows.size(); ++i) {
      inner +=
          (i == 0 ? "" : ",") + print(EventTime{windows[i].count()}) + "=" + print(row.results[i]);
    }
    return at + "{" + inner + "}";
  }

  const Scenario& scenario_;
  const std::shared_ptr<MemoryRows> rows_;
  const std::size_t firing_budget_;
  const std::shared_ptr<GraphBuilder> graph_;
};

}  // namespace

Graph build_graph(const Scenario& scenario, std::shared_ptr<Script<ScenarioRecord>> script,
                  std::shared_ptr<MemoryRows> rows, std::size_t firing_budget) {
  return Builder(scenario, std::move(rows), firing_budget).build(std::move(script));
}

}  // namespace tidemill::scenario
