// Events as lines of text (event_text.h) in the partitions of a log, whatever keeps it: written
// once, read back as Nexmark's streams.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string_view>

#include "app/environment.h"
#include "bench/nexmark/generator.h"
#include "bench/nexmark/queries/events.h"
#include "engine/runtime/source_settings.h"
#include "operators/source.h"

namespace tidemill::nexmark {

// Of the logs that are made here.
inline constexpr int kLogPartitions = 2;
// The operator that reads them.
inline constexpr const char* kLinesOperator = "events";

// The key decides on the partition, so that what happens to one auction keeps its order.
struct KeyedLine {
  std::int64_t key;  // of a bid its auction, else the event's own id
  EventTime at;
  std::string_view line;  // until the next one
};
void for_each_keyed_line(const GeneratorSettings& settings, std::int64_t events,
                         const std::function<void(const KeyedLine&)>& take);

// None: no line of an event.
std::optional<EventTime> time_of_line(std::string_view line);

// The texts of the events are views into what `lines` has read, which stays until the second
// checkpoint after it. `num_read` is increased by what this process reads; it outlives the job.
// Throws Error(kConfig).
Events read_lines(Environment& env, const SourceSpec<RawRecord>& lines, Duration disorder,
                  std::atomic<std::int64_t>& num_read);

}  // namespace tidemill::nexmark
