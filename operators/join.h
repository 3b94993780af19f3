// What all joins share: which sides go without a partner, what a row of theirs is made by, and when
// a side is late.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <type_traits>
#include <utility>

#include <boost/describe.hpp>

#include "engine/base/error.h"

namespace tidemill {

// Which side's rows come out alone when they have no partner.
enum class JoinType : std::uint8_t { kInner, kLeft, kRight, kOuter };

constexpr bool pads_left(JoinType type) {
  return type == JoinType::kLeft || type == JoinType::kOuter;
}
constexpr bool pads_right(JoinType type) {
  return type == JoinType::kRight || type == JoinType::kOuter;
}

// What joins give if they are told nothing else; the missing side is empty.
template <class L, class R>
struct Joined {
  std::optional<L> left;
  std::optional<R> right;
  friend bool operator==(const Joined&, const Joined&) = default;
  BOOST_DESCRIBE_CLASS(Joined, (), (left, right), (), ())
};

struct MakeJoined {
  template <class L, class R>
  Joined<L, R> operator()(const L* left, const R* right) const {
    Joined<L, R> row;
    if (left != nullptr) row.left = *left;
    if (right != nullptr) row.right = *right;
    return row;
  }
};

// Makes the rows of a join with F: Row(const L*, const R*), null for the side that is missing, or
// for joins that pad nothing Row(const L&, const R&).
template <class L, class R, class F>
class JoinRows {
 public:
  static constexpr bool kTakesPointers = std::is_invocable_v<const F&, const L*, const R*>;
  static_assert(kTakesPointers || std::is_invocable_v<const F&, const L&, const R&>,
                "tidemill: a join's function takes (const L&, const R&), or (const L*, const R*).");
  using Row = std::remove_cvref_t<
      typename std::conditional_t<kTakesPointers, std::invoke_result<const F&, const L*, const R*>,
                                  std::invoke_result<const F&, const L&, const R&>>::type>;

  // Throws Error(kConfig) if the join pads and the function knows no missing side.
  JoinRows(F f, JoinType type) : f_(std::move(f)) {
    if (!kTakesPointers && type != JoinType::kInner)
      throw Error(ErrorCode::kConfig,
                  "a join that gives rows without a partner needs a function of pointers: "
                  "Row(const L*, const R*)");
  }

  // Of an inner join neither is null.
  Row operator()(const L* left, const R* right) const {
    if constexpr (kTakesPointers) {
      return std::invoke(f_, left, right);
    } else {
      return std::invoke(f_, *left, *right);
    }
  }

 private:
  F f_;
};

}  // namespace tidemill
