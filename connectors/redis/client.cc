#include "connectors/redis/client.h"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <thread>
#include <utility>

#include "connectors/redis/reply_error.h"
#include "engine/base/error.h"
#include "engine/base/log.h"

namespace tidemill {
namespace {

std::string read_password(const RedisServerSettings& settings) {
  if (!settings.password_env.empty()) {
    const char* value = std::getenv(settings.password_env.c_str());
    if (value == nullptr || *value == '\0') {
      throw Error(ErrorCode::kConfig, "Redis password is missing: environment variable " +
                                          settings.password_env + " is not set");
    }
    return value;
  }
  std::ifstream file(settings.password_file);
  std::string password;
  std::getline(file, password);
  if (!password.empty() && password.back() == '\r') password.pop_back();
  if (password.empty()) {
    throw Error(ErrorCode::kConfig,
                "Redis password is missing: the first line of password_file cannot be read: " +
                    settings.password_file);
  }
  return password;
}

}  // namespace

RedisAddress redis_address(const RedisServerSettings& settings) {
  RedisAddress address = parse_redis_url(settings.url);
  const bool has_file = !settings.password_file.empty();
  const bool has_env = !settings.password_env.empty();
  if (has_file && has_env)
    throw Error(ErrorCode::kConfig,
                "Redis password is given twice: password_file and password_env; keep one");
  if (has_file || has_env) {
    if (!address.password.empty())
      throw Error(ErrorCode::kConfig, "Redis password is given twice: in the URL and in " +
                                          std::string(has_file ? "password_file" : "password_env") +
                                          "; keep one");
    address.password = read_password(settings);
  }
  if (!settings.user.empty()) {
    if (address.password.empty())
      throw Error(ErrorCode::kConfig, "Redis user has no password: " + settings.user +
                                          "; set password_file or password_env");
    address.user = settings.user;
  }
  const bool has_tls =
      !settings.ca_file.empty() || !settings.certificate_file.empty() || !settings.key_file.empty();
  if (has_tls && !address.is_tls) {
    throw Error(ErrorCode::kConfig,
                "Redis TLS files are set but the URL is not rediss://: " + address.text());
  }
  return address;
}

RedisClient::RedisClient(RedisServerSettings settings, std::optional<RedisWriterName> name,
                         std::string script, const Clock& clock)
    : settings_(std::move(settings)),
      address_(redis_address(settings_)),
      name_(std::move(name)),
      script_(std::move(script)),
      clock_(clock),
      backoff_(settings_.backoff_min),
      jitter_(
          static_cast<std::minstd_rand::result_type>(std::hash<std::string>{}(address_.text())) +
          static_cast<std::minstd_rand::result_type>(name_ ? name_->subtask : 0)) {
  connect();
}

void RedisClient::connect() {
  transport_ = std::make_unique<RedisTransport>(address_, settings_);
  replies_ = std::make_unique<ReplyReader>();
  state_ = State::kConnecting;
  deadline_ = clock_.monotonic() + settings_.connect_timeout;
}

void RedisClient::move_on(std::chrono::milliseconds limit) {
  if (state_ == State::kWaiting) {
    const auto left = deadline_ - clock_.monotonic();
    if (left > std::chrono::nanoseconds(0)) {
      if (limit.count() > 0)
        std::this_thread::sleep_for(std::min<std::chrono::nanoseconds>(left, limit));
      return;
    }
    connect();
  }
  if (limit.count() > 0) {
    transport_->wait(limit);
  } else {
    transport_->poll();
  }
  if (transport_->is_untrusted()) {
    throw Error(ErrorCode::kConfig, "Redis server is not trusted: " + address_.text() + ": " +
                                        transport_->error() +
                                        "; check ca_file and the host of the URL");
  }
  if (state_ == State::kConnecting && transport_->state() == RedisTransport::State::kOpen) {
    state_ = State::kGreeting;
    greeting_.emplace(address_, name_ ? &*name_ : nullptr, script_);
    greeting_->begin(transport_->outgoing());
    transport_->poll();
  }
  if (const std::string_view bytes = transport_->incoming(); !bytes.empty()) {
    replies_->feed(bytes);
    transport_->clear_incoming();
  }
  if (state_ == State::kGreeting) greet();
  if (state_ == State::kWaiting) return;
  // What came before the end is still worth reading: a server says why it closes.
  if (transport_->state() == RedisTransport::State::kClosed && state_ != State::kReady) {
    lose(transport_->error());
  } else if (state_ != State::kReady && clock_.monotonic() >= deadline_) {
    lose("no connection within " + std::to_string(settings_.connect_timeout.count()) + " ms");
  }
}

void RedisClient::greet() {
  RedisReply reply;
  for (;;) {
    const ReplyReader::Progress progress = replies_->next(reply);
    if (progress == ReplyReader::Progress::kMore) break;
    if (progress == ReplyReader::Progress::kBroken)
      return lose("the server does not speak Redis' protocol: " + replies_->error());
    switch (greeting_->on_reply(reply, transport_->outgoing())) {
      case RedisGreeting::Step::kMore: break;
      case RedisGreeting::Step::kRetry: return lose(greeting_->reason());
      case RedisGreeting::Step::kDone: return start_session();
    }
  }
  transport_->poll();
}

void RedisClient::start_session() {
  if (!greeting_->is_fenced() && session_ == 0) {
    log(LogLevel::kWarn,
        "Redis does not let us name and list connections, so an older instance of this job is not "
        "kept from writing: " +
            address_.text() + "; allow the user +client");
  }
  if (!run_id_.empty() && !greeting_->run_id().empty() && run_id_ != greeting_->run_id()) {
    log(LogLevel::kWarn,
        "Redis is another process than before; rows it had acknowledged are gone unless it keeps "
        "its data on disk: " +
            address_.text());
  }
  run_id_ = greeting_->run_id();
  script_sha_ = greeting_->script_sha();
  state_ = State::kReady;
  ++session_;
}

bool RedisClient::next_reply(RedisReply& reply) {
  if (state_ != State::kReady) return false;
  switch (replies_->next(reply)) {
    case ReplyReader::Progress::kReply: return true;
    case ReplyReader::Progress::kBroken:
      lose("the server does not speak Redis' protocol: " + replies_->error());
      return false;
    case ReplyReader::Progress::kMore: break;
  }
  if (transport_->state() == RedisTransport::State::kClosed) lose(transport_->error());
  return false;
}

void RedisClient::restart(const std::string& why) { lose(why); }

void RedisClient::note_recovery() {
  log(LogLevel::kInfo, "Redis works again: " + address_.text());
  logged_trouble_.clear();
}

void RedisClient::lose(const std::string& why) {
  trouble_ = why;
  // One line per cause, not one per attempt.
  if (logged_trouble_ != why) {
    const std::string_view advice = advice_for_redis_error(why);
    log(LogLevel::kWarn, "Redis cannot be used, trying again: " + address_.text() + ": " + why +
                             (advice.empty() ? "" : "; " + std::string(advice)));
    logged_trouble_ = why;
  }
  transport_.reset();
  greeting_.reset();
  state_ = State::kWaiting;
  std::uniform_int_distribution<Duration::rep> spread(backoff_.count() / 2, backoff_.count());
  deadline_ = clock_.monotonic() + Duration(spread(jitter_));
  backoff_ = std::min(2 * backoff_, settings_.backoff_max);
}

}  // namespace tidemill
