#include "connectors/redis/lookup.h"

#include <chrono>
#include <deque>
#include <optional>
#include <string_view>

#include "connectors/redis/client.h"
#include "connectors/redis/command.h"
#include "connectors/redis/reply_error.h"
#include "engine/base/error.h"

namespace tidemill {
namespace {

using Answers = std::vector<LookupAnswer<std::string>>;

// One write to the socket.
constexpr std::size_t kSendBytes = 64 * 1024;
// So many sessions in a row may end while one request is the next to be answered; then it is taken
// for the reason (a value too long to be read).
constexpr int kMaxLosses = 3;

class RedisLookup final : public LookupClient<std::string, std::string> {
 public:
  RedisLookup(const RedisLookupSettings& settings, const Clock& clock)
      : settings_(settings), clock_(clock), client_(settings.server, std::nullopt, "", clock) {}

  void request(std::uint64_t number, const std::string& key) override {
    const std::size_t bytes = settings_.key_prefix.size() + key.size();
    if (waiting_.size() >= settings_.max_requests || bytes > settings_.max_bytes - waiting_bytes_) {
      refused_.push_back({number, std::nullopt, "too much waits for Redis: " + trouble()});
      return;
    }
    waiting_bytes_ += bytes;
    waiting_.push_back({number, settings_.key_prefix + key, clock_.monotonic()});
  }

  void poll(Answers& answers) override {
    for (auto& answer : refused_) answers.push_back(std::move(answer));
    refused_.clear();
    client_.poll();
    const std::chrono::nanoseconds now = clock_.monotonic();
    take_answers(now, answers);
    if (client_.is_ready()) {
      if (session_ != client_.session()) begin_session(now, answers);
      send(now);
    }
    check_patience(now, answers);
  }

 private:
  struct Request {
    std::uint64_t number;
    std::string key;
    std::chrono::nanoseconds asked_at;
    int losses = 0;
  };

  [[nodiscard]] std::string trouble() const {
    return client_.address().text() + ": " +
           (client_.is_ready() ? "it does not answer" : client_.trouble());
  }

  void answer_oldest(std::optional<std::string> value, std::string error, Answers& answers) {
    answers.push_back({waiting_.front().number, std::move(value), std::move(error)});
    waiting_bytes_ -= waiting_.front().key.size();
    waiting_.pop_front();
    if (sent_ > 0) --sent_;
  }

  void take_answers(std::chrono::nanoseconds now, Answers& answers) {
    if (session_ != client_.session()) return;  // nothing sent in this one yet
    while (client_.next_reply(reply_)) {
      if (sent_ == 0) return client_.restart("the server answered what nobody asked");
      answered_at_ = now;
      if (!take_answer(answers)) return;
    }
  }

  bool take_answer(Answers& answers) {
    if (reply_.is_error()) {
      switch (kind_of_redis_error(reply_.text)) {
        case RedisErrorKind::kTransient:
        case RedisErrorKind::kNoScript:
          // Asked again after a pause, and no request is to blame.
          sent_ = 0;
          client_.restart(reply_.text);
          return false;
        case RedisErrorKind::kRefused:
          throw Error(ErrorCode::kConfig,
                      "Redis refuses our look-ups: " + client_.address().text() + ": " +
                          reply_.text + "; " + std::string(advice_for_redis_error(reply_.text)));
        case RedisErrorKind::kCommand: break;
      }
      answer_oldest(std::nullopt, describe_oldest(reply_.text), answers);
    } else if (reply_.kind == RedisReply::Kind::kText) {
      answer_oldest(std::move(reply_.text), "", answers);
    } else if (reply_.kind == RedisReply::Kind::kNil) {
      answer_oldest(std::nullopt, "", answers);
    } else {
      client_.restart("the server answered a look-up with something else than a text");
      return false;
    }
    client_.note_success();
    return true;
  }

  [[nodiscard]] std::string describe_oldest(const std::string& error) const {
    return client_.address().text() + ": key " + waiting_.front().key + ": " + error;
  }

  void begin_session(std::chrono::nanoseconds now, Answers& answers) {
    if (sent_ > 0 && ++waiting_.front().losses >= kMaxLosses)
      answer_oldest(std::nullopt, describe_oldest(client_.trouble()), answers);
    session_ = client_.session();
    sent_ = 0;
    answered_at_ = now;
  }

  void send(std::chrono::nanoseconds now) {
    if (sent_ == waiting_.size()) return;
    if (sent_ == 0) answered_at_ = now;
    std::string& out = client_.outgoing();
    while (sent_ < waiting_.size() && out.size() < kSendBytes) {
      const std::string& key = waiting_[sent_++].key;
      if (!settings_.field.empty()) {
        append_redis_command(out, {"HGET", key, settings_.field});
      } else if (!settings_.hash.empty()) {
        append_redis_command(out, {"HGET", settings_.hash, key});
      } else {
        append_redis_command(out, {"GET", key});
      }
    }
    client_.poll();
  }

  void check_patience(std::chrono::nanoseconds now, Answers& answers) {
    const Duration patience = settings_.server.response_timeout;
    if (client_.is_ready() && sent_ > 0 && now - answered_at_ > patience)
      client_.restart("no answer for " + std::to_string(patience.count()) + " ms");
    if (client_.is_ready()) return;
    // Whatever was sent belongs to a session that is over: no reply to it will come any more.
    while (!waiting_.empty() && now - waiting_.front().asked_at > patience)
      answer_oldest(std::nullopt, trouble(), answers);
  }

  const RedisLookupSettings settings_;
  const Clock& clock_;
  RedisClient client_;
  std::uint64_t session_ = 0;    // the one that sent_ counts in
  std::deque<Request> waiting_;  // the oldest first: replies come in this order
  std::size_t sent_ = 0;         // of waiting_, from the front
  std::size_t waiting_bytes_ = 0;
  std::chrono::nanoseconds answered_at_{0};
  Answers refused_;   // until the next poll
  RedisReply reply_;  // reused
};

}  // namespace

LookupFactory<std::string, std::string> redis_lookup(RedisLookupSettings settings) {
  (void)parse_redis_url(settings.server.url);
  if (!settings.field.empty() && !settings.hash.empty())
    throw Error(ErrorCode::kConfig,
                "a Redis look-up reads a field of each key or one hash: keep `field` or `hash`");
  if (settings.max_requests == 0 || settings.max_bytes == 0)
    throw Error(ErrorCode::kConfig, "max_requests and max_bytes of a Redis look-up are positive");
  return [settings = std::move(settings)](const Clock& clock) {
    return std::make_unique<RedisLookup>(settings, clock);
  };
}

}  // namespace tidemill
