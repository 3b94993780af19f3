// An error with where in the job it happened.
#pragma once

#include <optional>
#include <string>
#include <utility>

#include "engine/base/error.h"

namespace tidemill {

struct ErrorPlace {
  std::string operator_name;
  int subtask = 0;
  std::string origin;  // "TOPIC/P offset N", of a source's record; empty: not known
};

class OperatorError : public Error {
 public:
  OperatorError(ErrorCode code, const std::string& message, ErrorPlace place)
      : Error(code, message), place_(std::move(place)) {}
  [[nodiscard]] const ErrorPlace& place() const { return place_; }

 private:
  ErrorPlace place_;
};

// Nothing if it says none.
inline std::optional<ErrorPlace> place_of(const Error& error) {
  const auto* at = dynamic_cast<const OperatorError*>(&error);
  return at == nullptr ? std::nullopt : std::optional(at->place());
}

}  // namespace tidemill
