// Nexmark's three kinds of events. Their texts are views: into the input that lives as long as the
// process, or into memory that travels with the batch.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "engine/base/time.h"

namespace tidemill::nexmark {

// A view of at most kMaxSize bytes in one word, so that a bid with its time is a cache line: the
// length above 48 bits of address, which is what user space has on x86-64 and aarch64.
class Text {
 public:
  static constexpr std::size_t kMaxSize = 65'535;

  Text() = default;
  Text(const char* data, std::size_t size)  // NOLINT(bugprone-easily-swappable-parameters)
      : bits_(reinterpret_cast<std::uintptr_t>(data) | (std::uint64_t{size} << kAddressBits)) {}
  explicit Text(std::string_view text) : Text(text.data(), text.size()) {}

  [[nodiscard]] std::size_t size() const { return static_cast<std::size_t>(bits_ >> kAddressBits); }
  [[nodiscard]] std::string_view view() const {
    return {reinterpret_cast<const char*>(bits_ & kAddress), size()};
  }
  operator std::string_view() const { return view(); }  // NOLINT(google-explicit-constructor)
  [[nodiscard]] std::string str() const { return std::string(view()); }
  // For loops that must use what they read.
  [[nodiscard]] std::uint64_t bits() const { return bits_; }

 private:
  static constexpr unsigned kAddressBits = 48;
  static constexpr std::uint64_t kAddress = (std::uint64_t{1} << kAddressBits) - 1;
  static_assert(sizeof(std::uintptr_t) == sizeof(std::uint64_t));

  std::uint64_t bits_ = 0;
};

struct Person {
  std::int64_t id;
  Text name;
  Text email;
  Text credit_card;
  Text city;
  Text state;
  EventTime at;
  Text extra;
};

struct Auction {
  std::int64_t id;
  Text item;
  Text description;
  std::int64_t initial_bid;
  std::int64_t reserve;
  EventTime at;
  EventTime expires;
  std::int64_t seller;
  std::int64_t category;
  Text extra;
};

struct Bid {
  std::int64_t auction;
  std::int64_t bidder;
  std::int64_t price;
  Text channel;
  Text url;
  EventTime at;
  Text extra;
};

enum class Kind : std::uint8_t { kPerson, kAuction, kBid };

}  // namespace tidemill::nexmark
