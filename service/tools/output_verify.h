// Judges whether Redis serves what a job has committed, for a sample of its keys. Logic only:
// whoever reads is in verify_outputs.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "service/tools/output_rows.h"

namespace tidemill::tools {

// Rows reach Redis before they are committed, those of a key in order. So what is committed is read
// first, then Redis, which must have that or something newer; and what is newer must be committed
// soon. In this order: add_committed of all rows, add_key of all keys of Redis, choose, set_stored
// of the sample; then as often as wanted add_committed of the rows that have come since, and
// set_stored of what is still doubtful. One thread.
//
// Memory: of the sample, twice.
class OutputVerify {
 public:
  struct Rules {
    std::size_t sample = 1000;
    std::uint64_t seed = 0;                  // another one takes other keys
    std::string time_field = "computed_at";  // of a row: the sink's guard field
    // A key's time to live, from when it was written on: not before its row's time, nor before
    // `since_ms`. Nothing: it stays.
    std::optional<std::int64_t> ttl_ms = {};
    std::int64_t since_ms = 0;
  };

  enum class Kind : std::uint8_t {
    kBehind,     // Redis has an older row
    kMissing,    // … none, though one is committed
    kDifferent,  // … another row of the same time, or one that has no time
    kUnknown,    // … a key that has never been committed
    kAhead,      // … a newer row, which is not committed yet
    kExpired,    // … none since its time to live may be over
    kEqual,
    kAbsent,  // rightly not in Redis: the last row that was committed says so
  };

  explicit OutputVerify(Rules rules) : rules_(std::move(rules)) {}

  void add_committed(const OutputRow& row);
  void add_key(std::string_view key);
  // The keys that are compared: of all that either side has those with the smallest hashes.
  [[nodiscard]] std::vector<std::string> choose();
  void set_stored(const std::string& key, std::optional<std::string_view> row, std::int64_t now_ms);

  // Keys of which it is not certain yet that all is well.
  [[nodiscard]] std::vector<std::string> doubtful() const;
  [[nodiscard]] bool has_doubts() const { return num_doubtful_ > 0; }

  // {seed, sampled, and how many of each kind, differences: [{key, kind, redis, committed}]}: of
  // the first five kinds, in their order, at most `show` and half a megabyte. Valid UTF-8 whatever
  // keys and rows are.
  [[nodiscard]] std::string json(std::size_t show) const;

 private:
  using Place = std::pair<std::uint64_t, std::string>;  // hash, key
  struct Committed {
    std::optional<std::string> row;  // nothing: deleted
    std::int64_t at_ms = 0;
  };
  struct Compared {
    std::optional<Committed> committed;
    std::optional<std::string> stored;
    Kind kind = Kind::kAbsent;
    bool is_settled = false;
  };

  [[nodiscard]] std::uint64_t hash_of(std::string_view key) const;
  [[nodiscard]] Kind judge(const Compared& one, std::int64_t now_ms) const;

  const Rules rules_;
  bool is_chosen_ = false;
  std::map<Place, Committed> committed_;  // until the sample is chosen
  std::set<Place> keys_;
  std::size_t num_doubtful_ = 0;
  std::map<std::string, Compared, std::less<>> sample_;
};

[[nodiscard]] const char* name_of(OutputVerify::Kind kind);

}  // namespace tidemill::tools
