#include "engine/runtime/job.h"

#include <algorithm>
#include <utility>

#include "engine/base/error.h"

namespace tidemill {
namespace {

// Which of the edges to the same node it is, and of how many.
std::pair<std::size_t, std::size_t> place_among_inputs(const Graph& graph, std::size_t edge) {
  std::size_t number = 0;
  std::size_t count = 0;
  for (std::size_t e = 0; e < graph.edges.size(); ++e) {
    if (graph.edges[e].to != graph.edges[edge].to) continue;
    if (e < edge) ++number;
    ++count;
  }
  return {number, count};
}

}  // namespace

std::unique_ptr<OperatorContext> make_context(const Plan& plan, const Node& node, int subtask,
                                              int parallelism, const RestoredOperators* restored,
                                              Resources& resources, MetricRegistry& metrics,
                                              const Clock& clock) {
  const RestoredOperator* mine = nullptr;
  if (restored != nullptr) {
    const auto it = restored->find(node.name);
    if (it != restored->end()) mine = &it->second;
  }
  OperatorContext::Place place{node.name, subtask, parallelism,
                               key_groups_of(subtask, parallelism, plan.key_groups),
                               node.make_source != nullptr};
  return std::make_unique<OperatorContext>(std::move(place), resources, metrics, clock, mine);
}

void note_unused_parts(const Node& node, const OperatorContext& context, UnusedParts& unused) {
  if (context.subtask() == 0 && context.is_restored()) {
    for (const auto& subtask : context.restored_operator()->subtasks) {
      for (const StatePart& part : subtask.parts) unused.emplace(node.name, part.name);
    }
  }
  for (const std::string& part : context.asked_parts()) {
    const bool is_declared =
        !node.parts || part.starts_with('#') ||
        std::find(node.parts->begin(), node.parts->end(), part) != node.parts->end();
    if (!is_declared)
      throw Error(ErrorCode::kInternal,
                  "a source or sink asks for a part that its spec does not "
                  "name: " +
                      node.name + "/" + part);
    unused.erase({node.name, part});
  }
}

Job::Job(const Plan& plan, const RestoredOperators* restored, Resources& resources,
         MetricRegistry& metrics, const Clock& clock, Task::Acknowledge acknowledge,
         Settings settings)
    : acknowledge_(std::move(acknowledge)) {
  for (const Chain& chain : plan.chains) {
    first_task_.push_back(subtask_of_task_.size());
    for (int s = 0; s < chain.parallelism; ++s)
      subtask_of_task_.push_back(static_cast<std::size_t>(s));
  }
  make_channels(plan, settings.channel_batches);
  for (std::size_t c = 0; c < plan.chains.size(); ++c) {
    for (int s = 0; s < plan.chains[c].parallelism; ++s)
      build_task(plan, c, s, restored, resources, metrics, clock);
  }
}

Job::~Job() = default;

void Job::make_channels(const Plan& plan, std::size_t max_batches) {
  channel_of_edge_.resize(plan.graph.edges.size());
  for (std::size_t e = 0; e < plan.graph.edges.size(); ++e) {
    const Edge& edge = plan.graph.edges[e];
    if (plan.is_chained(edge)) continue;
    const std::size_t from = plan.chain_of[edge.from];
    const std::size_t to = plan.chain_of[edge.to];
    const int senders = plan.chains[from].parallelism;
    const int receivers = plan.chains[to].parallelism;
    channel_of_edge_[e].resize(static_cast<std::size_t>(senders));
    const bool one_to_one = edge.partitioning == Partitioning::kForward && senders == receivers;
    for (int s = 0; s < senders; ++s) {
      for (int r = 0; r < receivers; ++r) {
        if (one_to_one && r != s) continue;
        channel_of_edge_[e][static_cast<std::size_t>(s)].push_back(links_.size());
        links_.push_back(
            {std::make_unique<Channel>(max_batches), task_index(from, s), task_index(to, r)});
      }
    }
  }
}

void Job::build_task(const Plan& plan, std::size_t chain, int subtask,
                     const RestoredOperators* restored, Resources& resources,
                     MetricRegistry& metrics, const Clock& clock) {
  const Chain& c = plan.chains[chain];
  const std::string& head = plan.graph.nodes[c.nodes.front()].name;
  auto task = std::make_unique<Task>(head + "/" + std::to_string(subtask),
                                     TaskMeter(metrics, head, subtask), clock, acknowledge_);
  std::map<NodeId, Stage*> stages;
  for (const NodeId id : c.nodes) {
    const Node& node = plan.graph.nodes[id];
    auto context =
        make_context(plan, node, subtask, c.parallelism, restored, resources, metrics, clock);
    if (node.make_source) {
      task->set_source(std::make_unique<SourceHead>(std::move(context), node.make_source));
    } else {
      stages[id] =
          &task->add_stage(std::make_unique<Stage>(std::move(context), node.make_operator));
    }
  }
  for (const NodeId id : c.nodes) {
    const Node& node = plan.graph.nodes[id];
    OperatorContext& context =
        node.make_source ? task->source()->context() : stages.at(id)->context();
    connect_outputs(plan, node, subtask, context, *task, stages);
    note_unused_parts(node, context, unused_parts_);
  }
  if (!task->is_source()) {
    std::vector<InputGate::Input> inputs;
    const std::size_t me = task_index(chain, subtask);
    // Edges of one task speak together: its idleness, and its return, come by all of them.
    std::map<std::size_t, std::size_t> speaker_of_chain;
    for (std::size_t e = 0; e < plan.graph.edges.size(); ++e) {
      const Edge& edge = plan.graph.edges[e];
      if (edge.to != c.nodes.front()) continue;
      const std::size_t speaker =
          speaker_of_chain.emplace(plan.chain_of[edge.from], speaker_of_chain.size()).first->second;
      for (const auto& of_sender : channel_of_edge_[e]) {
        for (const std::size_t link : of_sender) {
          if (links_[link].to_task == me)
            inputs.push_back({links_[link].channel.get(), edge.input, speaker});
        }
      }
    }
    if (inputs.empty())
      throw Error(ErrorCode::kConfig,
                  "an operator has no input: " + plan.graph.nodes[c.nodes.front()].name);
    task->set_gate(
        std::make_unique<InputGate>(inputs, stages.at(c.nodes.front())->input_watermark()));
  }
  tasks_.push_back(std::move(task));
}

void Job::connect_outputs(const Plan& plan, const Node& node, int subtask, OperatorContext& context,
                          Task& task, const std::map<NodeId, Stage*>& stages) {
  for (std::size_t e = 0; e < plan.graph.edges.size(); ++e) {
    const Edge& edge = plan.graph.edges[e];
    if (edge.from != node.id) continue;
    auto& ports = context.ports();
    if (edge.port >= ports.size() || !ports[edge.port]) {
      throw Error(ErrorCode::kInternal,
                  "operator " + node.name + " has no output port " + std::to_string(edge.port));
    }
    if (plan.is_chained(edge)) {
      const auto [number, count] = place_among_inputs(plan.graph, e);
      auto inlet = stages.at(edge.to)->make_inlet(edge.input, number, count);
      ports[edge.port]->connect(*inlet);
      task.add_inlet(std::move(inlet));
      continue;
    }
    std::vector<Channel*> targets;
    for (const std::size_t link : channel_of_edge_[e][static_cast<std::size_t>(subtask)])
      targets.push_back(links_[link].channel.get());
    auto exchange = edge.make_exchange(std::move(targets), plan.key_groups, subtask);
    exchange->meter(context.metrics(), {{"operator", context.name()},
                                        {"to", plan.graph.nodes[edge.to].name},
                                        {"subtask", std::to_string(subtask)}});
    ports[edge.port]->connect(*exchange);
    task.add_exchange(std::move(exchange));
  }
}

void Job::connect_wakeups(const std::vector<Wakeup*>& by_worker) {
  for (const Link& link : links_) {
    link.channel->set_producer(by_worker[worker_of(link.from_task, by_worker.size())]);
    link.channel->set_consumer(by_worker[worker_of(link.to_task, by_worker.size())]);
  }
}

void Job::request_checkpoint(CheckpointId id) {
  for (const auto& task : tasks_) {
    if (task->is_source()) task->request_checkpoint(id);
  }
}

std::optional<std::future<StateQuery>> Job::ask(StateQuery query) {
  for (const auto& task : tasks_) {
    for (const auto& stage : task->stages()) {
      const KeyGroupRange groups = stage->context().key_groups();
      if (stage->name() == query.operator_name &&
          groups.contains(key_group_of(query.hash, groups.groups)))
        return task->ask(std::move(query));
    }
  }
  return std::nullopt;
}

bool Job::has_ended() const {
  return std::all_of(tasks_.begin(), tasks_.end(),
                     [](const auto& task) { return task->has_ended(); });
}

}  // namespace tidemill
