// What is said on a new connection before the first row: log in, choose the database, make sure
// that no other connection still writes in our name, load the script. Logic only; RedisClient moves
// the bytes.
//
// The fence: commands that an abandoned connection left in the server's buffers could run after
// newer ones of this connection. So connections carry names, `tidemill/job/sink/subtask@epoch`, and
// a new one first has the server close those of its own subtask and those of older epochs. Finding
// a younger epoch means that we are the zombie. So does a younger fence key (key_move.h), asked for
// behind the name: whoever sets it and then looks finds us, or we find it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "connectors/redis/address.h"
#include "connectors/redis/reply_reader.h"

namespace tidemill {

// Who writes. Connections of equal job and sink belong together; of these the greatest epoch is the
// one that may write.
struct RedisWriterName {
  std::string job;
  std::string sink;
  int subtask = 0;
  std::uint64_t epoch = 0;  // when the process started, in ms
};

// Ids of the connections that write for a job, by the text of CLIENT LIST.
std::vector<std::string> redis_connections_of(std::string_view list, const std::string& job);

class RedisGreeting {
 public:
  enum class Step : std::uint8_t { kMore, kDone, kRetry };

  // An empty name: no fence, no name. An empty script: none is loaded. The references outlive it.
  RedisGreeting(const RedisAddress& address, const RedisWriterName* name, std::string_view script);

  void begin(std::string& out);
  // Takes the replies in order; appends what must be said next. kRetry: the server is not ready,
  // see `reason`. Throws Error(kConfig) if it will never let us in, Error(kFenced) if a younger
  // instance writes.
  [[nodiscard]] Step on_reply(const RedisReply& reply, std::string& out);

  [[nodiscard]] const std::string& reason() const { return reason_; }
  [[nodiscard]] const std::string& script_sha() const { return script_sha_; }
  [[nodiscard]] const std::string& run_id() const {
    return run_id_;
  }  // empty: the server does not say
  // False if the server did not let us look for other connections.
  [[nodiscard]] bool is_fenced() const { return is_fenced_; }

 private:
  enum class Asked : std::uint8_t {
    kLogin,
    kDatabase,
    kInfo,
    kOthers,
    kKill,
    kName,
    kFence,
    kScript
  };

  void ask(std::string& out, Asked what, std::initializer_list<std::string_view> command);
  void find_fence(std::string_view text) const;
  Step refuse_or_retry(const std::string& what, const std::string& error);
  void ask_second_round(std::string& out);
  void find_others(std::string_view list);

  const RedisAddress& address_;
  const RedisWriterName* name_;
  const std::string_view script_;
  std::vector<Asked> asked_;
  std::size_t answered_ = 0;
  std::vector<std::string> others_;
  std::string reason_;
  std::string script_sha_;
  std::string run_id_;
  bool is_fenced_ = true;
};

}  // namespace tidemill
