#include "connectors/redis/writer.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "connectors/formats/iso_time.h"
#include "connectors/redis/command.h"
#include "connectors/redis/reply_error.h"
#include "engine/base/error.h"
#include "engine/base/hash.h"

namespace tidemill {
namespace {

// One write to the socket; small enough that a checkpoint's last rows do not queue behind much.
constexpr std::size_t kSendBytes = 64 * 1024;
constexpr std::size_t kMaxArgumentBytes = std::size_t{512} << 20;  // Redis' own limit

// KEYS[1] the key; ARGV: name of the time field, our time as ISO text and as milliseconds, TTL in
// seconds (0: none), the row. Without a row: delete. Answers 1 if it wrote, 0 if the stored row is
// newer. Times are compared in two parts, since Lua's numbers do not hold all 17 digits and its
// comparison of texts follows the locale.
constexpr std::string_view kGuardScript = R"(
local function parts(text)
  local y, mo, d, h, mi, s, ms = string.match(text, '^(%d%d%d%d)%-(%d%d)%-(%d%d)T(%d%d):(%d%d):(%d%d)%.(%d%d%d)Z$')
  if y then return tonumber(y .. mo .. d), tonumber(h .. mi .. s .. ms) end
end
local function is_newer(stored)
  if type(stored) ~= 'string' then return false end
  local ok, row = pcall(cjson.decode, stored)
  if not ok or type(row) ~= 'table' then return false end
  local at = row[ARGV[1]]
  if type(at) == 'number' then return at > tonumber(ARGV[3]) end
  if type(at) ~= 'string' then return false end
  local day, time = parts(at)
  local our_day, our_time = parts(ARGV[2])
  if not day or not our_day then return false end
  return day > our_day or (day == our_day and time > our_time)
end
if is_newer(redis.pcall('GET', KEYS[1])) then return 0 end
if not ARGV[5] then
  redis.call('DEL', KEYS[1])
elseif ARGV[4] == '0' then
  redis.call('SET', KEYS[1], ARGV[5])
else
  redis.call('SETEX', KEYS[1], ARGV[4], ARGV[5])
end
return 1
)";

// Digits on the stack, for an argument.
class NumberText {
 public:
  explicit NumberText(std::int64_t value)
      : end_(std::to_chars(text_, text_ + sizeof text_, value).ptr) {}
  [[nodiscard]] std::string_view view() const {
    return {text_, static_cast<std::size_t>(end_ - text_)};
  }

 private:
  char text_[24];
  char* end_;
};

std::uint32_t whole_seconds(Duration ttl) {
  const std::int64_t seconds = std::chrono::ceil<std::chrono::seconds>(ttl).count();
  return static_cast<std::uint32_t>(std::clamp<std::int64_t>(seconds, 0, 0x7fffffff));
}

}  // namespace

RedisWriter::RedisWriter(RedisWriterSettings settings, std::optional<RedisWriterName> name,
                         const Clock& clock, Histogram* ack_latency_us)
    : settings_(std::move(settings)),
      clock_(clock),
      ack_latency_us_(ack_latency_us),
      client_(settings_.server, std::move(name),
              settings_.guard == RedisGuard::kNone ? "" : std::string(kGuardScript), clock),
      budget_(settings_.errors) {}

void RedisWriter::set(std::string_view key, std::string_view value, Duration ttl, EventTime order) {
  RedisRow row;
  row.order = order;
  row.ttl_seconds = whole_seconds(ttl);
  push(key, value, row);
}

void RedisWriter::del(std::string_view key, EventTime order) {
  RedisRow row;
  row.order = order;
  row.is_delete = true;
  push(key, {}, row);
}

void RedisWriter::push(std::string_view key, std::string_view value, RedisRow row) {
  if (value.size() > kMaxArgumentBytes ||
      settings_.key_prefix.size() + key.size() > kMaxArgumentBytes) {
    throw Error(ErrorCode::kBadData, "row is too large for Redis (512 MiB): key of " +
                                         std::to_string(key.size()) + " bytes, row of " +
                                         std::to_string(value.size()));
  }
  row.queued_at = clock_.monotonic();
  row.key_hash = hash_bytes(key);
  if (queue_.empty()) progress_at_ = row.queued_at;
  queue_.push(row, settings_.key_prefix, key, value);
}

void RedisWriter::move_on(std::chrono::milliseconds limit) {
  if (limit.count() > 0) {
    client_.wait(limit);
  } else {
    client_.poll();
  }
  const std::chrono::nanoseconds now = clock_.monotonic();
  take_answers(now);
  if (client_.is_ready()) {
    if (session_ != client_.session()) {
      session_ = client_.session();
      counts_.resent += queue_.sent();
      queue_.resend();
      answered_at_ = now;
    }
    send(now);
  }
  check_patience(now);
}

void RedisWriter::take_answers(std::chrono::nanoseconds now) {
  if (session_ != client_.session()) return;  // nothing sent in this one yet
  while (client_.next_reply(reply_)) {
    if (queue_.sent() == 0) return client_.restart("the server answered what nobody asked");
    answered_at_ = now;
    if (!take_answer(reply_, now)) return;
  }
}

bool RedisWriter::take_answer(const RedisReply& reply, std::chrono::nanoseconds now) {
  const RedisRow& row = queue_.oldest_sent();
  if (reply.is_error()) {
    switch (kind_of_redis_error(reply.text)) {
      case RedisErrorKind::kTransient:
      case RedisErrorKind::kNoScript:
        // A new session loads the script and keeps the order; rows behind this one that were taken
        // are taken again.
        client_.restart(reply.text);
        return false;
      case RedisErrorKind::kRefused:
        throw Error(ErrorCode::kConfig, "Redis refuses our rows: " + client_.address().text() +
                                            ": " + reply.text + "; " +
                                            std::string(advice_for_redis_error(reply.text)));
      case RedisErrorKind::kCommand: refuse(reply.text, now); break;
    }
  } else {
    const bool is_stale = row.is_guarded && reply.integer == 0;
    ++(is_stale ? counts_.stale : counts_.written);
    if (row.is_guarded && !is_stale && own_keys_.size() < settings_.max_own_keys)
      own_keys_.insert(row.key_hash);
    if (ack_latency_us_ != nullptr) {
      ack_latency_us_->record(static_cast<std::uint64_t>(
          std::chrono::duration_cast<std::chrono::microseconds>(now - row.queued_at).count()));
    }
    client_.note_success();
  }
  budget_.count(now);
  progress_at_ = now;
  queue_.mark_answered();
  return true;
}

void RedisWriter::refuse(const std::string& error, std::chrono::nanoseconds now) {
  ++counts_.refused;
  if (budget_.count_error(now)) return;
  throw Error(ErrorCode::kIo,
              "Redis refuses rows, more than the error budget allows: " + client_.address().text() +
                  ": key " + std::string(queue_.key(queue_.oldest_sent())) + ": " + error);
}

void RedisWriter::send(std::chrono::nanoseconds now) {
  if (queue_.unsent() == 0) return;
  if (queue_.sent() == 0) answered_at_ = now;
  while (queue_.unsent() > 0 && client_.outgoing().size() < kSendBytes) {
    append_command(queue_.next_to_send());
    queue_.mark_sent();
  }
  client_.poll();
}

void RedisWriter::append_command(RedisRow& row) {
  std::string& out = client_.outgoing();
  const std::string_view key = queue_.key(row);
  const NumberText ttl(row.ttl_seconds);
  row.is_guarded = settings_.guard == RedisGuard::kAlways ||
                   (settings_.guard == RedisGuard::kFirstTouch &&
                    (row.is_resent || !own_keys_.contains(row.key_hash)));
  if (row.is_guarded) {
    char iso[kMaxIsoTimeSize];
    const std::string_view order(iso,
                                 static_cast<std::size_t>(write_iso_time(row.order, iso) - iso));
    const NumberText ms(row.order.ms);
    const std::string& sha = client_.script_sha();
    if (row.is_delete) {
      append_redis_command(
          out, {"EVALSHA", sha, "1", key, settings_.guard_field, order, ms.view(), "0"});
    } else {
      append_redis_command(out, {"EVALSHA", sha, "1", key, settings_.guard_field, order, ms.view(),
                                 ttl.view(), queue_.value(row)});
    }
  } else if (row.is_delete) {
    append_redis_command(out, {"DEL", key});
  } else if (row.ttl_seconds == 0) {
    append_redis_command(out, {"SET", key, queue_.value(row)});
  } else {
    append_redis_command(out, {"SETEX", key, ttl.view(), queue_.value(row)});
  }
}

void RedisWriter::check_patience(std::chrono::nanoseconds now) {
  if (client_.is_ready() && session_ == client_.session() && queue_.sent() > 0 &&
      now - answered_at_ > settings_.server.response_timeout) {
    client_.restart("no answer for " + std::to_string(settings_.server.response_timeout.count()) +
                    " ms");
  }
  if (settings_.give_up_after.count() == 0 || queue_.empty() ||
      now - progress_at_ <= settings_.give_up_after)
    return;
  const std::string why = client_.is_ready() ? "it does not answer" : client_.trouble();
  const std::string_view advice = advice_for_redis_error(why);
  throw Error(ErrorCode::kIo, "Redis takes no rows: " + client_.address().text() + ": " + why +
                                  ", for more than " +
                                  std::to_string(settings_.give_up_after.count()) + " ms, " +
                                  std::to_string(queue_.size()) + " rows wait" +
                                  (advice.empty() ? "" : "; " + std::string(advice)));
}

}  // namespace tidemill
