// Windows of event time and how they are laid out. Bounds are half-open, aligned to the epoch plus
// an offset, below it too.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <optional>
#include <set>
#include <string>

#include <boost/describe.hpp>

#include "engine/base/error.h"
#include "engine/base/time.h"

namespace tidemill {

// [start, end)
struct Window {
  EventTime start;
  EventTime end;

  // The last instant that belongs to it, and the time of its result.
  [[nodiscard]] constexpr EventTime last() const { return end - Duration(1); }
  friend constexpr auto operator<=>(const Window&, const Window&) = default;
};

// What a window's row is made of: one result per key and window.
template <class Key, class Result>
struct Windowed {
  Key key;
  Window window;
  Result value;

  friend bool operator==(const Windowed&, const Windowed&) = default;
};

// One window after the other.
struct Tumbling {
  Duration size;
  Duration offset = Duration::zero();
};

// The windows [k slide + offset, + size). Some records fall in none if slide > size.
struct Sliding {
  Duration size;
  Duration slide;
  Duration offset = Duration::zero();
};

// Per key: as long as records are at most `gap` apart. A record at t begins as [t, t + gap);
// windows that overlap or touch become one.
struct Session {
  Duration gap;
};

// Per key: n records, then empty again.
struct CountWindow {
  std::uint64_t n;
};
// Per key: at each n-th record, over all so far.
struct EveryN {
  std::uint64_t n;
};

// By the clock, one window after the other.
struct ProcessingTumbling {
  Duration size;
  Duration offset = Duration::zero();
};

// What an aggregate of a key without bounds in time gives.
template <class Key, class Result>
struct Keyed {
  Key key;
  Result value;

  friend bool operator==(const Keyed&, const Keyed&) = default;
};

// When rows are given out, besides at the close of the window.
struct WindowOptions {
  // How long after its end a window still takes records: each batch that brings one gives a new row
  // of it.
  Duration allowed_lateness = Duration::zero();
  // A row for each open window that changed since its last one, when the watermark reaches a
  // multiple of this after the window's start.
  std::optional<Duration> early = std::nullopt;
  // The same when the clock reaches a multiple of this.
  std::optional<Duration> early_processing = std::nullopt;
  // A row for each key and window that a batch touched, at the end of the batch; none at close.
  bool on_update = false;
  // No row equal to the last one of its key and window.
  bool changes_only = false;
  // With several subtasks, each adds up the records of a key before it sends them to the one that
  // has the key (operators/pre_aggregate.h). No result shows it.
  bool pre_aggregates = true;
  // Rows after which a firing lets other messages pass.
  std::size_t firing_budget = 4096;
};

// Whether a row comes at the end of each batch that touches its window.
inline bool depends_on_batches(const WindowOptions& options) {
  return options.on_update || options.early || options.early_processing;
}

// Why windows with these options give more than one row of a key and window; empty: they do not.
inline std::string revision_of(const WindowOptions& options) {
  if (options.allowed_lateness > Duration::zero())
    return "gives rows of a window again (allowed_lateness)";
  if (options.early) return "gives early rows of a window (early)";
  if (options.early_processing) return "gives early rows of a window (early_processing)";
  return options.on_update ? "gives a row of a window at each update (on_update)" : "";
}

// Throws Error(kConfig) for options that no window can have. `can_compare`: results have
// operator==.
inline void check_options(const WindowOptions& options, bool can_compare) {
  if (options.allowed_lateness < Duration::zero())
    throw Error(ErrorCode::kConfig, "the allowed lateness of a window is negative");
  for (const auto& every : {options.early, options.early_processing}) {
    if (every && *every <= Duration::zero())
      throw Error(ErrorCode::kConfig, "the interval of early rows must be positive");
  }
  if (options.changes_only && !can_compare)
    throw Error(ErrorCode::kConfig, "changes_only needs results that can be compared (operator==)");
}

// The layout of tumbling and sliding windows: each record falls in one slice, each window is a run
// of slices.
class AlignedWindows {
 public:
  // Throws Error(kConfig) if a length is not positive or lateness is negative.
  explicit AlignedWindows(const Sliding& windows)
      : size_(windows.size), slide_(windows.slide), offset_(windows.offset) {
    require_positive("size", size_);
    require_positive("slide", slide_);
    slice_ = Duration(std::gcd(size_.count(), slide_.count()));
    // Less than a slide, since offset + size may be more than a Duration holds.
    first_start_ = offset_ % slide_;
    const Duration rest = size_ % slide_;
    first_end_ =
        first_start_ >= slide_ - rest ? first_start_ - (slide_ - rest) : first_start_ + rest;
  }
  explicit AlignedWindows(const Tumbling& windows)
      : AlignedWindows(Sliding{windows.size, windows.size, windows.offset}) {}

  [[nodiscard]] Duration size() const { return size_; }
  [[nodiscard]] Duration slide() const { return slide_; }
  [[nodiscard]] Duration offset() const { return offset_; }
  // Slices are as long as the greatest common divisor of size and slide, so no window begins or
  // ends inside one.
  [[nodiscard]] Duration slice() const { return slice_; }
  [[nodiscard]] bool is_tumbling() const { return size_ == slide_; }

  [[nodiscard]] Window slice_of(EventTime t) const {
    const EventTime start = floor_to(t, slice_, first_start_);
    return {start, start + slice_};
  }
  // The last window that holds the slice [end - slice(), end); none if it lies between two windows
  // (slide > size).
  [[nodiscard]] std::optional<Window> last_window_of(EventTime slice_end) const {
    const EventTime start = floor_to(slice_end - slice_, slide_, first_start_);
    const Window window{start, start + size_};
    if (window.end < slice_end) return std::nullopt;
    return window;
  }
  // The window before that one also holds the slice if its end is beyond the slice's start.
  [[nodiscard]] Window before(const Window& window) const {
    return {window.start - slide_, window.end - slide_};
  }
  // The first window that holds the slice. Requires: last_window_of gives one.
  [[nodiscard]] EventTime first_end_of(EventTime slice_end) const {
    return ceil_to(slice_end, slide_, first_end_);
  }
  [[nodiscard]] Window window_ending(EventTime end) const { return {end - size_, end}; }
  // The first end after `after` of a window that holds one of these slices, given by their ends;
  // none: no such window.
  [[nodiscard]] std::optional<EventTime> next_end(const std::set<EventTime>& slice_ends,
                                                  EventTime after) const {
    for (const EventTime slice_end : slice_ends) {
      if (last_window_of(slice_end)->end <= after) continue;
      const EventTime first = first_end_of(slice_end);
      return first > after ? first : ceil_to(after + Duration(1), slide_, first_end_);
    }
    return std::nullopt;
  }

 private:
  static void require_positive(const char* what, Duration d) {
    if (d > Duration::zero()) return;
    throw Error(ErrorCode::kConfig, std::string("window ") + what +
                                        " must be positive: " + std::to_string(d.count()) + " ms");
  }

  Duration size_;
  Duration slide_;
  Duration offset_;
  Duration slice_{};
  Duration first_start_{};  // of some window, less than a slide from the epoch
  Duration first_end_{};
};

}  // namespace tidemill
