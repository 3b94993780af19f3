// Event time as the names of folders, in UTC: "day=%Y-%m-%d/%H:%M" is day=2026-01-31/23:59 for a
// minute.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "engine/base/time.h"

namespace tidemill::file_internal {

// One thread.
class TimeBuckets {
 public:
  // Throws Error(kConfig) naming what is wrong: another letter behind % than Y, m, d, H, M or %, a
  // folder without a name or with `.` first, none of the letters.
  explicit TimeBuckets(const std::string& pattern);

  // The name, valid until the next call. Times that are not finite have `no-time`.
  const std::string& name_of(EventTime at);

 private:
  void render(EventTime begin);

  struct Piece {
    char field = 0;  // Y, m, d, H, M; 0: the text
    std::string text;
  };
  std::vector<Piece> pieces_;
  Duration unit_;                       // every name is one for all times of such a unit
  EventTime begin_ = EventTime::min();  // of the unit that `name_` is of
  std::string name_;
};

}  // namespace tidemill::file_internal
