// Turns a connector's reader into a stream: decode, event time, watermarks, lateness.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/operator/source.h"
#include "engine/runtime/source_stage.h"
#include "engine/time/source_registry.h"
#include "operators/stream.h"

namespace tidemill {

// What a connector gives: `Raw` is RawRecord for byte-oriented ones, any type for generators.
template <class Raw>
struct SourceSpec {
  std::string kind;  // for people: "kafka source"
  ReaderFactory<Raw> make;
  // As Node::parts.
  std::optional<std::vector<std::string>> parts = {};
};

template <class T>
struct SourceStreams {
  Stream<T> events;
  Stream<RejectedRecord> late;  // connected or not, late records are counted
  Stream<RejectedRecord> bad;
};

// Settings of event time that decide correctness have no default.
template <class Generator = BoundedDisorder>
struct EventTimeSettings {
  Generator generator;
  std::optional<Duration> drift = std::nullopt;
};

template <class T, class Raw, class Decode, class TimeOf, class Generator = BoundedDisorder>
SourceStreams<T> add_source(const std::shared_ptr<GraphBuilder>& graph, std::string name,
                            const SourceSpec<Raw>& spec, const SourceSettings& settings,
                            Decode decode, TimeOf time_of,
                            EventTimeSettings<Generator> event_time) {
  Node node;
  node.name = std::move(name);
  node.kind = spec.kind;
  node.is_stateful = true;
  node.parts = spec.parts;
  node.make_source = [=](OperatorContext& ctx) -> std::unique_ptr<SourceDriver> {
    auto watermarks =
        ctx.resources().get<SourceRegistry>().of(ctx.name(), ctx.clock(), event_time.drift);
    return std::make_unique<SourceStage<Raw, T, Decode, TimeOf, Generator>>(
        ctx, settings, std::move(watermarks), spec.make, decode, time_of, event_time.generator);
  };
  const NodeId id = graph->add(std::move(node));
  return {{graph, {{id, 0}}}, {graph, {{id, 1}}}, {graph, {{id, 2}}}};
}

// A source of finished events: no decoding, lateness judged by the operators. Each split has a copy
// of the watermark generator (engine/time/watermark_generator.h says what one is).
template <class T, class TimeOf, class Generator>
Stream<T> read_events(const std::shared_ptr<GraphBuilder>& graph, std::string name,
                      const SourceSpec<T>& spec, TimeOf time_of,
                      EventTimeSettings<Generator> event_time) {
  const auto as_it_is = [](const T& raw, const Origin&, T& out, Rejection&) {
    out = raw;
    return true;
  };
  const auto time = [time_of](const T& value) -> EventTime { return std::invoke(time_of, value); };
  return add_source<T>(graph, std::move(name), spec, SourceSettings{}, as_it_is, time,
                       std::move(event_time))
      .events;
}

// The same with the generator most sources have. `disorder`: how far behind the greatest time of
// its split a record may be.
template <class T, class TimeOf>
Stream<T> read_events(const std::shared_ptr<GraphBuilder>& graph, std::string name,
                      const SourceSpec<T>& spec, TimeOf time_of, Duration disorder) {
  return read_events(graph, std::move(name), spec, std::move(time_of),
                     EventTimeSettings<BoundedDisorder>{.generator = {.disorder = disorder}});
}

}  // namespace tidemill
