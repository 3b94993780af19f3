// Replies of a Redis server out of a stream of bytes (RESP2), with hiredis' parser.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace tidemill {

struct RedisReply {
  enum class Kind : std::uint8_t { kStatus, kError, kInteger, kText, kNil, kList };

  Kind kind = Kind::kNil;
  std::int64_t integer = 0;
  std::string text;                // status, error (without the leading `-`), text
  std::vector<std::string> items;  // of a list, as text, nested ones flattened

  [[nodiscard]] bool is_error() const { return kind == Kind::kError; }
};

// Not thread-safe. In steady state short replies cost no allocation.
class ReplyReader {
 public:
  enum class Progress : std::uint8_t { kReply, kMore, kBroken };

  // Longer replies than this, or lists of more than 262,144 items, are no answers to what we ask.
  static constexpr std::size_t kMaxReplyBytes = std::size_t{64} << 20;

  ReplyReader();
  ~ReplyReader();
  ReplyReader(const ReplyReader&) = delete;
  ReplyReader& operator=(const ReplyReader&) = delete;

  void feed(std::string_view bytes);
  // kReply: `reply` holds the next one. kMore: feed more. kBroken: the peer does not speak RESP2,
  // see `error`; for good.
  [[nodiscard]] Progress next(RedisReply& reply);
  [[nodiscard]] const std::string& error() const { return error_; }

 private:
  class Parser;
  std::unique_ptr<Parser> parser_;
  std::string error_;
};

}  // namespace tidemill
