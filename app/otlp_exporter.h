// Traces of checkpoints and restores for an OpenTelemetry collector, as OTLP/HTTP in JSON.
//
// A checkpoint is a trace: for each task (the 32 that came last) the spans "align" (trigger until
// its barrier had come on every input) and "drain" (until what it had frozen was given), then
// "store" and "commit". A restore: "fence", "load", "publish", "build".
//
// What is told comes from the logs that the supervisor keeps anyway, so that nothing of the job
// ever waits: what falls out of these (100 each) before the collector takes it is counted as
// dropped.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <string>
#include <thread>

#include "engine/base/metrics.h"
#include "engine/checkpoint/supervisor.h"

namespace tidemill {

// Throws Error(kConfig); empty is no error.
void check_otlp_endpoint(const std::string& endpoint);

// A thread of its own, from the constructor to the destructor, which waits a second at most for a
// collector that does not answer.
class OtlpExporter {
 public:
  // `endpoint`: "http://host:port"; traces go to its /v1/traces. References outlive it.
  OtlpExporter(std::string endpoint, std::string job, const Supervisor& supervisor,
               MetricRegistry& metrics);
  ~OtlpExporter();
  OtlpExporter(const OtlpExporter&) = delete;
  OtlpExporter& operator=(const OtlpExporter&) = delete;

 private:
  enum class Sent : std::uint8_t { kNothing, kTaken, kFailed };
  void run();
  bool send_all();
  Sent send_some();
  Sent post(const std::string& body);

  const std::string endpoint_;
  const std::string job_;
  const Supervisor& supervisor_;
  Counter& exported_;
  Counter& dropped_;
  std::uint64_t checkpoints_seen_ = 0;
  std::uint64_t restores_seen_ = 0;
  bool is_away_ = false;
  std::mutex mutex_;
  std::condition_variable stop_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace tidemill
