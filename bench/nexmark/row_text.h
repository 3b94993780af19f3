// A row as text, fields joined by `|`: what checksums are made of and what files hold. Times are
// milliseconds since the epoch.
#pragma once

#include <charconv>
#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>

#include <boost/describe.hpp>
#include <boost/mp11.hpp>

#include "bench/nexmark/event.h"
#include "bench/nexmark/fnv.h"

namespace tidemill::nexmark {

// Appends to a buffer.
class RowText {
 public:
  explicit RowText(std::string& out) : out_(out) {}

  void field(std::string_view text) {
    separate();
    out_ += text;
  }
  void field(std::integral auto number) {
    separate();
    char digits[24];
    out_.append(digits, std::to_chars(digits, digits + sizeof digits, number).ptr);
  }
  void field(EventTime at) { field(at.ms); }
  template <class... Fields>
  void fields(const Fields&... all) {
    (field(all), ...);
  }

 private:
  void separate() {
    if (!is_first_) out_ += '|';
    is_first_ = false;
  }

  std::string& out_;
  bool is_first_ = true;
};

// Row: a struct whose fields are described in the order of the row.
template <class Row>
void append_row(std::string& out, const Row& row) {
  using Fields = boost::describe::describe_members<Row, boost::describe::mod_public>;
  RowText text(out);
  boost::mp11::mp_for_each<Fields>([&](auto member) { text.field(row.*member.pointer); });
}

// The order-free checksum of rows: the sum of their hashes.
class RowChecksum {
 public:
  RowChecksum() = default;
  explicit RowChecksum(std::int64_t rows) : rows_(rows) {}

  template <class... Fields>
  void add_fields(const Fields&... fields) {
    text_.clear();
    RowText(text_).fields(fields...);
    add(Fnv::of(text_));
  }
  template <class Row>
  std::uint64_t hash_of(const Row& row) {
    text_.clear();
    append_row(text_, row);
    return Fnv::of(text_);
  }
  void add(std::uint64_t hash) {
    ++rows_;
    sum_ += hash;
  }
  void remove(std::uint64_t hash) {
    --rows_;
    sum_ -= hash;
  }
  void merge(const RowChecksum& other) {
    rows_ += other.rows_;
    sum_ += other.sum_;
  }
  [[nodiscard]] std::int64_t rows() const { return rows_; }
  [[nodiscard]] std::uint64_t sum() const { return sum_; }

 private:
  std::string text_;
  std::int64_t rows_ = 0;
  std::uint64_t sum_ = 0;
};

}  // namespace tidemill::nexmark
