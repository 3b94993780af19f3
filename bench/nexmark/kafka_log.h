// The events as a Kafka topic: made once, read back exactly once under checkpoints. The settings
// are source.kafka.* and sinks.kafka.* of the main job (docs/feature_pipeline.md).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "app/environment.h"
#include "bench/nexmark/generator.h"

namespace tidemill::nexmark {

// With a broker on this machine and these topics, unless the user says otherwise.
std::vector<ConfigKey> kafka_settings(const std::string& events_topic,
                                      const std::string& rows_topic);

// Writes the events into the topic of source.kafka.topic, which it makes if need be; a topic that
// has as many records already is left as it is. Throws Error: kRefused if it has any other number
// of them, kIo, kConfig.
void make_topic(const Config& config, const GeneratorSettings& settings, std::int64_t events);

}  // namespace tidemill::nexmark
