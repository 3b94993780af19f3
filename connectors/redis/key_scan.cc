#include "connectors/redis/key_scan.h"

#include <optional>
#include <vector>

#include "connectors/redis/client.h"
#include "connectors/redis/command.h"
#include "engine/base/error.h"

namespace tidemill {
namespace {

constexpr std::string_view kKeysAtOnce = "500";

class KeyScan {
 public:
  KeyScan(const RedisServerSettings& server, const Clock& clock)
      : timeout_(server.response_timeout),
        clock_(clock),
        client_(server, std::nullopt, "", clock),
        heard_at_(clock.monotonic()) {
    while (!client_.is_ready()) wait();
    session_ = client_.session();
  }

  void send(std::initializer_list<std::string_view> command) {
    append_redis_command(client_.outgoing(), command);
  }
  RedisReply next() {
    RedisReply reply;
    while (true) {
      if (!client_.is_ready() || client_.session() != session_)
        throw Error(ErrorCode::kIo,
                    "the connection to Redis was lost: " + client_.address().text() + ": " +
                        client_.trouble() + "; try again");
      if (client_.next_reply(reply)) break;
      wait();
    }
    heard_at_ = clock_.monotonic();
    return reply;
  }
  [[nodiscard]] std::string address() const { return client_.address().text(); }

 private:
  void wait() {
    client_.wait(std::chrono::milliseconds(10));
    if (clock_.monotonic() - heard_at_ > timeout_)
      throw Error(ErrorCode::kIo, "Redis does not answer: " + client_.address().text() + ": " +
                                      client_.trouble() + "; try again");
  }

  const Duration timeout_;
  const Clock& clock_;
  RedisClient client_;
  std::uint64_t session_ = 0;
  std::chrono::nanoseconds heard_at_;
};

}  // namespace

std::string redis_keys_below(std::string_view prefix) {
  std::string pattern;
  for (const char c : prefix) {
    if (std::string_view("*?[]\\").find(c) != std::string_view::npos) pattern += '\\';
    pattern += c;
  }
  return pattern + '*';
}

void scan_redis_rows(const RedisServerSettings& server, const std::string& prefix,
                     const std::function<void(std::string_view key, std::string_view row)>& take,
                     const Clock& clock) {
  KeyScan scan(server, clock);
  const std::string pattern = redis_keys_below(prefix);
  std::string cursor = "0";
  do {
    scan.send({"SCAN", cursor, "MATCH", pattern, "COUNT", kKeysAtOnce});
    RedisReply page = scan.next();
    if (page.is_error() || page.items.empty())
      throw Error(ErrorCode::kConfig, "Redis refuses SCAN: " + scan.address() + ": " + page.text +
                                          "; allow the user +scan");
    cursor = page.items.front();
    for (std::size_t i = 1; i < page.items.size(); ++i) scan.send({"GET", page.items[i]});
    for (std::size_t i = 1; i < page.items.size(); ++i) {
      const RedisReply row = scan.next();
      if (row.kind == RedisReply::Kind::kText)
        take(std::string_view(page.items[i]).substr(prefix.size()), row.text);
    }
  } while (cursor != "0");
}

}  // namespace tidemill
