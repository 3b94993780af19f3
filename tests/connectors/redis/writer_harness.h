// What the tests of the writer share: settings with short pauses, rows with a time in them, waiting
// until all is acknowledged.
#pragma once

#include <chrono>
#include <cstdint>
#include <gtest/gtest.h>
#include <optional>
#include <string>

#include "connectors/formats/iso_time.h"
#include "connectors/redis/writer.h"
#include "engine/base/clock.h"
#include "engine/base/error.h"
#include "tests/connectors/redis/redis_server.h"

namespace tidemill {

inline RedisWriterSettings quick_settings(const std::string& url) {
  RedisWriterSettings settings;
  settings.server.url = url;
  settings.server.backoff_min = 5ms;
  settings.server.backoff_max = 50ms;
  return settings;
}

inline RedisWriterName writer_name(std::uint64_t epoch = 1, int subtask = 0) {
  return {.job = "test", .sink = "redis", .subtask = subtask, .epoch = epoch};
}

// {"n":7,"computed_at":"2026-01-01T00:00:00.007Z"}: its time is its number in milliseconds.
inline EventTime time_of(std::int64_t number) { return {1'767'225'600'000 + number}; }
inline std::string json_row(std::int64_t number) {
  std::string row = "{\"n\":" + std::to_string(number) + ",\"computed_at\":\"";
  append_iso_time(row, time_of(number));
  return row + "\"}";
}
// The number back; nothing for no row.
inline std::optional<std::int64_t> number_of(const std::optional<std::string>& row) {
  if (!row) return std::nullopt;
  return std::stoll(row->substr(5));
}

inline void put(RedisWriter& writer, const std::string& key, std::int64_t number) {
  writer.set(key, json_row(number), 1h, time_of(number));
}

[[nodiscard]] inline bool flush(RedisWriter& writer) {
  const RedisWriter::Mark all = writer.mark();
  return eventually([&] {
    writer.wait(5ms);
    return writer.flushed_up_to(all);
  });
}

// What polling ends with: the error, or nothing if none came in time.
inline std::optional<Error> error_of_polling(RedisWriter& writer,
                                             std::chrono::milliseconds limit = 20s) {
  std::optional<Error> caught;
  eventually(
      [&] {
        try {
          writer.wait(5ms);
        } catch (const Error& error) {
          caught = error;
        }
        return caught.has_value();
      },
      limit);
  return caught;
}

}  // namespace tidemill
