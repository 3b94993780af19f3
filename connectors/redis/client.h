// A connection to one Redis server that comes back: connects, logs in, hands over replies in the
// order of the commands, and after a failure starts again with growing pauses. What was sent and
// not answered when a session ended is for the user of this class to judge.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <random>
#include <string>

#include "connectors/redis/address.h"
#include "connectors/redis/greeting.h"
#include "connectors/redis/reply_reader.h"
#include "connectors/redis/settings.h"
#include "connectors/redis/transport.h"
#include "engine/base/clock.h"

namespace tidemill {

// The address of the settings' URL, with the password from where the settings say. Throws
// Error(kConfig).
RedisAddress redis_address(const RedisServerSettings& settings);

// One thread. Nothing blocks but `wait`.
class RedisClient {
 public:
  // `name`: see greeting.h, none for a client that writes nothing. `script` is loaded at the start
  // of each session; may be empty. `clock` outlives it. Throws Error(kConfig).
  RedisClient(RedisServerSettings settings, std::optional<RedisWriterName> name, std::string script,
              const Clock& clock);

  // Moves things on. Throws Error(kConfig) if the server will never let us in, Error(kFenced) if a
  // younger instance writes.
  void poll() { move_on(std::chrono::milliseconds(0)); }
  // The same, but waits up to `limit` for something to happen.
  void wait(std::chrono::milliseconds limit) { move_on(limit); }

  // Counts sessions: 0 before the first one, and it changes whenever replies owed to an earlier one
  // will never come.
  [[nodiscard]] std::uint64_t session() const { return session_; }
  // True while commands may be appended to `outgoing`. Also ends when a reply is handed over late;
  // ask before each round.
  [[nodiscard]] bool is_ready() const { return state_ == State::kReady; }
  std::string& outgoing() { return transport_->outgoing(); }
  // The next reply of this session, if it is there.
  [[nodiscard]] bool next_reply(RedisReply& reply);

  // Ends the session: the server cannot, or said nonsense. Starts again after a pause.
  void restart(const std::string& why);
  // Something worked: the next pause is a short one.
  void note_success() {
    backoff_ = settings_.backoff_min;
    if (!logged_trouble_.empty()) note_recovery();
  }

  // Why it is not ready, or what ended the last session; for messages.
  [[nodiscard]] const std::string& trouble() const { return trouble_; }
  [[nodiscard]] const RedisAddress& address() const { return address_; }
  [[nodiscard]] const std::string& script_sha() const { return script_sha_; }
  [[nodiscard]] std::uint64_t reconnects() const { return session_ > 0 ? session_ - 1 : 0; }

 private:
  enum class State : std::uint8_t { kWaiting, kConnecting, kGreeting, kReady };

  void move_on(std::chrono::milliseconds limit);
  void connect();
  void greet();
  void start_session();
  void lose(const std::string& why);
  void note_recovery();

  const RedisServerSettings settings_;
  const RedisAddress address_;
  const std::optional<RedisWriterName> name_;
  const std::string script_;
  const Clock& clock_;

  State state_ = State::kWaiting;
  std::chrono::nanoseconds deadline_{0};  // of the pause, or of the attempt to connect
  Duration backoff_;
  std::minstd_rand jitter_;
  std::unique_ptr<RedisTransport> transport_;
  std::unique_ptr<ReplyReader> replies_;
  std::optional<RedisGreeting> greeting_;
  std::uint64_t session_ = 0;
  std::string script_sha_;
  std::string run_id_;
  std::string trouble_ = "not connected yet";
  std::string logged_trouble_;  // empty: all is well as far as the log knows
};

}  // namespace tidemill
