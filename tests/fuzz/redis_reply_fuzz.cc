// Any bytes as what a Redis server answers, in one piece and byte by byte: the same replies.
#include <string>
#include <string_view>
#include <vector>

#include "connectors/redis/reply_reader.h"
#include "tests/fuzz/fuzz_target.h"

namespace {

using tidemill::RedisReply;
using tidemill::ReplyReader;
using Progress = ReplyReader::Progress;

struct Heard {
  std::vector<std::string> replies;
  bool is_broken = false;
  friend bool operator==(const Heard&, const Heard&) = default;
};

void take(ReplyReader& reader, Heard& heard) {
  RedisReply reply;
  while (!heard.is_broken) {
    const Progress progress = reader.next(reply);
    if (progress == Progress::kMore) return;
    if (progress == Progress::kBroken) {
      tidemill::fuzz::require(!reader.error().empty(), "a refusal has words");
      heard.is_broken = true;
      return;
    }
    std::string text = std::to_string(static_cast<int>(reply.kind)) + " " +
                       std::to_string(reply.integer) + " " + reply.text;
    for (const std::string& item : reply.items) text += "," + item;
    heard.replies.push_back(text);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes = tidemill::fuzz::text_of(data, size);
  Heard at_once;
  {
    ReplyReader reader;
    reader.feed(bytes);
    take(reader, at_once);
  }
  Heard in_pieces;
  ReplyReader reader;
  for (std::size_t i = 0; i < size && !in_pieces.is_broken; ++i) {
    reader.feed(bytes.substr(i, 1));
    take(reader, in_pieces);
  }
  tidemill::fuzz::require(at_once == in_pieces, "it does not matter how the bytes arrive");
  return 0;
}
