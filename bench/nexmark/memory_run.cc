#include "bench/nexmark/memory_run.h"

#include <chrono>
#include <filesystem>
#include <memory>
#include <thread>
#include <unistd.h>

#include "bench/cpu_time.h"
#include "bench/nexmark/memory_source.h"
#include "engine/base/metrics.h"
#include "engine/graph/plan.h"
#include "engine/operator/back_pressure.h"
#include "engine/runtime/job.h"
#include "engine/runtime/source_settings.h"
#include "engine/runtime/threaded_scheduler.h"
#include "state/backend.h"

namespace tidemill::nexmark {
namespace {

// For the state of a run; gone with it.
class WorkFolder {
 public:
  WorkFolder()
      : path_(std::filesystem::temp_directory_path() / ("nexmark-" + std::to_string(::getpid()))) {
    std::filesystem::remove_all(path_);
    std::filesystem::create_directories(path_);
  }
  ~WorkFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  WorkFolder(const WorkFolder&) = delete;
  WorkFolder& operator=(const WorkFolder&) = delete;
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  const std::filesystem::path path_;
};

}  // namespace

RunResult run_in_memory(const Query& query, const Input& input, const Options& options,
                        Outputs::Kind outputs) {
  Tally tally;
  const auto graph = std::make_shared<GraphBuilder>();
  const Events events = read_memory(graph, input, options.disorder.value_or(input.disorder()));
  query.build(events, Outputs(outputs, tally));

  // Destroyed from the last to the first: tasks before what they write to.
  const WorkFolder folder;
  const SystemClock clock;
  MetricRegistry metrics;
  SourceControl control;
  Resources resources;
  resources.lend(control);
  const auto backend = make_backend(
      options.backend, {.dir = folder.path(), .memory = static_cast<std::size_t>(options.memory)});
  backend->restore({}, {});
  resources.lend<Backend>(*backend);
  resources.lend<BackPressure>(backend->budget());
  const Plan plan = make_plan(graph->graph(), options.parallelism, kDefaultKeyGroups);
  Job job(plan, nullptr, resources, metrics, clock, [](TaskSnapshot) {});
  ThreadedScheduler scheduler(job, static_cast<std::size_t>(options.parallelism));

  using std::chrono::steady_clock;
  const auto begin = steady_clock::now();
  const double cpu_begin = process_cpu_seconds();
  control.released = true;
  scheduler.wake_all();
  while (!scheduler.has_ended() && !scheduler.has_failed())
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  RunResult result;
  result.cpu_s = process_cpu_seconds() - cpu_begin;
  result.wall_s = std::chrono::duration<double>(steady_clock::now() - begin).count();
  scheduler.stop();
  if (scheduler.has_failed()) scheduler.rethrow_failure();
  result.tables_bytes = backend->budget().used();
  result.rows = tally.rows();
  result.checksum = tally.checksum();
  result.weight = tally.weight();
  return result;
}

}  // namespace tidemill::nexmark
