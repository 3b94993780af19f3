// Compares the rows of a job with those of a replay of it, per key and window. Logic only: whoever
// reads the rows is in output_rows.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

namespace tidemill::tools {

// The replay's rows first: of the job's those beyond the replay's first and last window are counted
// and left out, since the replay covers a part of the past. Of several rows of one key and window
// the last counts, as for a reader of the output. One thread.
//
// Memory: of at most `max_bytes` of rows and their keys. Beyond that every second key is given up,
// by a hash of the key, so that what is left is whole; and so on.
class OutputDiff {
 public:
  explicit OutputDiff(std::size_t max_bytes = std::size_t{256} << 20) : max_bytes_(max_bytes) {}

  void add_replay(std::string_view key, std::string_view row) { add(key, row, Side::kReplay); }
  void add_live(std::string_view key, std::string_view row) { add(key, row, Side::kLive); }

  // {rows, keys, equal, different, only_live, only_replay, outside, one_key_in, differences: [{key,
  // window, live, replay}]}, the first `show` differences by key and window. Rows are equal
  // byte for byte.
  [[nodiscard]] std::string json(const std::string& output, std::size_t show) const;

  // The window a row is of: its first member of these names, else empty: a key has one row.
  static std::string window_of(std::string_view row);

 private:
  enum class Side : std::uint8_t { kLive, kReplay };
  struct Pair {
    std::optional<std::string> live;
    std::optional<std::string> replay;
  };

  void add(std::string_view key, std::string_view row, Side side);
  void give_keys_up();
  [[nodiscard]] bool is_taken(std::string_view key) const;

  const std::size_t max_bytes_;
  std::size_t bytes_ = 0;
  std::uint64_t one_key_in_ = 1;
  std::uint64_t outside_ = 0;
  std::string first_window_;
  std::string last_window_;
  bool has_windows_ = false;
  std::unordered_map<std::string, Pair> pairs_;  // by key, a zero byte, window
};

}  // namespace tidemill::tools
