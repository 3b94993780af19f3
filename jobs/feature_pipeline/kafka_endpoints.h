// A job's topics and the transaction around them: the main job's, and any other's with these
// settings.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "app/environment.h"
#include "connectors/kafka/settings.h"
#include "engine/operator/sink.h"
#include "operators/source.h"

namespace tidemill::features {

// The settings of both: source.kafka.* and sinks.kafka.*.
std::vector<ConfigKey> kafka_keys();

// How to reach the clusters. The outputs' is the inputs', with its settings, unless it has brokers
// of its own; what else is set for the outputs comes on top.
kafka::ClientSettings source_client_of(const Config& config);
kafka::ClientSettings sink_client_of(const Config& config);

SourceSpec<RawRecord> kafka_events(const Environment& env);
// In a replay the topic has the replay's suffix.
SinkSpec kafka_sink(Environment& env, const std::string& topic);
// The commit record lies in the outputs' cluster. Call it last: it looks at the outputs that were
// made. `source`: the operator that reads Kafka, if one does.
void commit_with_kafka(Environment& env, const std::optional<std::string>& source);
// The same for the main job, by what its settings name; without Kafka nothing is set.
void commit_with_kafka_if_used(Environment& env);

}  // namespace tidemill::features
