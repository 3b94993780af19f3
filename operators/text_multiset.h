// How often each of some texts occurs, packed: what Distinct<std::string> keeps. Most keys see a
// few short texts, and keep them for every slice of every window.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include <boost/container_hash/hash.hpp>
#include <boost/unordered/unordered_flat_map.hpp>

#include "engine/base/bytes.h"
#include "state/codec.h"
#include "state/memory_size.h"

namespace tidemill {

// A few short texts lie one behind the other as they are stored, and are found by comparing; more,
// or longer ones, get a hash table.
class TextMultiset {
 public:
  static constexpr std::size_t kFew = 16;
  static constexpr std::size_t kShort = 127;

  TextMultiset() = default;
  TextMultiset(const TextMultiset& other)
      : few_(other.few_),
        num_few_(other.num_few_),
        many_(other.many_ ? std::make_unique<Many>(*other.many_) : nullptr) {}
  TextMultiset(TextMultiset&& other) noexcept
      : few_(std::move(other.few_)),
        num_few_(std::exchange(other.num_few_, 0)),
        many_(std::move(other.many_)) {
    other.few_.clear();
  }
  TextMultiset& operator=(const TextMultiset& other) {
    if (this != &other) *this = TextMultiset(other);
    return *this;
  }
  TextMultiset& operator=(TextMultiset&& other) noexcept {
    few_ = std::move(other.few_);
    num_few_ = std::exchange(other.num_few_, 0);
    many_ = std::move(other.many_);
    other.few_.clear();
    return *this;
  }
  ~TextMultiset() = default;

  // Adds `times` occurrences; a negative number takes away. A text whose count reaches 0 is gone.
  void add(std::string_view text, std::int64_t times = 1) {
    if (many_ || text.size() > kShort) [[unlikely]] {
      add_to_many(text, times);
      return;
    }
    const char* const end = few_.data() + few_.size();
    for (const char* at = few_.data(); at != end; at = behind(at)) {
      if (!holds(at, text)) continue;
      change(at, times);
      return;
    }
    append(text, times);
  }

  // Adds all of `other`, `sign` (1 or -1) times.
  void add_all(const TextMultiset& other, std::int64_t sign);

  [[nodiscard]] std::size_t size() const { return many_ ? many_->size() : num_few_; }
  [[nodiscard]] std::int64_t count(std::string_view text) const;
  [[nodiscard]] std::size_t heap_bytes() const;

  // In no particular order: fn(std::string_view, std::int64_t times).
  template <class Fn>
  void for_each(Fn fn) const {
    const char* const end = few_.data() + few_.size();
    for (const char* at = few_.data(); at != end; at = behind(at)) fn(text_at(at), times_at(at));
    if (!many_) return;
    for (const auto& [text, times] : *many_) fn(std::string_view(text), times);
  }

  friend bool operator==(const TextMultiset& a, const TextMultiset& b);

  void encode(Bytes& out) const;
  static TextMultiset decode(ByteReader& in);

 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const {
      return boost::hash<std::string_view>()(text);
    }
  };
  using Many = boost::unordered_flat_map<std::string, std::int64_t, Hash, std::equal_to<>>;

  // An entry: [size, below 128][text][varint zig-zag times].
  [[nodiscard]] static std::string_view text_at(const char* at) {
    return {at + 1, static_cast<std::size_t>(*at)};
  }
  [[nodiscard]] static bool holds(const char* at, std::string_view text) {
    return static_cast<std::size_t>(*at) == text.size() &&
           (text.empty() ||
            (at[1] == text[0] && std::memcmp(at + 1, text.data(), text.size()) == 0));
  }
  [[nodiscard]] static const char* times_of(const char* at) { return at + 1 + *at; }
  [[nodiscard]] static const char* behind(const char* at) {
    at = times_of(at);
    while ((static_cast<unsigned char>(*at) & 0x80) != 0) ++at;
    return at + 1;
  }
  [[nodiscard]] static std::int64_t times_at(const char* at) {
    const char* const times = times_of(at);
    if ((static_cast<unsigned char>(*times) & 0x80) != 0) return long_times(times);
    return unzigzag(static_cast<unsigned char>(*times));
  }
  [[nodiscard]] static std::int64_t long_times(const char* digits);

  // Only damaged bytes hold counts that overflow: any number is right then.
  [[nodiscard]] static std::int64_t sum_of(std::int64_t a, std::int64_t b) {
    return static_cast<std::int64_t>(static_cast<std::uint64_t>(a) + static_cast<std::uint64_t>(b));
  }
  // Adds to the count of an entry.
  void change(const char* at, std::int64_t times) {
    char& first = few_[static_cast<std::size_t>(times_of(at) - few_.data())];
    if ((static_cast<unsigned char>(first) & 0x80) == 0) {
      const std::int64_t sum = sum_of(unzigzag(static_cast<unsigned char>(first)), times);
      if (sum != 0 && sum >= -64 && sum < 64) {
        first = static_cast<char>(zigzag(sum));
        return;
      }
    }
    change_size(at, times);
  }
  void change_size(const char* at, std::int64_t times);
  void append(std::string_view text, std::int64_t times);
  void add_to_many(std::string_view text, std::int64_t times);

  Bytes few_;  // empty while there is a table
  std::uint32_t num_few_ = 0;
  std::unique_ptr<Many> many_;
};

// [varint number of texts], then for each [sized text][varint zig-zag times].
template <>
struct Codec<TextMultiset> {
  static void encode(Bytes& out, const TextMultiset& value) { value.encode(out); }
  static TextMultiset decode(ByteReader& in) { return TextMultiset::decode(in); }
};

template <>
struct HeapSize<TextMultiset> {
  static constexpr bool kHasHeap = true;
  static std::size_t of(const TextMultiset& value) { return value.heap_bytes(); }
};

}  // namespace tidemill
