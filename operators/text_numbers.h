// Numbers for texts: what occurs again and again in a key's slices is kept once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <boost/container_hash/hash.hpp>
#include <boost/unordered/unordered_flat_map.hpp>

#include "engine/base/bytes.h"
#include "state/codec.h"
#include "state/memory_size.h"

namespace tidemill {

// Numbers from 0 on, in the order in which the texts came. A few texts are found by comparing, more
// get a hash table. Not thread-safe.
class TextNumbers {
 public:
  using Number = std::uint32_t;
  static constexpr std::size_t kFew = 16;

  // A text that has no number gets the next one.
  Number number_of(std::string_view text) {
    if (many_) [[unlikely]]
      return number_of_many(text);
    const char* at = packed_.data();
    for (Number number = 0; number < size_; ++number) {
      const std::string_view other = read(at);
      if (other.size() == text.size() &&
          (text.empty() ||
           (other[0] == text[0] && std::memcmp(other.data(), text.data(), text.size()) == 0)))
        return number;
    }
    return append(text);
  }
  // Requires: the number has been given. Valid until the next change.
  [[nodiscard]] std::string_view text(Number number) const {
    const char* at = packed_.data();
    if (many_) [[unlikely]] {
      at += many_->starts[number];
    } else {
      for (; number > 0; --number) read(at);
    }
    return read(at);
  }
  [[nodiscard]] std::size_t size() const { return size_; }

  // Forgets the texts whose numbers are not in use. Returns the new numbers of the others.
  std::vector<Number> keep(const std::vector<bool>& in_use);

  [[nodiscard]] std::size_t heap_bytes() const;
  void encode(Bytes& out) const;
  static TextNumbers decode(ByteReader& in);

 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const {
      return boost::hash<std::string_view>()(text);
    }
  };
  struct Many {
    std::vector<std::size_t> starts;  // in `packed_`
    boost::unordered_flat_map<std::string, Number, Hash, std::equal_to<>> numbers;
  };

  // The text at `at`, which moves on to the next one.
  static std::string_view read(const char*& at) {
    std::size_t size = static_cast<unsigned char>(*at++);
    if (size >= 0x80) [[unlikely]] {
      size &= 0x7F;
      for (int shift = 7;; shift += 7) {
        const auto byte = static_cast<unsigned char>(*at++);
        size |= static_cast<std::size_t>(byte & 0x7F) << shift;
        if (byte < 0x80) break;
      }
    }
    const std::string_view text(at, size);
    at += size;
    return text;
  }
  Number append(std::string_view text);
  Number number_of_many(std::string_view text);
  void become_many();

  Bytes packed_;  // the sized texts, one behind the other
  Number size_ = 0;
  std::unique_ptr<Many> many_;
};

// [varint number of texts], the sized texts in the order of their numbers.
template <>
struct Codec<TextNumbers> {
  static void encode(Bytes& out, const TextNumbers& value) { value.encode(out); }
  static TextNumbers decode(ByteReader& in) { return TextNumbers::decode(in); }
  static StoredType layout() { return tidemill::stored_type<std::vector<std::string>>(); }
};

template <>
struct HeapSize<TextNumbers> {
  static constexpr bool kHasHeap = true;
  static std::size_t of(const TextNumbers& value) { return value.heap_bytes(); }
};

}  // namespace tidemill
