#include "connectors/redis/key_move.h"

#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "connectors/redis/client.h"
#include "connectors/redis/command.h"
#include "connectors/redis/greeting.h"
#include "connectors/redis/key_scan.h"
#include "connectors/redis/reply_error.h"
#include "engine/base/error.h"
#include "engine/base/fault.h"
#include "engine/base/log.h"

namespace tidemill {
namespace {

constexpr std::string_view kPage = "500";  // keys a SCAN looks at

// KEYS: the job's key, the replay's, where the old row is kept. ARGV[1] "remove": the old row goes,
// unless the replay has one, which it shall not outlive; ARGV[2] "1": it is kept. "move": once.
constexpr std::string_view kScript = R"(
if ARGV[1] == 'move' then
  if redis.call('EXISTS', KEYS[2]) == 0 then return 0 end
  redis.call('RENAME', KEYS[2], KEYS[1])
  return 1
end
if redis.call('TYPE', KEYS[1]).ok ~= 'string' then return 0 end
local left = redis.call('PTTL', KEYS[1])
if ARGV[2] == '1' then
  local row = redis.call('GET', KEYS[1])
  if left > 0 then
    redis.call('SET', KEYS[3], row, 'PX', left)
  else
    redis.call('SET', KEYS[3], row)
  end
end
local successor = redis.call('PTTL', KEYS[2])
if successor == -2 then return redis.call('DEL', KEYS[1]) end
if successor >= 0 and (left < 0 or left > successor) then redis.call('PEXPIRE', KEYS[1], successor) end
return 0
)";

// The session ended: what was asked may have been done or not.
struct Interrupted {};

class KeyMover {
 public:
  KeyMover(const RedisKeyMove& move, const Clock& clock)
      : move_(move),
        clock_(clock),
        client_(move.server, std::nullopt, std::string(kScript), clock),
        marker_("tidemill:move:" + move.job),
        heard_at_(clock.monotonic()) {}

  RedisKeysMoved run() {
    while (true) {
      try {
        return try_to();
      } catch (const Interrupted&) {
        // Every step may be done again; the marker says which is next.
      }
    }
  }

 private:
  RedisKeysMoved try_to() {
    std::string phase = phase_of(ask({"GET", marker_}).text);
    if (phase == "done") {
      counts_.was_done = true;
      return counts_;
    }
    close_writers();
    if (phase.empty()) {
      // What another hand-over may have kept is none of this one's.
      if (!move_.kept_prefix.empty()) {
        for_each_page(move_.kept_prefix, [&](const std::vector<std::string>& keys) {
          for (const std::string& key : keys) send({"DEL", key});
          return sum_of_replies();
        });
      }
      enter("remove");
      phase = "remove";
    }
    if (phase == "remove") {
      counts_.removed += for_each_page(move_.prefix, [&](const std::vector<std::string>& keys) {
        for (const std::string& key : keys) call("remove", key.substr(move_.prefix.size()));
        return sum_of_replies();
      });
      enter("move");
    }
    counts_.moved += for_each_page(move_.replay_prefix, [&](const std::vector<std::string>& keys) {
      for (const std::string& key : keys) call("move", key.substr(move_.replay_prefix.size()));
      return sum_of_replies();
    });
    enter("done");
    return counts_;
  }

  [[nodiscard]] std::string phase_of(const std::string& marker) const {
    const std::size_t blank = marker.find(' ');
    if (blank == std::string::npos || marker.substr(0, blank) != move_.id) return "";
    return marker.substr(blank + 1);
  }

  void enter(const std::string& phase) {
    ask({"SET", marker_, move_.id + " " + phase});
    TM_CRASH_POINT(phase == "remove" ? "keys_remove" : phase == "move" ? "keys_move" : "keys_done");
  }

  // The fence first: who connects from here on finds it, who is connected is found here.
  void close_writers() {
    const std::string now = std::to_string(clock_.processing_time().ms);
    for (const std::string& job : {move_.job, move_.replay}) {
      ask({"SET", redis_fence_key(job), now});
      const std::string list = ask({"CLIENT", "LIST"}, true).text;
      for (const std::string& id : redis_connections_of(list, job)) {
        ask({"CLIENT", "KILL", "ID", id}, true);  // "no such client" is as good
      }
    }
  }

  void call(std::string_view what, const std::string& key) {
    send({"EVALSHA", client_.script_sha(), "3", move_.prefix + key, move_.replay_prefix + key,
          (move_.kept_prefix.empty() ? move_.prefix : move_.kept_prefix) + key, what,
          move_.kept_prefix.empty() ? "0" : "1"});
    if (what == "move") TM_CRASH_POINT("keys_moving");
    if (what == "remove") TM_CRASH_POINT("keys_removing");
  }

  // Calls `take` with the keys, which stay or go while this runs; adds up what it returns.
  template <class Take>
  std::uint64_t for_each_page(const std::string& prefix, const Take& take) {
    const std::string pattern = redis_keys_below(prefix);
    std::uint64_t sum = 0;
    std::string cursor = "0";
    do {
      RedisReply page = ask({"SCAN", cursor, "MATCH", pattern, "COUNT", kPage});
      if (page.items.empty())
        throw Error(ErrorCode::kIo,
                    "Redis answered SCAN with no list: " + client_.address().text());
      cursor = page.items.front();
      page.items.erase(page.items.begin());
      sum += take(page.items);
    } while (cursor != "0");
    return sum;
  }

  void begin_session() {
    while (!client_.is_ready()) wait();
    session_ = client_.session();
  }
  void wait() {
    client_.wait(std::chrono::milliseconds(10));
    if (clock_.monotonic() - heard_at_ <= move_.server.response_timeout) return;
    throw Error(ErrorCode::kIo,
                "Redis does not answer, so keys are not moved: " + client_.address().text() + ": " +
                    (client_.is_ready() ? "connected" : client_.trouble()) +
                    "; nothing is lost: try again");
  }

  void send(std::initializer_list<std::string_view> command) {
    if (num_sent_ == 0) begin_session();
    append_redis_command(client_.outgoing(), command);
    ++num_sent_;
  }
  RedisReply next(bool may_fail = false) {
    RedisReply reply;
    while (true) {
      if (!client_.is_ready() || client_.session() != session_) {
        num_sent_ = 0;
        throw Interrupted();
      }
      if (client_.next_reply(reply)) break;
      wait();
    }
    heard_at_ = clock_.monotonic();
    client_.note_success();
    --num_sent_;
    if (!reply.is_error() || may_fail) return reply;
    switch (kind_of_redis_error(reply.text)) {
      case RedisErrorKind::kTransient:
      case RedisErrorKind::kNoScript:
        num_sent_ = 0;
        client_.restart(reply.text);
        throw Interrupted();
      default:
        throw Error(ErrorCode::kConfig,
                    "Redis refuses to move keys: " + client_.address().text() + ": " + reply.text +
                        "; allow the user what connectors/redis/README.md names, then run the "
                        "take-over again");
    }
  }
  RedisReply ask(std::initializer_list<std::string_view> command, bool may_fail = false) {
    send(command);
    return next(may_fail);
  }
  std::uint64_t sum_of_replies() {
    std::uint64_t sum = 0;
    while (num_sent_ > 0) sum += static_cast<std::uint64_t>(next().integer);
    return sum;
  }

  const RedisKeyMove& move_;
  const Clock& clock_;
  RedisClient client_;
  const std::string marker_;
  std::uint64_t session_ = 0;
  std::size_t num_sent_ = 0;  // and not answered
  std::chrono::nanoseconds heard_at_;
  RedisKeysMoved counts_;
};

}  // namespace

void check_redis_key_move(const RedisKeyMove& move) {
  if (move.prefix.empty() || move.replay_prefix.empty() ||
      move.replay_prefix.starts_with(move.prefix) || move.id.find(' ') != std::string::npos)
    throw Error(ErrorCode::kConfig,
                "Redis keys can be handed over only if the job's have a prefix of their own (such "
                "as features:): " +
                    (move.prefix.empty() ? std::string("none") : move.prefix));
}

RedisKeysMoved move_redis_keys(const RedisKeyMove& move, const Clock& clock) {
  check_redis_key_move(move);
  const RedisKeysMoved moved = KeyMover(move, clock).run();
  log(LogLevel::kInfo, moved.was_done ? "Redis keys of " + move.replay + " were moved before"
                                      : "Redis keys: " + std::to_string(moved.moved) +
                                            " moved from " + move.replay_prefix + " to " +
                                            move.prefix + ", " + std::to_string(moved.removed) +
                                            " of the old version without a successor removed");
  return moved;
}

std::string redis_fence_key(const std::string& job) { return "tidemill:fence:" + job; }

}  // namespace tidemill
