// The main job's topics and the transaction around them.
#pragma once

#include <string>

#include "app/environment.h"
#include "engine/operator/sink.h"
#include "operators/source.h"

namespace tidemill::features {

SourceSpec<RawRecord> kafka_events(const Environment& env);
// In a replay the topic has the replay's suffix.
SinkSpec kafka_sink(Environment& env, const std::string& topic);
// The commit record lies in the outputs' cluster, else in the inputs'; without Kafka nothing is
// set.
void commit_with_kafka_if_used(Environment& env);

}  // namespace tidemill::features
