// What a Redis server has of the keys of records: the store of a look-up join.
//
//   lookup_join(payments, "shops", redis_lookup({.key_prefix = "shop:"}, &shop_of_json),
//               &Payment::shop, WithShop{});
//
// Requests are pipelined over one connection of each subtask, and nothing blocks. When the
// connection is lost, another one is made, with growing pauses, and what has no answer yet is asked
// again: reading twice does no harm. How long a record may wait for that is for the timeout and the
// attempts of the join to say (LookupOptions).
#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "connectors/redis/settings.h"
#include "engine/operator/lookup.h"

namespace tidemill {

struct RedisLookupSettings {
  // response_timeout: a request that no session could put to the server for so long is answered
  // with an error, and so is the connection given up on which nothing comes for so long.
  RedisServerSettings server = {};
  std::string key_prefix = "";  // stands before every key
  // Where a value is. Neither: GET <key>. `field`: HGET <key> <field>, each key is a hash. `hash`:
  // HGET <hash> <key>, one hash holds all.
  std::string field = "";
  std::string hash = "";
  // Asked for and not answered, of one subtask; beyond, requests are answered with an error. The
  // join's `in_flight` keeps well below, but for requests it has given up.
  std::size_t max_requests = 8192;
  std::size_t max_bytes = std::size_t{4} << 20;  // of their keys
};

// Values as they are stored. A key without a value, or without the field, has none; what the server
// answers with an error (a key of another type) is an error of that request. A client throws
// Error(kConfig) if the server will never let us in or read; from here if the settings are
// impossible.
LookupFactory<std::string, std::string> redis_lookup(RedisLookupSettings settings);

namespace redis_lookup_internal {

template <class V, class Decode>
class Decoding final : public LookupClient<std::string, V> {
 public:
  Decoding(std::unique_ptr<LookupClient<std::string, std::string>> texts, Decode decode)
      : texts_(std::move(texts)), decode_(std::move(decode)) {}

  void request(std::uint64_t number, const std::string& key) override {
    texts_->request(number, key);
  }
  void poll(std::vector<LookupAnswer<V>>& answers) override {
    texts_->poll(found_);
    for (LookupAnswer<std::string>& text : found_) {
      LookupAnswer<V>& answer = answers.emplace_back();
      answer.request = text.request;
      answer.error = std::move(text.error);
      if (!text.value) continue;
      try {
        answer.value.emplace(std::invoke(decode_, std::as_const(*text.value)));
      } catch (const std::exception& error) {
        answer.error = std::string("the value cannot be decoded: ") + error.what();
      }
    }
    found_.clear();
  }

 private:
  const std::unique_ptr<LookupClient<std::string, std::string>> texts_;
  Decode decode_;
  std::vector<LookupAnswer<std::string>> found_;  // empty between calls
};

}  // namespace redis_lookup_internal

// The same with values made by `decode`, V(const std::string&). What it throws is the request's
// error.
template <class Decode>
auto redis_lookup(RedisLookupSettings settings, Decode decode) {
  using V = std::remove_cvref_t<std::invoke_result_t<Decode&, const std::string&>>;
  return LookupFactory<std::string, V>(
      [texts = redis_lookup(std::move(settings)), decode = std::move(decode)](
          const Clock& clock) -> std::unique_ptr<LookupClient<std::string, V>> {
        return std::make_unique<redis_lookup_internal::Decoding<V, Decode>>(texts(clock), decode);
      });
}

}  // namespace tidemill
