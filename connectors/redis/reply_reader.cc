#include "connectors/redis/reply_reader.h"

#include <hiredis/read.h>
#include <utility>

#include "engine/base/error.h"

namespace tidemill {

// hiredis builds replies through callbacks; these fill one reused RedisReply instead of allocating
// a tree. They return any pointer but null, which would mean that memory ran out.
class ReplyReader::Parser {
 public:
  Parser() : reader_(redisReaderCreateWithFunctions(&kFunctions)) {
    if (reader_ == nullptr) throw Error(ErrorCode::kInternal, "no memory for a Redis reply reader");
    reader_->privdata = this;
    reader_->maxbuf = 0;  // keep the buffer between replies
  }
  ~Parser() { redisReaderFree(reader_); }
  Parser(const Parser&) = delete;
  Parser& operator=(const Parser&) = delete;

  void feed(std::string_view bytes) { redisReaderFeed(reader_, bytes.data(), bytes.size()); }

  Progress next(RedisReply& reply, std::string& error) {
    void* made = nullptr;
    if (redisReaderGetReply(reader_, &made) != REDIS_OK) {
      error = reader_->errstr;
      return Progress::kBroken;
    }
    if (made != nullptr) {
      std::swap(reply, building_);
      return Progress::kReply;
    }
    if (reader_->len - reader_->pos > kMaxReplyBytes) {
      error = "a reply is longer than " + std::to_string(kMaxReplyBytes) + " bytes";
      return Progress::kBroken;
    }
    return Progress::kMore;
  }

 private:
  static RedisReply& begin(const redisReadTask* task, RedisReply::Kind kind) {
    RedisReply& reply = static_cast<Parser*>(task->privdata)->building_;
    if (task->parent == nullptr) {
      reply.kind = kind;
      reply.integer = 0;
      reply.text.clear();
      reply.items.clear();
    }
    return reply;
  }
  static void* done(const redisReadTask* task) { return task->privdata; }

  static void* on_string(const redisReadTask* task, char* text, std::size_t size) {
    const auto kind = task->type == REDIS_REPLY_ERROR    ? RedisReply::Kind::kError
                      : task->type == REDIS_REPLY_STATUS ? RedisReply::Kind::kStatus
                                                         : RedisReply::Kind::kText;
    RedisReply& reply = begin(task, kind);
    if (task->parent == nullptr) {
      reply.text.assign(text, size);
    } else if (!add_item(reply, std::string(text, size))) {
      return nullptr;
    }
    return done(task);
  }
  static void* on_array(const redisReadTask* task, int) {
    begin(task, RedisReply::Kind::kList);
    return done(task);
  }
  static void* on_integer(const redisReadTask* task, long long value) {
    RedisReply& reply = begin(task, RedisReply::Kind::kInteger);
    if (task->parent == nullptr) {
      reply.integer = value;
    } else if (!add_item(reply, std::to_string(value))) {
      return nullptr;
    }
    return done(task);
  }
  static void* on_nil(const redisReadTask* task) {
    RedisReply& reply = begin(task, RedisReply::Kind::kNil);
    if (task->parent != nullptr && !add_item(reply, "")) return nullptr;
    return done(task);
  }
  static bool add_item(RedisReply& reply, std::string item) {
    if (reply.items.size() >= kMaxItems) return false;
    reply.items.push_back(std::move(item));
    return true;
  }

  static redisReplyObjectFunctions kFunctions;

  static constexpr std::size_t kMaxItems = 262'144;

  redisReader* reader_;
  RedisReply building_;  // a reply may come in many pieces
};

redisReplyObjectFunctions ReplyReader::Parser::kFunctions = {on_string, on_array, on_integer,
                                                             on_nil, [](void*) {}};

ReplyReader::ReplyReader() : parser_(std::make_unique<Parser>()) {}
ReplyReader::~ReplyReader() = default;

void ReplyReader::feed(std::string_view bytes) { parser_->feed(bytes); }

ReplyReader::Progress ReplyReader::next(RedisReply& reply) { return parser_->next(reply, error_); }

}  // namespace tidemill
