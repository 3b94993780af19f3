#include "testing/operator_harness.h"

#include <algorithm>
#include <cstdlib>
#include <random>

namespace tidemill::testing {
namespace {

// Every checkpoint is synced to disk: in memory where the system offers that, so that a thousand of
// them take a second.
std::filesystem::path new_folder() {
  std::filesystem::path parent = std::filesystem::temp_directory_path();
  if (std::getenv("TMPDIR") == nullptr && std::filesystem::is_directory("/dev/shm"))
    parent = "/dev/shm";
  std::random_device random;
  parent /= "tidemill-harness-" + std::to_string(random()) + std::to_string(random());
  std::filesystem::create_directories(parent);
  return parent;
}

}  // namespace

class OperatorHarness::Collector final : public Outlet {
 public:
  void push(AnyBatch batch) override { batches_.push_back(std::move(batch)); }
  void push(const Signal& /*signal*/) override {}
  [[nodiscard]] bool is_blocked() const override { return false; }
  std::vector<AnyBatch> take() { return std::exchange(batches_, {}); }

 private:
  std::vector<AnyBatch> batches_;
};

void OperatorHarness::run(const Make& make, const std::function<void(OperatorHarness&)>& test) {
  for (const HarnessOptions& options : {HarnessOptions{.backend = "memory", .restarts = false},
                                        HarnessOptions{.backend = "memory", .restarts = true},
                                        HarnessOptions{.backend = "rocksdb", .restarts = true}}) {
    OperatorHarness harness(make, options);
    test(harness);
  }
}

OperatorHarness::OperatorHarness(Make make, HarnessOptions options)
    : make_(std::move(make)), options_(std::move(options)), folder_(new_folder()) {
  backend_ = make_backend(options_.backend, {.dir = folder_ / "work", .memory = options_.memory});
  backend_->restore({}, {});
  build(nullptr);
}

OperatorHarness::~OperatorHarness() {
  stages_.clear();
  backend_.reset();
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

std::string OperatorHarness::mode() const {
  return options_.backend +
         (options_.restarts ? ", restarted between every two steps" : ", straight through");
}

void OperatorHarness::build(const RestoredOperator* restored) {
  resources_.lend<Backend>(*backend_);
  for (int s = 0; s < options_.parallelism; ++s) {
    OperatorContext::Place place{"operator", s, options_.parallelism,
                                 key_groups_of(s, options_.parallelism, options_.key_groups)};
    auto context =
        std::make_unique<OperatorContext>(std::move(place), resources_, metrics_, clock_, restored);
    stages_.push_back(std::make_unique<Stage>(std::move(context), make_));
    auto& emitters = stages_.back()->context().ports();
    for (std::size_t port = 0; port < emitters.size(); ++port) {
      if (ports_.size() <= port) ports_.push_back(std::make_unique<Collector>());
      if (emitters[port]) emitters[port]->connect(*ports_[port]);
    }
  }
}

std::vector<std::string> OperatorHarness::unused_states() const {
  std::vector<std::string> names;
  for (const StateName& name : backend_->unused_states()) names.push_back(name.state);
  return names;
}

void OperatorHarness::begin_step() {
  if (options_.restarts && has_started_) restart();
  has_started_ = true;
}

void OperatorHarness::signal(const Signal& signal) {
  for (auto& stage : stages_) stage->on_signal(signal);
}

bool OperatorHarness::has_work() const {
  return std::ranges::any_of(stages_, [](const auto& stage) { return stage->has_work(); });
}

void OperatorHarness::settle() {
  while (has_work()) {
    for (auto& stage : stages_) {
      if (stage->has_work()) stage->work();
    }
    if (options_.restarts && has_work()) restart();
  }
}

void OperatorHarness::watermark(EventTime time) {
  begin_watermark(time);
  settle();
}

void OperatorHarness::begin_watermark(EventTime time) {
  begin_step();
  signal(Signal::watermark(time));
}

bool OperatorHarness::finish_watermark() {
  begin_step();
  const bool had_work = has_work();
  settle();
  return had_work;
}

void OperatorHarness::idle() {
  begin_step();
  signal(Signal::idle());
}

void OperatorHarness::active() {
  begin_step();
  signal(Signal::active());
}

void OperatorHarness::end() {
  begin_step();
  has_ended_ = true;
  signal(Signal::end());
  settle();
}

void OperatorHarness::advance(Duration by) {
  begin_step();
  clock_.advance(by);
  for (auto& stage : stages_) stage->tick();
}

void OperatorHarness::restart(int parallelism) {
  const CheckpointId id = ++checkpoint_;
  const std::filesystem::path folder = folder_ / ("checkpoint-" + std::to_string(id));
  std::filesystem::create_directories(folder);
  signal(Signal::barrier(id));
  restored_ = {};
  for (auto& stage : stages_) {
    while (!stage->drain(16)) {
    }
    StageSnapshot snapshot = stage->take_snapshot();
    restored_.subtasks.push_back({std::move(snapshot.parts), std::move(snapshot.positions)});
  }
  const std::vector<StoredFile> files = backend_->snapshot(id, folder);
  stages_.clear();
  backend_.reset();
  if (parallelism > 0) options_.parallelism = parallelism;
  backend_ = make_backend(options_.backend, {.dir = folder_ / "work", .memory = options_.memory});
  backend_->restore(folder, files);
  build(&restored_);
  // What had not finished goes on.
  if (has_ended_) signal(Signal::end());
}

EventTime OperatorHarness::forwarded() const {
  EventTime least = EventTime::max();
  for (const auto& stage : stages_) least = std::min(least, stage->watermark());
  return least;
}

std::uint64_t OperatorHarness::count(const std::string& counter) const {
  std::uint64_t total = 0;
  const auto ignore = [](const std::string&, const Labels&, const std::string&, const auto&) {};
  metrics_.visit({.counter = [&](const std::string& name, const Labels&, const std::string&,
                                 const Counter& c) { total += name == counter ? c.value() : 0; },
                  .gauge = ignore,
                  .histogram = ignore});
  return total;
}

std::size_t OperatorHarness::subtask_of_hash(std::uint64_t hash) const {
  return static_cast<std::size_t>(subtask_of(key_group_of(hash, options_.key_groups),
                                             options_.key_groups, options_.parallelism));
}

std::vector<AnyBatch> OperatorHarness::take_batches(std::size_t port) {
  return port < ports_.size() ? ports_[port]->take() : std::vector<AnyBatch>{};
}

}  // namespace tidemill::testing
