#include "engine/checkpoint/start_rehearsal.h"

#include <filesystem>
#include <memory>
#include <utility>

#include "engine/checkpoint/state_changes.h"
#include "engine/checkpoint/take_over.h"
#include "engine/graph/plan.h"
#include "engine/operator/freshness.h"
#include "engine/operator/sink.h"
#include "engine/runtime/job.h"
#include "engine/runtime/source_stage.h"

namespace tidemill {
namespace {

std::vector<StartRehearsal::Point> points_of(const CheckpointStorage& storage,
                                             const std::optional<CommitRecord>& record) {
  std::vector<StartRehearsal::Point> points;
  std::optional<std::vector<SourcePositions>> last;
  std::string since;
  if (record) last = record->positions;
  const auto all = storage.list();
  for (auto name = all.rbegin(); name != all.rend(); ++name) {
    StartRehearsal::Point point{*name, ""};
    try {
      const Manifest manifest = storage.load(name->id).manifest;
      if (!last) {
        last = manifest.sources;
        since = " (compared with " + name->id + ", as no commit record can be trusted)";
      }
      point.consequence = consequence_of(manifest, *last) + since;
    } catch (const Error&) {  // damaged
    }
    points.push_back(std::move(point));
  }
  return points;
}

void complete(StartRehearsal& rehearsal) {
  Refusal& refusal = *rehearsal.refusal;
  if (refusal.takes_restore) {
    for (const StartRehearsal::Point& point : rehearsal.points) {
      if (point.consequence.empty()) continue;
      refusal.choices.push_back(
          {{"--restore=" + point.name.id, "--accept-duplicates"},
           "goes on from checkpoint " + point.name.id + " as a new lineage: " + point.consequence});
    }
  }
  if (refusal.takes_nothing)
    refusal.choices.push_back(
        {{"--restore=none", "--accept-duplicates"},
         "begins anew without state: reads everything that the input still has, and writes all of "
         "its rows again"});
}

class Start {
 public:
  Start(const SupervisorSettings& settings, const Graph& graph, const Deployment& deployment,
        MetricRegistry& metrics, const Clock& clock)
      : settings_(settings),
        graph_(graph),
        deployment_(deployment),
        metrics_(metrics),
        clock_(clock),
        // A folder that is not there is not made.
        storage_(settings.checkpoint_folder,
                 std::filesystem::is_directory(settings.checkpoint_folder)
                     ? CheckpointStorage::Access::kOwn
                     : CheckpointStorage::Access::kReadOnly),
        hold_(settings.hold) {}

  void run(StartRehearsal& rehearsal) {
    resources_.lend(control_);
    resources_.lend(*sources_);
    resources_.lend(hold_);
    protocol_ = deployment_.make_protocol(resources_, storage_);
    try {
      rehearsal.record = protocol_->look();
    } catch (const Error&) {
      rehearsal.points = points_of(storage_, std::nullopt);
      throw;
    }
    rehearsal.points = points_of(storage_, rehearsal.record);
    if (settings_.restore.kind == RestoreChoice::Kind::kLatest)
      refuse_unfinished_hand_over(storage_, rehearsal.record);
    RestorePoint point =
        choose_restore_point(settings_.job, rehearsal.record, storage_, settings_.restore);
    build(point);
    rehearsal.begins = point.why;
  }

 private:
  void build(RestorePoint& point) {
    StateChanges changes = settings_.state_changes;
    store_ = deployment_.make_store(resources_);
    if (point.manifest) {
      (void)load_state(changes, settings_.backend, storage_, *point.manifest, *store_);
      if (point.may_be_unpublished) require_sinks(graph_, point.manifest->prepared);
    } else {
      store_->restore({}, {});
    }
    info_ = {settings_.job, point.next, CheckpointStorage::new_id(point.next),
             point.is_new_lineage && point.manifest};
    resources_.lend(info_);
    resources_.lend(freshness_);
    plan_ = make_plan(graph_, settings_.parallelism,
                      point.manifest ? point.manifest->key_groups : settings_.key_groups);
    job_ = std::make_unique<Job>(plan_, point.manifest ? &point.manifest->operators : nullptr,
                                 resources_, metrics_, clock_, [](TaskSnapshot) {});
    if (point.manifest)
      (void)drop_states(changes, *point.manifest, job_->unused_parts(), graph_, *store_);
  }

  const SupervisorSettings& settings_;
  const Graph& graph_;
  const Deployment& deployment_;
  MetricRegistry& metrics_;
  const Clock& clock_;
  CheckpointStorage storage_;
  SourceHold hold_;
  // Destroyed from the last to the first, as those of an attempt.
  Resources resources_;
  SourceControl control_;
  AttemptInfo info_;
  OutputFreshness freshness_;
  std::shared_ptr<SourceRegistry> sources_ = std::make_shared<SourceRegistry>();
  std::unique_ptr<CommitProtocol> protocol_;
  std::unique_ptr<SnapshotStore> store_;
  Plan plan_;
  std::unique_ptr<Job> job_;
};

}  // namespace

StartRehearsal rehearse(const SupervisorSettings& settings, const Graph& graph,
                        const Deployment& deployment, MetricRegistry& metrics, const Clock& clock) {
  StartRehearsal rehearsal;
  try {
    Start(settings, graph, deployment, metrics, clock).run(rehearsal);
    return rehearsal;
  } catch (const RefusedStart& e) {
    rehearsal.error = e.what();
    rehearsal.code = e.code();
    rehearsal.refusal = e.refusal();
  } catch (const Error& e) {
    rehearsal.error = e.what();
    rehearsal.code = e.code();
    if (e.code() == ErrorCode::kCorrupt) rehearsal.refusal = damaged_checkpoint();
    if (e.code() == ErrorCode::kRefused) rehearsal.refusal = Refusal{"other", ""};
  }
  rehearsal.begins.clear();
  if (rehearsal.refusal) complete(rehearsal);
  return rehearsal;
}

}  // namespace tidemill
