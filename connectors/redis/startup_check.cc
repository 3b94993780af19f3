#include "connectors/redis/startup_check.h"

#include <charconv>
#include <cstdint>
#include <optional>
#include <string_view>

#include "connectors/redis/client.h"
#include "connectors/redis/command.h"
#include "engine/base/error.h"

namespace tidemill {
namespace {

// `name:value` on a line of its own in INFO's text.
std::string_view info_value(std::string_view info, std::string_view name) {
  for (std::size_t at = 0; at < info.size();) {
    const std::size_t end = std::min(info.find('\n', at), info.size());
    std::string_view line = info.substr(at, end - at);
    at = end + 1;
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    if (line.size() > name.size() && line.starts_with(name) && line[name.size()] == ':')
      return line.substr(name.size() + 1);
  }
  return {};
}

std::optional<std::uint64_t> number_at_front(std::string_view text) {
  std::uint64_t value = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
  return parsed.ec == std::errc() ? std::optional(value) : std::nullopt;
}

std::string ask_info(RedisClient& client, const Clock& clock, std::chrono::milliseconds limit) {
  const auto deadline = clock.monotonic() + limit;
  std::uint64_t asked_in = 0;
  RedisReply reply;
  while (clock.monotonic() < deadline) {
    client.wait(std::chrono::milliseconds(10));
    if (!client.is_ready()) continue;
    if (asked_in != client.session()) {
      asked_in = client.session();
      append_redis_command(client.outgoing(), {"INFO"});
    }
    if (!client.next_reply(reply)) continue;
    // A user may be denied INFO; then nothing is known, and nothing is wrong.
    return reply.is_error() ? std::string() : reply.text;
  }
  throw Error(ErrorCode::kIo, "Redis cannot be reached: " + client.address().text() + ": " +
                                  client.trouble() + ", within " + std::to_string(limit.count()) +
                                  " ms; is the server running and the URL right?");
}

void warn_of_eviction(std::string_view info, RedisServerReport& report) {
  const std::uint64_t limit = number_at_front(info_value(info, "maxmemory")).value_or(0);
  const std::string policy(info_value(info, "maxmemory_policy"));
  if (limit == 0 || policy.empty()) return;
  const std::string memory = "maxmemory " + std::to_string(limit) + " bytes, policy " + policy;
  if (policy == "noeviction") {
    report.warnings.push_back(
        "Redis refuses writes when its memory is full (" + memory +
        "): the job then waits and takes no checkpoints; make sure that all rows fit");
  } else {
    report.warnings.push_back(
        "Redis drops rows when its memory is full (" + memory +
        "): readers then miss rows that still count; use noeviction and enough memory");
  }
}

}  // namespace

RedisServerReport check_redis_server(const RedisServerSettings& settings, const Clock& clock,
                                     std::chrono::milliseconds limit) {
  RedisClient client(settings, std::nullopt, "", clock);
  const std::string info = ask_info(client, clock, limit);
  const std::string where = client.address().text();

  RedisServerReport report;
  if (info.empty()) {
    report.warnings.push_back(
        "Redis does not let us read INFO, so its version and memory policy are not checked: " +
        where + "; allow the user +info");
    return report;
  }
  report.version = info_value(info, "redis_version");
  if (number_at_front(report.version).value_or(5) < 5) {
    throw Error(ErrorCode::kConfig, "Redis is too old: " + where + ": version " + report.version +
                                        ", wanted 5.0 or later");
  }
  if (info_value(info, "cluster_enabled") == "1") {
    throw Error(ErrorCode::kConfig,
                "Redis Cluster is not supported: " + where + "; use a server in standalone mode");
  }
  if (info_value(info, "role") == "slave") {
    throw Error(ErrorCode::kConfig, "Redis is a replica and takes no writes: " + where +
                                        "; the URL must name the primary");
  }
  warn_of_eviction(info, report);
  return report;
}

}  // namespace tidemill
