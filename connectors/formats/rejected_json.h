// Rejected records (late, bad) as outputs: to a topic with key and value unchanged and the origin
// in headers; to files as one JSON object a line.
#pragma once

#include <string>

#include "engine/base/time.h"
#include "engine/data/raw_record.h"
#include "engine/operator/sink.h"

namespace tidemill {

// Encoders for a sink stage. `job` is the job's name.
class RejectedToTopic {
 public:
  explicit RejectedToTopic(std::string job) : job_(std::move(job)) {}
  void operator()(const RejectedRecord& record, EventTime time, OutputBatch& out) const;

 private:
  std::string job_;
};

class RejectedToFile {
 public:
  explicit RejectedToFile(std::string job) : job_(std::move(job)) {}
  void operator()(const RejectedRecord& record, EventTime time, OutputBatch& out) const;

 private:
  std::string job_;
};

}  // namespace tidemill
