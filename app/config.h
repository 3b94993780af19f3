// A job's settings: one flat map of dotted keys, layered flag > environment > file > default,
// checked against the keys the job knows.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/time.h"

namespace tidemill {

// A key a job understands. `name` may end in ".*": any key below it (pass-through settings).
struct ConfigKey {
  std::string name;
  std::string fallback;  // the default as text; empty: none
  std::string help;
};

// Where a value came from, for error messages: "--checkpoint-interval", "TIDEMILL_…",
// "features.yaml:12".
struct ConfigValue {
  std::string text;  // a list is joined with ','
  std::string origin;
};

// Throws Error(kConfig) that names the origin, the mistake and, for an unknown key, the nearest
// known one. One thread.
class Config {
 public:
  explicit Config(std::vector<ConfigKey> known);

  // Layers, from the weakest: file, environment, set. A later call of the same layer wins.
  void read_file(const std::string& path);
  void read_text(const std::string& yaml, const std::string& path);  // `path`: for messages
  // Others may have variables of that prefix, so an unknown one is no error: see misspelt().
  void read_environment(char** environment);
  void set(const std::string& key, const std::string& value, const std::string& origin);

  [[nodiscard]] bool has(const std::string& key) const;
  [[nodiscard]] std::string text(const std::string& key) const;  // the value or its default
  [[nodiscard]] std::optional<std::string> maybe(const std::string& key) const;
  // Throws if neither set nor defaulted.
  [[nodiscard]] std::string required(const std::string& key) const;
  [[nodiscard]] bool boolean(const std::string& key) const;
  [[nodiscard]] std::int64_t integer(const std::string& key, std::int64_t min,
                                     std::int64_t max) const;
  [[nodiscard]] Duration duration(const std::string& key) const;
  [[nodiscard]] std::uint64_t bytes(const std::string& key) const;
  [[nodiscard]] std::vector<std::string> list(const std::string& key) const;
  // One of `choices`.
  [[nodiscard]] std::string choice(const std::string& key,
                                   const std::vector<std::string>& choices) const;
  // Everything below `prefix` + "." (pass-through settings), without the prefix.
  [[nodiscard]] std::map<std::string, std::string> below(const std::string& prefix) const;

  struct Effective {
    std::string key;
    std::string value;   // secrets as ***
    std::string origin;  // "default", or as of ConfigValue
  };
  [[nodiscard]] std::vector<Effective> effective() const;
  // The effective settings as YAML, with a comment naming the origin of each.
  [[nodiscard]] std::string print() const;
  [[nodiscard]] const std::vector<ConfigKey>& known() const { return known_; }
  // A warning for each variable that is nearly, but not quite, a setting's.
  [[nodiscard]] const std::vector<std::string>& misspelt() const { return misspelt_; }
  // "--checkpoint-dir" <-> "checkpoint.dir", "TIDEMILL_CHECKPOINT_DIR".
  static std::string flag_of(const std::string& key);
  static std::string variable_of(const std::string& key);

 private:
  [[nodiscard]] const ConfigValue* find(const std::string& key) const;
  [[nodiscard]] const ConfigKey* known_key(const std::string& key) const;
  void check_known(const std::string& key, const std::string& origin) const;
  [[noreturn]] void wrong(const std::string& key, const std::string& what) const;

  std::vector<ConfigKey> known_;
  std::map<std::string, ConfigValue> file_;
  std::map<std::string, ConfigValue> environment_;
  std::map<std::string, ConfigValue> set_;
  std::vector<std::string> misspelt_;
};

// Whether the effective settings show *** instead of this text, or leave a password out of it.
bool holds_secret(const std::string& key, const std::string& text);
// "10s", "5m", "1h", "24h", "7d", "250ms", "0". Nothing if it is not a duration.
std::optional<Duration> parse_duration(std::string_view text);
// "64KiB", "256MiB", "1GiB", "50MB", "1024". Nothing if it is not a size.
std::optional<std::uint64_t> parse_bytes(std::string_view text);
// "1h", "90s", "1500ms": the largest unit that divides it.
std::string print_duration(Duration d);
// The candidate with the fewest edits to `word`.
std::string nearest(std::string_view word, const std::vector<std::string>& candidates);

}  // namespace tidemill
