// A start that is refused, for programs: which refusal it is, and what goes on. The message of the
// error is the same for people.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "engine/base/error.h"

namespace tidemill {

struct Refusal {
  struct Choice {
    std::vector<std::string> flags;  // of the next start only: "--accept-loss=T:P"
    std::string consequence;         // what is lost or repeated by it
  };

  std::string id;         // stable: "commit_record_missing"
  std::string row;        // of docs/exactly-once.md 4.3; empty: none of that table
  std::string mend = {};  // what to bring back, so that nothing is lost and nothing repeated
  std::vector<Choice> choices = {};
  // Another checkpoint goes on, with --restore=ID --accept-duplicates.
  bool takes_restore = false;
  // A start from nothing does, with --restore=none --accept-duplicates.
  bool takes_nothing = false;
};

class RefusedStart : public Error {
 public:
  RefusedStart(Refusal refusal, const std::string& message, ErrorCode code = ErrorCode::kRefused)
      : Error(code, message), refusal_(std::move(refusal)) {}
  [[nodiscard]] const Refusal& refusal() const { return refusal_; }

 private:
  Refusal refusal_;
};

}  // namespace tidemill
