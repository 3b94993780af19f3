// What the hand-written loops share: one thread, plain structs and hash maps, nothing of the
// engine. They are the limit that the queries are measured against, and give the same rows. Input
// in order (groups of 1).
#pragma once

#include <cstdint>
#include <string_view>

#include <boost/unordered/unordered_flat_map.hpp>

#include "bench/nexmark/event.h"
#include "bench/nexmark/input.h"
#include "bench/nexmark/row_text.h"

namespace tidemill::nexmark::hand {

// Takes rows field by field and lets the compiler drop none of them.
class CountedRows {
 public:
  template <class... Fields>
  void operator()(const Fields&... fields) {
    ++rows_;
    (use(fields), ...);
  }
  [[nodiscard]] std::int64_t rows() const { return rows_; }
  [[nodiscard]] std::uint64_t sum() const { return used_; }

 private:
  void use(std::integral auto number) { used_ += static_cast<std::uint64_t>(number); }
  void use(EventTime at) { used_ += static_cast<std::uint64_t>(at.ms); }
  void use(Text text) { used_ += text.bits(); }
  void use(std::string_view text) { used_ += text.size(); }

  std::int64_t rows_ = 0;
  std::uint64_t used_ = 0;
};

class CheckedRows {
 public:
  template <class... Fields>
  void operator()(const Fields&... fields) {
    checksum_.add_fields(fields...);
  }
  [[nodiscard]] std::int64_t rows() const { return checksum_.rows(); }
  [[nodiscard]] std::uint64_t sum() const { return checksum_.sum(); }

 private:
  RowChecksum checksum_;
};

template <class K, class V>
using HashMap = boost::unordered_flat_map<K, V>;

// Calls on_bid, on_auction and on_person in the order of arrival; pass kSkip for what is not read.
struct Skip {};
inline constexpr Skip kSkip{};

template <class T, class F>
const T* each(const T* row, std::uint32_t count, F& f) {
  if constexpr (!std::is_same_v<F, const Skip>) {
    for (const T* end = row + count; row != end; ++row) f(*row);
    return row;
  } else {
    return row + count;
  }
}

template <class OnPerson, class OnAuction, class OnBid>
void in_order(const EventLog& log, OnPerson&& on_person, OnAuction&& on_auction, OnBid&& on_bid) {
  const Person* person = log.persons.data();
  const Auction* auction = log.auctions.data();
  const Bid* bid = log.bids.data();
  for (const EventLog::Run run : log.runs) {
    switch (run.kind) {
      case Kind::kPerson: person = each(person, run.count, on_person); break;
      case Kind::kAuction: auction = each(auction, run.count, on_auction); break;
      case Kind::kBid: bid = each(bid, run.count, on_bid); break;
    }
  }
}

}  // namespace tidemill::nexmark::hand
