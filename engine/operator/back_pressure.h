// What may hold all sources back: lent through Resources by whoever owns something that operators
// use up.
#pragma once

namespace tidemill {

// Thread-safe.
class BackPressure {
 public:
  virtual ~BackPressure() = default;
  // True while sources should read nothing. It ends by itself, without any new record.
  [[nodiscard]] virtual bool is_exhausted() const = 0;
};

}  // namespace tidemill
