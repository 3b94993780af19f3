// Trailing windows and how they are laid out: sizes, resolutions, slices.
#pragma once

#include <algorithm>
#include <cstddef>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/error.h"
#include "engine/base/time.h"

namespace tidemill {

// A window that looks back `size` from each instant; its tail is exact to `resolution`.
struct Trailing {
  Duration size;
  Duration resolution;

  // One sixtieth, at least a second.
  static constexpr Duration auto_resolution(Duration size) {
    return std::max<Duration>(Duration(1000), size / 60);
  }
};

// The windows of a trailing operator. Immutable.
class TrailingLayout {
 public:
  // Throws Error(kConfig) if there is no window, or a length is not positive.
  explicit TrailingLayout(std::vector<Trailing> windows) : windows_(std::move(windows)) {
    if (windows_.empty())
      throw Error(ErrorCode::kConfig, "a trailing aggregate needs at least one window");
    for (const Trailing& w : windows_) {
      if (w.size <= Duration::zero() || w.resolution <= Duration::zero()) {
        throw Error(ErrorCode::kConfig,
                    "size and resolution of a trailing window must be positive: " +
                        std::to_string(w.size.count()) + " ms, " +
                        std::to_string(w.resolution.count()) + " ms");
      }
      slice_ = Duration(std::gcd(slice_.count(), w.resolution.count()));
    }
  }

  [[nodiscard]] const std::vector<Trailing>& windows() const { return windows_; }
  [[nodiscard]] std::size_t size() const { return windows_.size(); }
  // The end of the finest slice that holds t, itself in it.
  [[nodiscard]] EventTime slice_end(EventTime t) const { return ceil_to(t, slice_); }
  // The first instant at which a record of time t, or a slice ending at t, no longer counts in
  // window `w`.
  [[nodiscard]] EventTime leave(std::size_t w, EventTime t) const {
    return ceil_to(t, windows_[w].resolution) + windows_[w].size;
  }

 private:
  std::vector<Trailing> windows_;
  Duration slice_{0};
};

}  // namespace tidemill
