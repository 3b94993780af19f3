// How a table keeps a key: as it is, but strings in place, so that a look-up touches one cache line
// and not two.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>

#include "state/memory_size.h"

namespace tidemill {

// 25 bytes that hold up to 24 characters themselves and point to more.
class InlineText {
 public:
  explicit InlineText(std::string_view text) {
    if (text.size() <= kMost) {
      std::memcpy(bytes_, text.data(), text.size());
      bytes_[kMost] = static_cast<char>(text.size());
    } else {
      const Outside out{new char[text.size()], text.size()};
      std::memcpy(out.data, text.data(), text.size());
      std::memcpy(bytes_, &out, sizeof out);
      bytes_[kMost] = kOutside;
    }
  }
  ~InlineText() {
    if (bytes_[kMost] == kOutside) delete[] outside().data;
  }
  InlineText(const InlineText&) = delete;
  InlineText& operator=(const InlineText&) = delete;

  [[nodiscard]] std::string_view view() const {
    if (bytes_[kMost] != kOutside) return {bytes_, static_cast<std::size_t>(bytes_[kMost])};
    const Outside out = outside();
    return {out.data, out.size};
  }
  [[nodiscard]] std::size_t heap_size() const {
    return bytes_[kMost] == kOutside ? outside().size + codec::kAllocationOverhead : 0;
  }

 private:
  struct Outside {
    char* data;
    std::size_t size;
  };
  static constexpr std::size_t kMost = 24;
  static constexpr char kOutside = 127;

  [[nodiscard]] Outside outside() const {
    Outside out;
    std::memcpy(&out, bytes_, sizeof out);
    return out;
  }

  char bytes_[kMost + 1];
};

static_assert(alignof(InlineText) == 1);  // so that it fits behind a table's odd header

// A number of bytes rounded up to 12 bits that count, in 16 bits; at least 16, if not 0.
class RoughSize {
 public:
  RoughSize() = default;
  explicit RoughSize(std::size_t bytes) {
    std::size_t units = (bytes + kUnit - 1) / kUnit;
    unsigned shift = 0;
    for (; units > kMostUnits; ++shift) units = (units + 1) / 2;
    code_ = static_cast<std::uint16_t>(std::min(shift, kMostShift) << kBits | units);
  }
  [[nodiscard]] std::size_t bytes() const {
    return (std::size_t{code_} & kMostUnits) * kUnit << (code_ >> kBits);
  }
  friend bool operator==(const RoughSize& a, const RoughSize& b) { return a.code_ == b.code_; }

 private:
  static constexpr std::size_t kUnit = 16;
  static constexpr unsigned kBits = 12;
  static constexpr std::size_t kMostUnits = (std::size_t{1} << kBits) - 1;
  static constexpr unsigned kMostShift = 15;  // 2 GiB

  std::uint16_t code_ = 0;
};

// How a key is passed: strings as views, everything else by reference.
template <class K>
struct KeyTraits {
  using View = const K&;
  using Stored = K;
  static View view(const Stored& stored) { return stored; }
  static std::size_t heap_size(const Stored& stored) { return memory_size(stored); }
  static constexpr bool kMayHaveHeap = kHasHeap<K>;
  // Lends a key of the type the user knows; the scratch may hold it.
  struct Scratch {};
  static const K& lend(const Stored& stored, Scratch&) { return stored; }
};

template <>
struct KeyTraits<std::string> {
  using View = std::string_view;
  using Stored = InlineText;
  static View view(const Stored& stored) { return stored.view(); }
  static std::size_t heap_size(const Stored& stored) { return stored.heap_size(); }
  static constexpr bool kMayHaveHeap = true;
  using Scratch = std::string;
  static const std::string& lend(const Stored& stored, Scratch& scratch) {
    return scratch.assign(stored.view());
  }
};

template <class K>
using KeyView = typename KeyTraits<K>::View;

// A key and its hash, as prefetch takes them.
template <class K>
struct KeyRef {
  const K* key = nullptr;
  std::uint64_t hash = 0;
};

}  // namespace tidemill
