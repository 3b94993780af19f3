#include "connectors/redis/key_scan.h"

#include <algorithm>

#include "connectors/redis/client.h"
#include "connectors/redis/command.h"
#include "connectors/redis/reply_error.h"
#include "engine/base/error.h"

namespace tidemill {
namespace {

constexpr std::string_view kKeysAtOnce = "500";
constexpr std::size_t kRowsAtOnce = 500;

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

// Keys without the prefix, some hundred at once.
template <class Take>
void for_each_page(KeyScan& scan, const std::string& prefix, Take take) {
  const std::string pattern = redis_keys_below(prefix);
  std::string cursor = "0";
  std::vector<std::string_view> keys;
  do {
    scan.send({"SCAN", cursor, "MATCH", pattern, "COUNT", kKeysAtOnce});
    const RedisReply page = scan.next();
    if (page.is_error() || page.items.empty())
      throw Error(ErrorCode::kConfig, "Redis refuses SCAN: " + scan.address() + ": " + page.text +
                                          "; allow the user +scan");
    cursor = page.items.front();
    keys.clear();
    for (std::size_t i = 1; i < page.items.size(); ++i)
      keys.push_back(std::string_view(page.items[i]).substr(prefix.size()));
    take(keys);
  } while (cursor != "0");
}

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
  for_each_page(scan, prefix, [&](const std::vector<std::string_view>& keys) {
    for (const std::string_view key : keys) scan.send({"GET", prefix + std::string(key)});
    for (const std::string_view key : keys) {
      const RedisReply row = scan.next();
      if (row.kind == RedisReply::Kind::kText) take(key, row.text);
    }
  });
}

void scan_redis_keys(const RedisServerSettings& server, const std::string& prefix,
                     const std::function<void(std::string_view key)>& take, const Clock& clock) {
  KeyScan scan(server, clock);
  for_each_page(scan, prefix, [&](const std::vector<std::string_view>& keys) {
    for (const std::string_view key : keys) take(key);
  });
}

void read_redis_rows(
    const RedisServerSettings& server, const std::string& prefix,
    const std::vector<std::string>& keys,
    const std::function<void(const std::string& key, std::optional<std::string_view> row)>& take,
    const Clock& clock) {
  KeyScan scan(server, clock);
  for (std::size_t begin = 0; begin < keys.size(); begin += kRowsAtOnce) {
    const std::size_t end = std::min(begin + kRowsAtOnce, keys.size());
    for (std::size_t i = begin; i < end; ++i) scan.send({"GET", prefix + keys[i]});
    for (std::size_t i = begin; i < end; ++i) {
      const RedisReply row = scan.next();
      if (row.is_error() && kind_of_redis_error(row.text) != RedisErrorKind::kCommand)
        throw Error(kind_of_redis_error(row.text) == RedisErrorKind::kRefused ? ErrorCode::kConfig
                                                                              : ErrorCode::kIo,
                    "Redis refuses GET: " + scan.address() + ": " + row.text + "; " +
                        std::string(advice_for_redis_error(row.text)));
      if (row.kind == RedisReply::Kind::kNil) {
        take(keys[i], std::nullopt);
      } else {
        take(keys[i], row.text);
      }
    }
  }
}

}  // namespace tidemill
