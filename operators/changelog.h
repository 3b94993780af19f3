// Streams that revise themselves: early or late results, unwindowed aggregates and joins, ranks.
// Each record says what becomes of the row of its key: it comes, takes another value, or goes.
#pragma once

#include <cstdint>
#include <utility>

#include <boost/describe.hpp>

namespace tidemill {

enum class ChangeKind : std::uint8_t {
  kInsert,  // the key had no row
  kUpdate,  // replaces the key's row
  kDelete,  // the key has no row any more; `row` says which one it was
};

// What identifies the row is part of it: what its maker says in its header (the key, the key and
// window, the key and rank, ...).
template <class T>
struct Change {
  using Row = T;

  ChangeKind kind = ChangeKind::kInsert;
  T row{};

  static Change insert(T row) { return {ChangeKind::kInsert, std::move(row)}; }
  static Change update(T row) { return {ChangeKind::kUpdate, std::move(row)}; }
  static Change remove(T row) { return {ChangeKind::kDelete, std::move(row)}; }
  [[nodiscard]] bool is_delete() const { return kind == ChangeKind::kDelete; }
  friend bool operator==(const Change&, const Change&) = default;
  BOOST_DESCRIBE_CLASS(Change, (), (kind, row), (), ())
};

}  // namespace tidemill
