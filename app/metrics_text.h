// What a running job answers besides its API: /metrics (Prometheus text) and /late.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "app/diagnosis.h"
#include "app/process_figures.h"
#include "engine/base/clock.h"
#include "engine/base/metrics.h"
#include "engine/time/source_watermarks.h"

namespace tidemill {

class JsonWriter;

using EventTimeOfSources = std::map<std::string, std::shared_ptr<SourceWatermarks>>;

// What is asked for when metrics are scraped, and kept nowhere.
struct JobFigures {
  std::string job;
  std::string version;
  int parallelism = 1;
  bool is_replay = false;
  std::string state;  // of kJobStates
  std::vector<Problem> problems;
  EventTimeOfSources event_time;
  ProcessFigures process;
};

// As the API spells them.
inline constexpr const char* kJobStates[] = {"starting", "running",  "restarting",
                                             "stopping", "finished", "failed"};

// All of that and the registry's content in Prometheus' text format.
std::string prometheus_text(const MetricRegistry& metrics, const JobFigures& figures,
                            const Clock& clock);

// The latest late records of every operator as an array of objects; of each subtask the oldest
// first.
std::string late_records_json(const MetricRegistry& metrics);
void write_late_records(JsonWriter& json, const MetricRegistry& metrics);

}  // namespace tidemill
