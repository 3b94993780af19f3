// A JSON answer of an API, read: what is not there, or is of another kind, is null, so that a view
// can show what an older or newer server knows.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <boost/json/fwd.hpp>

namespace tidemill::cli {

// A value; keeps its whole document alive. May be copied and read on any thread.
class Answer {
 public:
  Answer() = default;  // null
  // Nothing if it is no JSON.
  static std::optional<Answer> parse(std::string_view text);

  // A member, or null.
  [[nodiscard]] Answer operator[](std::string_view member) const;
  [[nodiscard]] std::vector<Answer> list() const;  // of an array, else empty
  [[nodiscard]] bool is_null() const { return value_ == nullptr; }
  // A text as it is, numbers and truths printed; of anything else empty.
  [[nodiscard]] std::string text() const;
  // As JSON on one line: "null" of null.
  [[nodiscard]] std::string json() const;
  // Also of a text that holds one: numbers above 2^53 are sent so.
  [[nodiscard]] std::optional<double> number() const;
  [[nodiscard]] bool is_true() const;

 private:
  std::shared_ptr<const boost::json::value> document_;
  const boost::json::value* value_ = nullptr;
};

// As JSON for people: "-" of null.
[[nodiscard]] std::string json_or_dash(const Answer& value);

}  // namespace tidemill::cli
