// What an operator is given when it is built: its outputs, its place in the job, what was restored,
// metrics, clocks.
#pragma once

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <typeindex>
#include <unordered_map>
#include <utility>
#include <vector>

#include "engine/base/clock.h"
#include "engine/base/error.h"
#include "engine/base/metrics.h"
#include "engine/data/emitter.h"
#include "engine/operator/key_group.h"
#include "engine/operator/snapshot.h"

namespace tidemill {

// Things of the whole process that operators may ask for by type (the state backend, the Kafka
// transaction): lent by whoever runs the job.
class Resources {
 public:
  template <class R>
  void lend(R& resource) {
    by_type_[std::type_index(typeid(R))] = &resource;
  }
  template <class R>
  R& get() const {
    R* found = find<R>();
    TM_CHECK(found != nullptr);
    return *found;
  }
  template <class R>
  R* find() const {
    const auto it = by_type_.find(std::type_index(typeid(R)));
    return it == by_type_.end() ? nullptr : static_cast<R*>(it->second);
  }

 private:
  std::unordered_map<std::type_index, void*> by_type_;
};

// Lent when operators are built only to learn what state they have: who would reach outside the
// process when it is built does not. Sources and sinks are not built at all then (Node::parts).
struct Rehearsal {};

// The parts that former subtasks of this operator left in the checkpoint; after a change of
// parallelism there may be more or fewer of them than subtasks now, and everyone sees all.
struct RestoredOperator {
  struct Subtask {
    std::vector<StatePart> parts;
    std::vector<SplitPosition> positions;
  };
  std::vector<Subtask> subtasks;
};

// An output besides the first by its name: a constant of the operator, `static constexpr
// OutputPort<T> kName{1};`, with which the operator asks for its emitter and a job for its stream.
template <class T>
struct OutputPort {
  std::size_t number;
};

// Outlives the operator it is given to. Used in the operator's constructor only, but for the
// queries.
class OperatorContext {
 public:
  struct Place {
    std::string name;  // unique in the job; the identity of the state
    int subtask = 0;
    int parallelism = 1;
    KeyGroupRange groups{0, kDefaultKeyGroups, kDefaultKeyGroups};
    bool is_source = false;
  };

  OperatorContext(Place place, Resources& resources, MetricRegistry& metrics, const Clock& clock,
                  const RestoredOperator* restored)
      : place_(std::move(place)),
        resources_(resources),
        metrics_(metrics),
        clock_(clock),
        restored_(restored) {}
  OperatorContext(const OperatorContext&) = delete;
  OperatorContext& operator=(const OperatorContext&) = delete;

  [[nodiscard]] const std::string& name() const { return place_.name; }
  [[nodiscard]] int subtask() const { return place_.subtask; }
  [[nodiscard]] int parallelism() const { return place_.parallelism; }
  [[nodiscard]] KeyGroupRange key_groups() const { return place_.groups; }
  [[nodiscard]] const Clock& clock() const { return clock_; }
  [[nodiscard]] Resources& resources() { return resources_; }

  // The emitter of output port `port`. Ports nobody reads count what they drop.
  template <class T>
  Emitter<T>& output(std::size_t port) {
    if (ports_.size() <= port) ports_.resize(port + 1);
    if (!ports_[port]) {
      ports_[port] = std::make_unique<Emitter<T>>();
      ports_[port]->meter(
          {&clock_,
           &counter("tidemill_operator_records_out_total", {{"output", std::to_string(port)}}),
           &metrics_.histogram("tidemill_event_age_seconds",
                               {{"stage", place_.is_source ? "source" : "output"},
                                {"operator", name()},
                                {"output", std::to_string(port)}})});
    }
    return static_cast<Emitter<T>&>(*ports_[port]);
  }
  template <class T>
  Emitter<T>& output(OutputPort<T> port) {
    return output<T>(port.number);
  }
  [[nodiscard]] std::vector<std::unique_ptr<EmitterBase>>& ports() { return ports_; }
  // Tells the meters of all outputs what they do not know yet.
  void count_emitted() {
    for (const auto& port : ports_) {
      if (port) port->count_emitted();
    }
  }

  // Metrics carry the operator's name and subtask as labels.
  Counter& counter(const std::string& name, Labels more = {}) {
    return metrics_.counter(name, labels(std::move(more)));
  }
  Gauge& gauge(const std::string& name, Labels more = {}) {
    return metrics_.gauge(name, labels(std::move(more)));
  }
  Histogram& histogram(const std::string& name, Labels more = {}) {
    return metrics_.histogram(name, labels(std::move(more)));
  }
  LateSample& late_sample(Labels more = {}) {
    return metrics_.late_sample(labels(std::move(more)));
  }
  [[nodiscard]] MetricRegistry& metrics() { return metrics_; }

  // Joins every later checkpoint, in the order of the calls. `part` outlives the operator's stage.
  void attach(Snapshotable& part) { snapshotables_.push_back(&part); }
  [[nodiscard]] const std::vector<Snapshotable*>& snapshotables() const { return snapshotables_; }

  // True if this operator starts from a checkpoint that knows it.
  [[nodiscard]] bool is_restored() const { return restored_ != nullptr; }
  // The named part of every former subtask that had it.
  [[nodiscard]] std::vector<ByteView> restored(std::string_view part) const {
    std::vector<ByteView> found;
    for (const StatePart* p : restored_parts(part)) found.emplace_back(p->bytes);
    return found;
  }
  // The same with what is known of them.
  [[nodiscard]] std::vector<const StatePart*> restored_parts(std::string_view part) const {
    std::vector<const StatePart*> found;
    asked_.emplace(part);
    if (restored_ == nullptr) return found;
    for (const auto& subtask : restored_->subtasks) {
      for (const StatePart& p : subtask.parts) {
        if (p.name == part) found.push_back(&p);
      }
    }
    return found;
  }
  [[nodiscard]] const RestoredOperator* restored_operator() const { return restored_; }
  // The names of the parts that have been asked for.
  [[nodiscard]] const std::set<std::string, std::less<>>& asked_parts() const { return asked_; }

 private:
  Labels labels(Labels more) const {
    more.emplace_back("operator", place_.name);
    more.emplace_back("subtask", std::to_string(place_.subtask));
    return more;
  }

  Place place_;
  Resources& resources_;
  MetricRegistry& metrics_;
  const Clock& clock_;
  const RestoredOperator* restored_;
  mutable std::set<std::string, std::less<>> asked_;
  std::vector<std::unique_ptr<EmitterBase>> ports_;
  std::vector<Snapshotable*> snapshotables_;
};

}  // namespace tidemill
