// Plan -> tasks and channels of one attempt.
#pragma once

#include <atomic>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/clock.h"
#include "engine/base/metrics.h"
#include "engine/graph/plan.h"
#include "engine/operator/context.h"
#include "engine/runtime/channel.h"
#include "engine/runtime/task.h"

namespace tidemill {

// What the operators of a job find when they start; empty at a first start.
using RestoredOperators = std::map<std::string, RestoredOperator>;

// What an operator is built with. Everything passed by reference outlives it.
std::unique_ptr<OperatorContext> make_context(const Plan& plan, const Node& node, int subtask,
                                              int parallelism, const RestoredOperators* restored,
                                              Resources& resources, MetricRegistry& metrics,
                                              const Clock& clock);
// (operator, part) of what was restored and no operator has asked for.
using UnusedParts = std::set<std::pair<std::string, std::string>>;
// Call for each subtask once it is built, the first one first. A part is used if one subtask asks
// for it: what it says may hold for all of them.
void note_unused_parts(const Node& node, const OperatorContext& context, UnusedParts& unused);

// Owns tasks and channels. Built and destroyed by one thread; `request_checkpoint` and the queries
// may come from any.
class Job {
 public:
  struct Settings {
    std::size_t channel_batches = 16;
  };

  // Everything passed by reference outlives the job.
  Job(const Plan& plan, const RestoredOperators* restored, Resources& resources,
      MetricRegistry& metrics, const Clock& clock, Task::Acknowledge acknowledge,
      Settings settings);
  Job(const Plan& plan, const RestoredOperators* restored, Resources& resources,
      MetricRegistry& metrics, const Clock& clock, Task::Acknowledge acknowledge)
      : Job(plan, restored, resources, metrics, clock, std::move(acknowledge), Settings{}) {}
  ~Job();

  [[nodiscard]] std::vector<std::unique_ptr<Task>>& tasks() { return tasks_; }
  // Which worker of `workers` a task belongs to: subtask i of every chain on worker i mod workers.
  [[nodiscard]] std::size_t worker_of(std::size_t task, std::size_t workers) const {
    return subtask_of_task_[task] % workers;
  }
  // Lets channels wake the workers of their ends.
  void connect_wakeups(const std::vector<Wakeup*>& by_worker);

  void request_checkpoint(CheckpointId id);
  // Handed to the subtask that has the key; nothing if there is no such operator. Any thread; the
  // future is broken if the job ends first.
  std::optional<std::future<StateQuery>> ask(StateQuery query);
  [[nodiscard]] bool has_ended() const;
  // The smallest watermark that the ends of the graph have reached.
  [[nodiscard]] std::size_t num_tasks() const { return tasks_.size(); }
  [[nodiscard]] const UnusedParts& unused_parts() const { return unused_parts_; }

 private:
  struct Link {
    std::unique_ptr<Channel> channel;
    std::size_t from_task = 0;
    std::size_t to_task = 0;
  };
  std::size_t task_index(std::size_t chain, int subtask) const {
    return first_task_[chain] + static_cast<std::size_t>(subtask);
  }
  void make_channels(const Plan& plan, std::size_t max_batches);
  void build_task(const Plan& plan, std::size_t chain, int subtask,
                  const RestoredOperators* restored, Resources& resources, MetricRegistry& metrics,
                  const Clock& clock);
  void connect_outputs(const Plan& plan, const Node& node, int subtask, OperatorContext& context,
                       Task& task, const std::map<NodeId, Stage*>& stages);

  // channels_[edge][from subtask][to subtask]
  std::vector<std::vector<std::vector<std::size_t>>> channel_of_edge_;
  std::vector<Link> links_;
  std::vector<std::size_t> first_task_;  // by chain
  std::vector<std::size_t> subtask_of_task_;
  std::vector<std::unique_ptr<Task>> tasks_;
  UnusedParts unused_parts_;
  Task::Acknowledge acknowledge_;
};

}  // namespace tidemill
