// One call of the API: who asks what, and how it is answered or refused.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include <boost/json.hpp>

#include "http/message.h"
#include "service/server/token.h"

namespace tidemill::server {

// Ends a call with this status; `next` says what to do.
class CallError : public std::runtime_error {
 public:
  CallError(int status, const std::string& error, std::string next)
      : std::runtime_error(error), status_(status), next_(std::move(next)) {}
  [[nodiscard]] int status() const { return status_; }
  [[nodiscard]] const std::string& next() const { return next_; }

 private:
  int status_;
  std::string next_;
};

struct Caller {
  std::string name;
  Role role = Role::kNone;
};

struct Call {
  const http::Request& request;
  std::map<std::string, std::string> path;  // {job} of the route
  Caller caller;

  [[nodiscard]] const std::string& job() const { return path.at("job"); }
  // A number of the query within bounds. Throws CallError(422).
  [[nodiscard]] std::int64_t query_number(const std::string& name, std::int64_t fallback,
                                          std::int64_t min, std::int64_t max) const;
};

[[nodiscard]] http::Response json_answer(const boost::json::value& value, int status = 200);

// The members of a request's body, each asked for by name; what nobody asks for is an error, so
// that a misspelt name is never silently nothing. All throw CallError: 400 if the body is no JSON
// object (empty is {}), 422 if a member is of another type or missing.
class Body {
 public:
  explicit Body(const http::Request& request);

  [[nodiscard]] std::string text(std::string_view name);  // must be there
  [[nodiscard]] std::optional<std::string> maybe_text(std::string_view name);
  [[nodiscard]] bool boolean(std::string_view name, bool fallback);
  [[nodiscard]] std::optional<std::int64_t> maybe_integer(std::string_view name, std::int64_t min,
                                                          std::int64_t max);
  // A number of bytes, or a text as "2GiB".
  [[nodiscard]] std::optional<std::int64_t> maybe_bytes(std::string_view name);
  [[nodiscard]] std::optional<std::vector<std::string>> maybe_texts(std::string_view name);
  void finish() const;  // after all have been asked for

 private:
  const boost::json::value* member(std::string_view name);

  boost::json::object object_;
  std::vector<std::string> asked_;
};

}  // namespace tidemill::server
