// What a running job tells of itself: facts for the diagnosis, and the answers of its API
// (docs/decisions/0004_operate.md has the shapes). Any thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <limits>
#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "app/diagnosis.h"
#include "app/environment.h"
#include "app/job_api.h"
#include "app/metric_sampler.h"
#include "app/replay_progress.h"
#include "engine/base/clock.h"
#include "engine/checkpoint/supervisor.h"
#include "engine/graph/plan.h"

namespace tidemill {

// References outlive it.
class JobView {
 public:
  JobView(const Environment& env, Supervisor& supervisor, const Plan& plan, const Clock& clock);

  [[nodiscard]] std::string status() const;
  [[nodiscard]] std::string graph() const;
  [[nodiscard]] std::string freshness() const;
  [[nodiscard]] std::string checkpoints() const;
  [[nodiscard]] std::string late() const;
  [[nodiscard]] std::string keys() const;
  [[nodiscard]] std::string exceptions() const;
  [[nodiscard]] std::string config() const;
  // What the operators of the running attempt keep; then the value of one key of one of them, asked
  // of the subtask that has it, between two of its batches.
  [[nodiscard]] std::string states() const;
  [[nodiscard]] http::Response state_of_key(const http::Request& request) const;
  [[nodiscard]] JobFacts facts() const;
  [[nodiscard]] std::string metrics() const;  // Prometheus text

  // All of these, what changes the job, and /metrics, /healthz, /readyz, /late.
  void add_to(JobApi& api);

 private:
  // By exchange (operator that sends, operator that receives) and key: its share of the records of
  // all subtasks that send.
  using ExchangeKeys = std::map<std::pair<std::string, std::string>, std::map<std::string, double>>;
  [[nodiscard]] ExchangeKeys exchange_keys() const;
  [[nodiscard]] std::vector<Problem> problems() const;

  // The value of the label in the series of that counter that have risen most of late; "operator
  // NAME" of those without the label. Empty: none has.
  [[nodiscard]] std::string label_of_most(const std::string& counter,
                                          const std::string& label) const;
  [[nodiscard]] ReplayProgress replay(EventTime watermark, bool is_finished) const;

  static constexpr std::int64_t kNotSeen = std::numeric_limits<std::int64_t>::min();
  mutable std::atomic<std::int64_t> first_watermark_ms_{kNotSeen};
  const Environment& env_;
  Supervisor& supervisor_;
  const Plan& plan_;
  const Clock& clock_;
  const std::int64_t started_ms_;
  MetricSampler sampler_;
  mutable std::mutex first_told_mutex_;
  mutable FirstTold first_told_;
};

}  // namespace tidemill
