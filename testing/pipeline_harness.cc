#include "testing/pipeline_harness.h"

#include <algorithm>
#include <random>
#include <unistd.h>
#include <utility>

#include "engine/base/error.h"
#include "engine/checkpoint/coordinator.h"
#include "engine/checkpoint/manifest_commit.h"
#include "engine/checkpoint/restore_point.h"
#include "engine/checkpoint/storage.h"
#include "engine/graph/plan.h"
#include "engine/runtime/job.h"
#include "engine/runtime/seeded_scheduler.h"
#include "engine/runtime/source_stage.h"
#include "engine/time/source_registry.h"
#include "state/backend.h"

namespace tidemill::testing {
namespace {

using Hold = SourceWatermarks::Hold;

constexpr const char* kJob = "pipeline";
constexpr int kCheckpointRounds = 1000000;

// Nothing here survives the process anyway: in memory where the system has such a place.
std::filesystem::path temporary_folder() {
  const std::filesystem::path memory = "/dev/shm";
  const auto parent =
      ::access(memory.c_str(), W_OK) == 0 ? memory : std::filesystem::temp_directory_path();
  std::random_device random;
  return parent / ("tidemill-pipeline-" + std::to_string(random()) + std::to_string(random()));
}

}  // namespace

// Members are destroyed from the last to the first: tasks before what they write to.
struct PipelineHarness::Attempt {
  Resources resources;
  SourceControl control;
  SourceRegistry sources;
  std::unique_ptr<CommitProtocol> protocol;
  std::unique_ptr<Backend> backend;
  Plan plan;
  std::unique_ptr<Coordinator> coordinator;
  std::unique_ptr<Job> job;
  std::unique_ptr<SeededScheduler> scheduler;
};

PipelineHarness::PipelineHarness(Graph graph, PipelineOptions options)
    : graph_(std::move(graph)), options_(std::move(options)), folder_(temporary_folder()) {
  std::filesystem::create_directories(folder_);
  storage_ = std::make_unique<CheckpointStorage>(folder_ / "checkpoints",
                                                 CheckpointStorage::Access::kOwn, false);
  if (options_.turns != nullptr) options_.turns->read_in_turns();
  start();
}

PipelineHarness::~PipelineHarness() {
  attempt_.reset();
  storage_.reset();
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

void PipelineHarness::start() {
  ++num_attempts_;
  storage_->remove_unfinished();
  attempt_ = std::make_unique<Attempt>();
  Attempt& a = *attempt_;
  a.resources.lend(a.control);
  a.resources.lend(a.sources);
  if (options_.lend) options_.lend(a.resources);
  a.protocol = std::make_unique<ManifestCommit>(*storage_);
  const RestorePoint point = choose_restore_point(kJob, a.protocol->acquire(), *storage_, {});
  a.backend = make_backend(options_.backend, {.dir = folder_ / "work"});
  a.resources.lend<Backend>(*a.backend);
  a.resources.lend<BackPressure>(a.backend->budget());
  if (point.manifest) {
    a.backend->restore(storage_->state_folder(point.manifest->checkpoint), point.manifest->files);
    publish_prepared(graph_, point.manifest->prepared);
  } else {
    a.backend->restore({}, {});
  }
  for (const Node& node : graph_.nodes) {
    if (node.discard_unpublished) node.discard_unpublished();
  }
  a.plan = make_plan(graph_, options_.parallelism,
                     point.manifest ? point.manifest->key_groups : options_.key_groups);
  Coordinator::Settings settings;
  settings.job = kJob;
  settings.lineage = point.lineage;
  settings.parent = point.manifest ? point.manifest->checkpoint : "";
  settings.next = point.manifest ? point.manifest->seq + 1 : point.next;
  settings.interval = Duration::zero();
  settings.backend = options_.backend;
  a.coordinator = std::make_unique<Coordinator>(settings, a.plan, *storage_, *a.backend,
                                                *a.protocol, metrics_, clock_);
  a.job = std::make_unique<Job>(
      a.plan, point.manifest ? &point.manifest->operators : nullptr, a.resources, metrics_, clock_,
      [&a](TaskSnapshot snapshot) { a.coordinator->acknowledge(std::move(snapshot)); });
  a.coordinator->attach(*a.job);
  const std::uint64_t seed = options_.seed == 0 ? 0 : options_.seed + num_attempts_;
  a.scheduler = std::make_unique<SeededScheduler>(*a.job, seed);
  a.protocol->begin(settings.next);
  if (point.is_new_lineage) checkpoint();
  a.control.released = true;
  run_tasks();
}

void PipelineHarness::run_tasks() { attempt_->scheduler->run_until_quiet(); }

bool PipelineHarness::step() { return attempt_->scheduler->step(); }

void PipelineHarness::run_until_quiet() {
  while (true) {
    run_tasks();
    if (options_.turns == nullptr) return;
    const std::size_t called = options_.turns->next_turn();
    if (called == 0) return;
    if (called > 1) {
      hold_event_time(Hold::kAll);
      run_tasks();
    }
    hold_event_time(Hold::kEnd);
    run_tasks();
    hold_event_time(Hold::kNothing);
  }
}

void PipelineHarness::hold_event_time(Hold what) {
  for (const auto& [_, source] : attempt_->sources.all()) source->hold(what);
}

EventTime PipelineHarness::next_stop(EventTime until) const {
  EventTime next = until;
  for (const Duration multiple : options_.clock_multiples) {
    next = std::min(next, floor_to(now(), multiple) + multiple);
  }
  for (const auto& task : attempt_->job->tasks()) {
    if (!task->is_source()) continue;
    const auto alarm = task->source()->driver().next_alarm();
    if (alarm == std::chrono::nanoseconds::max()) continue;
    const EventTime at{std::chrono::ceil<std::chrono::milliseconds>(alarm).count()};
    if (at > now()) next = std::min(next, at);
  }
  return next;
}

void PipelineHarness::advance(Duration by) {
  const EventTime until = now() + by;
  while (now() < until) {
    clock_.advance(next_stop(until) - now());
    // What was true until now is shown first; then the splits whose time is up become idle at once.
    attempt_->scheduler->tick();
    hold_event_time(Hold::kAll);
    run_tasks();
    hold_event_time(Hold::kNothing);
    run_until_quiet();
  }
}

void PipelineHarness::checkpoint() {
  Coordinator& coordinator = *attempt_->coordinator;
  const std::uint64_t before = coordinator.num_committed();
  coordinator.request();
  for (int i = 0; i < kCheckpointRounds && coordinator.num_committed() == before; ++i) {
    if (!coordinator.step()) attempt_->scheduler->step();
  }
  if (coordinator.num_committed() == before) {
    throw Error(ErrorCode::kInternal, "a checkpoint was not acknowledged by every task");
  }
}

void PipelineHarness::restart(int parallelism) {
  checkpoint();
  crash(parallelism);
}

void PipelineHarness::crash(int parallelism) {
  if (parallelism > 0) options_.parallelism = parallelism;
  attempt_.reset();
  start();
}

bool PipelineHarness::has_ended() const { return attempt_->job->has_ended(); }

}  // namespace tidemill::testing
