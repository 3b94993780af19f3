#include "app/logging.h"

#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/ringbuffer_sink.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include "connectors/formats/json_writer.h"
#include "engine/base/error.h"
#include "engine/base/log.h"

namespace tidemill {
namespace {

spdlog::level::level_enum level_of(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug: return spdlog::level::debug;
    case LogLevel::kInfo: return spdlog::level::info;
    case LogLevel::kWarn: return spdlog::level::warn;
    case LogLevel::kError: return spdlog::level::err;
  }
  return spdlog::level::err;
}

bool is_json_format = false;  // set once, before any other thread runs
std::shared_ptr<spdlog::sinks::ringbuffer_sink_mt> recent;  // likewise

}  // namespace

bool logs_json() { return is_json_format; }

std::vector<std::string> recent_log_lines(std::size_t most) {
  return recent ? recent->last_formatted(most) : std::vector<std::string>();
}

void set_up_logging(const std::string& level, const std::string& format) {
  spdlog::drop("tidemill");  // of a job that this process has run before
  auto logger = spdlog::stderr_color_mt("tidemill");
  if (level == "debug") {
    logger->set_level(spdlog::level::debug);
  } else if (level == "info") {
    logger->set_level(spdlog::level::info);
  } else if (level == "warn") {
    logger->set_level(spdlog::level::warn);
  } else if (level == "error") {
    logger->set_level(spdlog::level::err);
  } else {
    throw Error(ErrorCode::kConfig, "log.level is none of debug, info, warn, error: " + level);
  }
  if (format != "text" && format != "json")
    throw Error(ErrorCode::kConfig, "log.format is neither text nor json: " + format);
  const bool is_json = format == "json";
  is_json_format = is_json;
  // On a terminal a message takes the place of the progress line, which comes again.
  const std::string start = ::isatty(STDERR_FILENO) == 1 ? "\r\033[K" : "";
  logger->set_pattern(is_json ? R"({"time":"%Y-%m-%dT%H:%M:%S.%eZ","level":"%l","message":%v})"
                              : start + "%Y-%m-%dT%H:%M:%S.%eZ %^%l%$ %v",
                      spdlog::pattern_time_type::utc);
  recent = std::make_shared<spdlog::sinks::ringbuffer_sink_mt>(kLogLinesKept);
  recent->set_formatter(std::make_unique<spdlog::pattern_formatter>(
      "%Y-%m-%dT%H:%M:%S.%eZ %l %v", spdlog::pattern_time_type::utc, ""));
  logger->sinks().push_back(recent);
  set_log_sink([logger, is_json](LogLevel l, const std::string& message) {
    if (!is_json) {
      logger->log(level_of(l), "{}", message);
      return;
    }
    std::string quoted;
    append_json(quoted, std::string_view(message));
    logger->log(level_of(l), "{}", quoted);
  });
}

}  // namespace tidemill
