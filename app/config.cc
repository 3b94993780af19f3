#include "app/config.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <set>
#include <sstream>
#include <utility>

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include "engine/base/error.h"

namespace tidemill {
namespace {

Error config_error(const std::string& message) { return Error(ErrorCode::kConfig, message); }

std::string place(const std::string& path, const YAML::Mark& mark) {
  return path + ":" + std::to_string(mark.line + 1);
}

// Settings are few; more is an alias that repeats itself, or something else than settings.
constexpr std::size_t kMaxFileBytes = std::size_t{4} << 20;
constexpr std::size_t kMaxNodes = 100'000;
constexpr std::size_t kMaxDepth = 32;

// The longest duration that still fits into nanoseconds when it is added to a clock.
constexpr Duration kLongest = std::chrono::hours(24 * 36'500);

// Puts the values of a YAML tree into a flat map.
class Flattener {
 public:
  Flattener(const std::string& path, std::map<std::string, ConfigValue>& out)
      : path_(path), out_(out) {}

  void add(const YAML::Node& node, const std::string& prefix, std::size_t depth = 0) {
    if (++num_nodes_ > kMaxNodes || depth > kMaxDepth)
      throw config_error("too many settings, or an alias that holds itself: " + prefix + " (" +
                         place(path_, node.Mark()) + ")");
    if (node.IsMap()) {
      add_map(node, prefix, depth);
    } else if (!node.IsNull()) {  // null: `redis:` with nothing below
      add_value(node, prefix);
    }
  }

 private:
  void add_map(const YAML::Node& node, const std::string& prefix, std::size_t depth) {
    std::set<std::string> seen;
    for (const auto& entry : node) {
      if (!entry.first.IsScalar())
        throw config_error("a key is not a word: " + place(path_, entry.first.Mark()));
      const std::string name = entry.first.Scalar();
      const std::string key = prefix.empty() ? name : prefix + "." + name;
      if (!seen.insert(name).second)
        throw config_error("a key stands twice: " + key + " (" + place(path_, entry.first.Mark()) +
                           ")");
      add(entry.second, key, depth + 1);
    }
  }
  void add_value(const YAML::Node& node, const std::string& prefix) {
    if (prefix.empty()) throw config_error("the file is not a map of settings: " + path_);
    ConfigValue value{"", place(path_, node.Mark())};
    if (node.IsSequence()) {
      for (const auto& item : node) {
        if (!item.IsScalar() || ++num_nodes_ > kMaxNodes)
          throw config_error("a list holds something that is no plain value: " + prefix + " (" +
                             value.origin + ")");
        value.text += (value.text.empty() ? "" : ",") + item.Scalar();
      }
    } else {
      value.text = node.Scalar();
    }
    out_[prefix] = std::move(value);
  }

  const std::string& path_;
  std::map<std::string, ConfigValue>& out_;
  std::size_t num_nodes_ = 0;
};

// Regular files only: a directory reads as empty, a device without end.
std::string read_whole(const std::string& path) {
  std::error_code error;
  const auto status = std::filesystem::status(path, error);
  const std::string cannot = "cannot read the configuration file: " + path;
  if (error || !std::filesystem::exists(status)) throw config_error(cannot);
  if (std::filesystem::is_directory(status)) throw config_error(cannot + ": it is a directory");
  std::ifstream in(path, std::ios::binary);
  std::string text(kMaxFileBytes + 1, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (!in && !in.eof()) throw config_error(cannot);
  text.resize(static_cast<std::size_t>(in.gcount()));
  if (text.size() > kMaxFileBytes)
    throw config_error("the configuration file is longer than 4 MiB: " + path);
  return text;
}

// A value given in one word: a list or a map of YAML's flow style, or what it says.
std::map<std::string, ConfigValue> in_one_word(const std::string& key, const std::string& value,
                                               const std::string& origin) {
  std::map<std::string, ConfigValue> values;
  // "[::1]:8081" is an address.
  const bool is_list = value.starts_with('[') && value.find("]:") == std::string::npos;
  if (!is_list && !value.starts_with('{')) {
    values[key] = {value, origin};
    return values;
  }
  try {
    Flattener(origin, values).add(YAML::Load(value), key);
  } catch (const YAML::Exception& e) {
    throw config_error(key + " is no list or map of settings: " + value + " (" + origin +
                       "): " + e.msg);
  }
  for (auto& entry : values) entry.second.origin = origin;
  return values;
}

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t above = row[j];
      row[j] = std::min({above + 1, row[j - 1] + 1, diagonal + (a[i - 1] == b[j - 1] ? 0 : 1)});
      diagonal = above;
    }
  }
  return row.back();
}

// Edits by which a variable's name is taken for a slip of the pen.
constexpr std::size_t kMisspelt = 2;

// A number and the unit behind it.
std::optional<std::pair<double, std::string_view>> split_unit(std::string_view text) {
  double number = 0;
  const auto [at, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc()) return std::nullopt;
  return std::pair(number, text.substr(static_cast<std::size_t>(at - text.data())));
}

// A password inside a URL is not for printing: "://user:password@" becomes "://user:***@".
std::string without_password(std::string text) {
  for (std::size_t at = text.find("://"); at != std::string::npos; at = text.find("://", at)) {
    at += 3;
    // To the last @ before the next address: a password may hold anything.
    const std::size_t next = text.find("://", at);
    const std::size_t login = text.rfind('@', next);
    const std::size_t colon = text.find(':', at);
    if (login != std::string::npos && login > at && colon < login)
      text.replace(colon + 1, login - colon - 1, "***");
  }
  return text;
}

// Settings passed through to a library may hold what is refused later: never printed all the same.
bool is_secret(const std::string& key) {
  static constexpr std::string_view kSecrets[] = {
      "password", "secret", "token", "jaas.config", "oauthbearer.config", "key.pem"};
  return std::any_of(std::begin(kSecrets), std::end(kSecrets),
                     [&](std::string_view secret) { return key.ends_with(secret); });
}

}  // namespace

bool holds_secret(const std::string& key, const std::string& text) {
  return is_secret(key) || without_password(text) != text;
}

std::string nearest(std::string_view word, const std::vector<std::string>& candidates) {
  std::string best;
  std::size_t best_distance = std::string::npos;
  for (const std::string& candidate : candidates) {
    const std::size_t distance = edit_distance(word, candidate);
    if (distance < best_distance) {
      best_distance = distance;
      best = candidate;
    }
  }
  return best;
}

std::optional<Duration> parse_duration(std::string_view text) {
  std::int64_t number = 0;
  const auto [at, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc()) return std::nullopt;
  const std::string_view unit = text.substr(static_cast<std::size_t>(at - text.data()));
  std::int64_t factor = 0;
  if (unit == "ms" || unit.empty()) factor = 1;
  if (unit == "s") factor = 1000;
  if (unit == "m" || unit == "min") factor = 60'000;
  if (unit == "h") factor = 3'600'000;
  if (unit == "d") factor = 86'400'000;
  std::int64_t product = 0;
  if (factor == 0 || __builtin_mul_overflow(number, factor, &product)) return std::nullopt;
  return Duration(product);
}

std::optional<std::uint64_t> parse_bytes(std::string_view text) {
  const auto split = split_unit(text);
  if (!split || split->first < 0) return std::nullopt;
  static const std::map<std::string_view, double> kUnits = {
      {"", 1},     {"B", 1},        {"KB", 1e3},        {"MB", 1e6},          {"GB", 1e9},
      {"kB", 1e3}, {"KiB", 1024.0}, {"MiB", 1048576.0}, {"GiB", 1073741824.0}};
  const auto unit = kUnits.find(split->second);
  if (unit == kUnits.end()) return std::nullopt;
  const double product = split->first * unit->second;
  if (!(product <= 9e18)) return std::nullopt;  // also what is no number
  return static_cast<std::uint64_t>(product);
}

std::string print_duration(Duration d) {
  static constexpr std::pair<std::int64_t, const char*> kUnits[] = {
      {86'400'000, "d"}, {3'600'000, "h"}, {60'000, "m"}, {1000, "s"}};
  if (d.count() == 0) return "0";
  for (const auto& [factor, unit] : kUnits) {
    if (d.count() % factor == 0) return std::to_string(d.count() / factor) + unit;
  }
  return std::to_string(d.count()) + "ms";
}

Config::Config(std::vector<ConfigKey> known) : known_(std::move(known)) {}

std::string Config::flag_of(const std::string& key) {
  std::string flag = "--" + key;
  for (char& c : flag) {
    if (c == '.' || c == '_') c = '-';
  }
  return flag;
}

std::string Config::variable_of(const std::string& key) {
  std::string name = "TIDEMILL_";
  for (const char c : key)
    name +=
        c == '.' || c == '-' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return name;
}

namespace {

// Where documents begin; everything in them is passed over.
class DocumentStarts final : public YAML::EventHandler {
 public:
  YAML::Mark last;

  void OnDocumentStart(const YAML::Mark& mark) override { last = mark; }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark&, YAML::anchor_t) override {}
  void OnAlias(const YAML::Mark&, YAML::anchor_t) override {}
  void OnScalar(const YAML::Mark&, const std::string&, YAML::anchor_t,
                const std::string&) override {}
  void OnSequenceStart(const YAML::Mark&, const std::string&, YAML::anchor_t,
                       YAML::EmitterStyle::value) override {}
  void OnSequenceEnd() override {}
  void OnMapStart(const YAML::Mark&, const std::string&, YAML::anchor_t,
                  YAML::EmitterStyle::value) override {}
  void OnMapEnd() override {}
};

// Asked for two documents and no more: of some malformed texts the parser finds new ones without
// end (so YAML::LoadAll does not return).
std::optional<YAML::Mark> second_document(const std::string& yaml) {
  std::istringstream text(yaml);
  YAML::Parser parser(text);
  DocumentStarts starts;
  if (parser.HandleNextDocument(starts) && parser.HandleNextDocument(starts)) return starts.last;
  return std::nullopt;
}

}  // namespace

void Config::read_file(const std::string& path) { read_text(read_whole(path), path); }

void Config::read_text(const std::string& yaml, const std::string& path) {
  std::map<std::string, ConfigValue> values;
  try {
    if (const auto second = second_document(yaml)) {
      const bool is_marked = yaml.compare(static_cast<std::size_t>(second->pos), 3, "---") == 0;
      throw config_error(
          is_marked ? "the file holds more than one document: " + place(path, *second) +
                          "; take out the line ---"
                    : "the configuration file is not YAML: " + place(path, *second) +
                          ": something follows the end of the settings; see to the indentation");
    }
    Flattener(path, values).add(YAML::Load(yaml), "");
  } catch (const YAML::Exception& e) {
    throw config_error("the configuration file is not YAML: " + place(path, e.mark) + ": " + e.msg);
  }
  for (auto& [key, value] : values) {
    check_known(key, value.origin);
    file_[key] = std::move(value);
  }
}

void Config::read_environment(char** environment) {
  std::map<std::string, std::string> variables;
  std::vector<std::string> names;
  for (const ConfigKey& key : known_) {
    if (key.name.ends_with(".*")) continue;
    names.push_back(variable_of(key.name));
    variables[names.back()] = key.name;
  }
  for (char** entry = environment; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    const std::size_t equals = text.find('=');
    if (equals == std::string_view::npos) continue;
    const std::string name(text.substr(0, equals));
    const auto it = variables.find(name);
    if (it == variables.end()) {
      if (!name.starts_with("TIDEMILL_")) continue;
      const std::string near = nearest(name, names);
      if (edit_distance(name, near) <= kMisspelt) {
        misspelt_.push_back(name + " in the environment is no setting; did you mean " + near + "?");
      }
      continue;
    }
    const std::string value(text.substr(equals + 1));
    for (auto& [key, one] : in_one_word(it->second, value, it->first)) {
      check_known(key, one.origin);
      environment_[key] = std::move(one);
    }
  }
}

void Config::set(const std::string& key, const std::string& value, const std::string& origin) {
  for (auto& [name, one] : in_one_word(key, value, origin)) {
    check_known(name, origin);
    set_[name] = std::move(one);
  }
}

const ConfigKey* Config::known_key(const std::string& key) const {
  for (const ConfigKey& k : known_) {
    if (k.name == key) return &k;
    if (k.name.ends_with(".*") && key.starts_with(k.name.substr(0, k.name.size() - 1))) return &k;
  }
  return nullptr;
}

void Config::check_known(const std::string& key, const std::string& origin) const {
  if (known_key(key) != nullptr) return;
  std::vector<std::string> names;
  for (const ConfigKey& k : known_) names.push_back(k.name);
  throw config_error("unknown setting: " + key + " (" + origin + "); did you mean " +
                     nearest(key, names) + "?");
}

const ConfigValue* Config::find(const std::string& key) const {
  for (const auto* layer : {&set_, &environment_, &file_}) {
    const auto it = layer->find(key);
    if (it != layer->end()) return &it->second;
  }
  return nullptr;
}

void Config::wrong(const std::string& key, const std::string& what) const {
  const ConfigValue* value = find(key);
  throw config_error(key + " " + what + ": " + text(key) + " (" +
                     (value != nullptr ? value->origin : "default") + ")");
}

bool Config::has(const std::string& key) const {
  if (find(key) != nullptr) return true;
  const std::string prefix = key + ".";
  for (const auto* layer : {&set_, &environment_, &file_}) {
    const auto it = layer->lower_bound(prefix);
    if (it != layer->end() && it->first.starts_with(prefix)) return true;
  }
  return false;
}

std::optional<std::string> Config::maybe(const std::string& key) const {
  if (const ConfigValue* value = find(key)) return value->text;
  const ConfigKey* known = known_key(key);
  if (known != nullptr && !known->fallback.empty()) return known->fallback;
  return std::nullopt;
}

std::string Config::text(const std::string& key) const { return maybe(key).value_or(""); }

std::string Config::required(const std::string& key) const {
  auto value = maybe(key);
  if (!value || value->empty())
    throw config_error("a setting is missing: " + key + " (in the file, or " + variable_of(key) +
                       ", or --set " + key + "=…)");
  return *value;
}

bool Config::boolean(const std::string& key) const {
  const std::string value = text(key);
  if (value == "true" || value == "yes" || value == "on" || value == "1") return true;
  if (value.empty() || value == "false" || value == "no" || value == "off" || value == "0")
    return false;
  wrong(key, "is neither true nor false");
}

std::int64_t Config::integer(const std::string& key, std::int64_t min, std::int64_t max) const {
  const std::string value = required(key);
  std::int64_t number = 0;
  const auto [at, error] = std::from_chars(value.data(), value.data() + value.size(), number);
  if (error != std::errc() || at != value.data() + value.size())
    wrong(key, "is not a whole number");
  if (number < min || number > max)
    wrong(key, "must be from " + std::to_string(min) + " to " + std::to_string(max));
  return number;
}

Duration Config::duration(const std::string& key) const {
  const auto parsed = parse_duration(required(key));
  if (!parsed) wrong(key, "is not a duration such as 250ms, 10s, 5m, 24h");
  if (*parsed < Duration::zero()) wrong(key, "is negative");
  if (*parsed > kLongest) wrong(key, "is longer than 100 years");
  return *parsed;
}

std::uint64_t Config::bytes(const std::string& key) const {
  const auto parsed = parse_bytes(required(key));
  if (!parsed) wrong(key, "is not a size such as 64KiB, 256MiB, 1GiB");
  return *parsed;
}

std::vector<std::string> Config::list(const std::string& key) const {
  std::vector<std::string> items;
  std::string item;
  for (const char c : text(key) + ",") {
    if (c != ',') {
      if (c != ' ' || !item.empty()) item += c;
      continue;
    }
    while (item.ends_with(' ')) item.pop_back();
    if (!item.empty()) items.push_back(std::exchange(item, {}));
  }
  return items;
}

std::string Config::choice(const std::string& key, const std::vector<std::string>& choices) const {
  const std::string value = text(key);
  if (std::find(choices.begin(), choices.end(), value) != choices.end()) return value;
  std::string all;
  for (const std::string& c : choices) all += (all.empty() ? "" : ", ") + c;
  wrong(key, "is none of " + all);
}

std::map<std::string, std::string> Config::below(const std::string& prefix) const {
  std::map<std::string, std::string> found;
  for (const auto* layer : {&file_, &environment_, &set_}) {
    for (auto it = layer->lower_bound(prefix + ".");
         it != layer->end() && it->first.starts_with(prefix + "."); ++it) {
      found[it->first.substr(prefix.size() + 1)] = it->second.text;
    }
  }
  return found;
}

std::vector<Config::Effective> Config::effective() const {
  std::set<std::string> keys;
  for (const ConfigKey& k : known_) {
    if (!k.name.ends_with(".*") && maybe(k.name)) keys.insert(k.name);
  }
  for (const auto* layer : {&file_, &environment_, &set_}) {
    for (const auto& [key, value] : *layer) keys.insert(key);
  }
  std::vector<Effective> all;
  for (const std::string& key : keys) {
    const ConfigValue* found = find(key);
    all.push_back({key, is_secret(key) ? "***" : without_password(text(key)),
                   found != nullptr ? found->origin : "default"});
  }
  return all;
}

std::string Config::print() const {
  std::string printed;
  for (const Effective& setting : effective()) {
    YAML::Emitter value;
    value << setting.value;
    printed += setting.key + ": " + value.c_str() + "  # " + setting.origin + "\n";
  }
  return printed;
}

}  // namespace tidemill
