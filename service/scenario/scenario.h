// One scenario as data: a pipeline, then steps with the rows each of them must give.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "engine/base/time.h"
#include "service/scenario/value.h"

namespace tidemill::scenario {

constexpr std::int64_t kMaxParallelism = 128;  // the number of key groups
constexpr std::int64_t kMaxPartitions = 1000;

enum class Aggregate : std::uint8_t {
  kCount,
  kSum,
  kMean,
  kMin,
  kMax,
  kVariance,
  kFirst,
  kLast,
  kDistinct,
  kCollect,
  kTop,
};

// One parameter as it was given, by its form.
struct Parameter {
  std::optional<Duration> duration;   // also times (offset, lower, upper)
  std::vector<Duration> durations;    // windows
  std::optional<std::int64_t> count;  // partitions, parallelism, n, count, every
  std::string choice;                 // emit, empty, type, keep, order; a flag's own name
};

struct StageSpec {
  std::string kind;
  std::map<std::string, Parameter> parameters;  // those given
  std::optional<Aggregate> aggregate;           // none: the kind has none
  std::size_t top = 0;                          // of kTop

  [[nodiscard]] std::optional<Duration> duration(const std::string& name) const {
    const auto it = parameters.find(name);
    return it == parameters.end() ? std::nullopt : it->second.duration;
  }
  [[nodiscard]] std::int64_t count(const std::string& name, std::int64_t otherwise) const {
    const auto it = parameters.find(name);
    return it == parameters.end() ? otherwise : it->second.count.value_or(otherwise);
  }
  [[nodiscard]] std::string choice(const std::string& name, const std::string& otherwise) const {
    const auto it = parameters.find(name);
    return it == parameters.end() || it->second.choice.empty() ? otherwise : it->second.choice;
  }
  [[nodiscard]] bool has(const std::string& name) const { return parameters.contains(name); }
};

struct GivenRecord {
  std::string key;
  EventTime time;
  Value value;
};

enum class Verb : std::uint8_t {
  kIn,
  kWatermark,
  kIdle,
  kActive,
  kPause,
  kResume,
  kAdvance,
  kRestart,
  kEnd
};

struct Step {
  std::size_t line = 0;
  std::string text;  // as written, without its rows
  Verb verb = Verb::kIn;
  std::vector<std::size_t> inputs;   // it speaks of; of a join 0 is left, 1 right
  std::vector<GivenRecord> records;  // kIn
  EventTime time{};                  // kWatermark
  Duration duration{};               // kAdvance
  int parallelism = 0;               // kRestart; 0: as before
  std::vector<std::string> rows;     // canonical
};

struct Scenario {
  std::vector<StageSpec> stages;
  std::vector<std::string> inputs;  // their names
  std::vector<Step> steps;

  // Depends on idleness: every restart would change it.
  [[nodiscard]] bool uses_idleness() const;
};

}  // namespace tidemill::scenario
