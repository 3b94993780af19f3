// A running job's own HTTP port: /metrics (Prometheus text), /healthz, /readyz, /late (JSON).
#pragma once

#include <map>
#include <memory>
#include <string>

#include "engine/base/metrics.h"
#include "engine/checkpoint/supervisor.h"

namespace tidemill {

// Serves from a thread of its own until destroyed.
class HttpStatus {
 public:
  virtual ~HttpStatus() = default;
  [[nodiscard]] virtual std::string address() const = 0;  // "127.0.0.1:8081"
};

// Throws Error(kConfig) for what serve_status would not take.
void check_http_address(const std::string& where);

// `where`: "ADDR:PORT" (that port or the next free one of ten; 0: any) or "none" (gives null). Only
// loopback addresses are taken: there is no TLS and no token here. Throws Error(kConfig). What is
// passed by reference outlives the server.
std::unique_ptr<HttpStatus> serve_status(const std::string& where, const std::string& job,
                                         const Supervisor& supervisor,
                                         const MetricRegistry& metrics);

using EventTimeOfSources = std::map<std::string, std::shared_ptr<SourceWatermarks>>;

// The registry's content, and who holds back the watermark of each source, in Prometheus' text
// format.
std::string prometheus_text(const MetricRegistry& metrics, const EventTimeOfSources& event_time,
                            const Clock& clock);

// The latest late records of every operator as an array of objects; of each subtask the oldest
// first.
std::string late_records_json(const MetricRegistry& metrics);

}  // namespace tidemill
