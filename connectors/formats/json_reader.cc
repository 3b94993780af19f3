#include "connectors/formats/json_reader.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <optional>
#include <simdjson.h>
#include <utility>

#include "connectors/formats/iso_time.h"
#include "connectors/formats/json_number_internal.h"
#include "engine/base/error.h"

namespace tidemill {
namespace {

constexpr int kMaxDepth = 256;
constexpr std::size_t kKeptBytes = 1u
                                   << 20;  // a parser that had to grow beyond this is dropped again
// Names of fields are remembered up to so many, none longer than this.
constexpr std::size_t kKnownNames = 64;
constexpr std::size_t kKnownNameBytes = 128;

std::string_view trimmed(std::string_view token) {
  while (!token.empty() && (token.back() == ' ' || token.back() == '\t' || token.back() == '\n' ||
                            token.back() == '\r')) {
    token.remove_suffix(1);
  }
  return token;
}

bool has_backslash(std::string_view text) {
  return std::memchr(text.data(), '\\', text.size()) != nullptr;
}

bool is_literal(std::string_view token) {
  return token == "true" || token == "false" || token == "null";
}

bool starts_number(char c) { return c == '-' || is_json_digit(c); }

bool begins_other_value(std::string_view text) {
  const char first = text.empty() ? '\0' : text[0];
  return first == '[' || first == '"' || starts_number(first) || is_literal(text);
}

}  // namespace

std::string_view name_of(JsonFault fault) {
  switch (fault) {
    case JsonFault::kNone: return "none";
    case JsonFault::kMalformed: return "malformed";
    case JsonFault::kNotUtf8: return "not_utf8";
    case JsonFault::kNotObject: return "not_object";
    case JsonFault::kMissingField: return "missing_field";
    case JsonFault::kMistyped: return "mistyped";
    case JsonFault::kOutOfRange: return "out_of_range";
    case JsonFault::kBadTime: return "bad_time";
    case JsonFault::kTooLarge: return "too_large";
    case JsonFault::kTooDeep: return "too_deep";
  }
  return "none";
}

std::string Decoded::text() const {
  std::string text(name_of(fault));
  std::replace(text.begin(), text.end(), '_', ' ');
  if (*detail != '\0') text.append(": ").append(detail);
  if (field.empty() && position == kNowhere) return text;
  text += " (";
  if (!field.empty()) text.append("field ").append(field);
  if (position != kNowhere)
    text.append(field.empty() ? "byte " : ", byte ").append(std::to_string(position));
  return text += ')';
}

// Walks the tokens of one object. Where they begin is found by simdjson's first pass, which also
// checks UTF-8, that texts are closed and that no control character stands in them; everything else
// is checked here, token by token, the fields that nobody asked for included. A token goes up to
// the next one, so only the bytes of the record are ever read.
class JsonReader::Parser {
 public:
  Parser(std::vector<JsonSlot> slots, JsonLimits limits)
      : slots_(std::move(slots)), limits_(limits), seen_(slots_.size(), 0) {
    for (std::size_t i = 0; i < slots_.size(); ++i) {
      for (std::size_t j = 0; j < i; ++j) {
        if (slots_[i].name == slots_[j].name) {
          throw Error(ErrorCode::kConfig,
                      "two members are listed for the same JSON field: " + slots_[i].name);
        }
      }
    }
  }

  Decoded read(std::string_view record, void* row) {
    if (record.size() > limits_.max_bytes) {
      return {JsonFault::kTooLarge, {}, limits_.max_bytes, "the record is longer than the limit"};
    }
    begin_ = record.data();
    end_ = begin_ + record.size();
    row_ = static_cast<char*>(row);
    const bool is_good = read_record(record);
    if (record.size() > kKeptBytes) {
      pass_.reset();
      escaped_ = std::string();  // `= {}` would keep its memory
      unescaped_ = std::string();
    }
    return is_good ? Decoded{} : fault_;
  }

 private:
  // A name as it stands in records, with its quotes, and the member it fills, if any.
  struct Known {
    std::string token;
    std::size_t slot;
  };

  bool read_record(std::string_view record) {
    if (record.empty()) return fail(JsonFault::kMalformed, {}, 0, "the record is empty");
    if (const auto error = find_tokens(record)) return malformed(error);
    if (begin_[*next_] != '{') {
      const std::size_t start = *next_;
      if (begins_other_value(trimmed(record.substr(start)))) {
        return fail(JsonFault::kNotObject, {}, start, "a record is one JSON object");
      }
      return misplaced();
    }
    ++next_;
    if (++generation_ == 0) {
      std::fill(seen_.begin(), seen_.end(), 0u);
      generation_ = 1;
    }
    num_seen_ = 0;
    expected_ = 0;
    if (!read_fields()) return false;
    if (next_ != stop_) {
      return fail(JsonFault::kMalformed, {}, *next_, "there is more behind the object");
    }
    return num_seen_ == slots_.size() || settle_absent();
  }

  simdjson::error_code find_tokens(std::string_view record) {
    if (!pass_ || pass_->capacity() < record.size()) {
      const std::size_t capacity = std::max<std::size_t>(1024, 2 * record.size());
      if (const auto error =
              simdjson::get_active_implementation()->create_dom_parser_implementation(capacity, 1,
                                                                                      pass_))
        return error;
    }
    const auto error = pass_->stage1(reinterpret_cast<const std::uint8_t*>(record.data()),
                                     record.size(), simdjson::stage1_mode::regular);
    next_ = pass_->structural_indexes.get();
    stop_ = next_ + pass_->n_structural_indexes;
    return error == simdjson::SUCCESS && next_ == stop_ ? simdjson::EMPTY : error;
  }

  // The next token without the white space behind it; empty at the end of the record.
  std::string_view take_token() {
    if (next_ == stop_) return {};
    const char* begin = begin_ + *next_++;
    const char* end = next_ == stop_ ? end_ : begin_ + *next_;
    return trimmed({begin, static_cast<std::size_t>(end - begin)});
  }

  bool take(char c) {
    if (next_ == stop_ || begin_[*next_] != c) return false;
    ++next_;
    return true;
  }

  bool read_fields() {
    if (take('}')) return true;
    while (true) {
      if (next_ == stop_ || begin_[*next_] != '"') return misplaced();
      std::size_t slot = slots_.size();
      if (!find_slot(take_token(), slot)) return false;
      if (!take(':')) return misplaced();
      if (slot == slots_.size()) {
        if (!check(1)) return false;
      } else {
        if (seen_[slot] != generation_) ++num_seen_;
        seen_[slot] = generation_;
        if (!read_value(slots_[slot])) return false;
      }
      if (take('}')) return true;
      if (!take(',')) return misplaced();
    }
  }

  // Finds the member for a field's name; leaves `slot` alone for an unknown one. Records of one
  // stream have the same fields in the same order, so the name met is nearly always the one behind
  // the last.
  bool find_slot(std::string_view token, std::size_t& slot) {
    for (std::size_t tried = 0; tried < known_.size(); ++tried) {
      if (expected_ >= known_.size()) expected_ = 0;
      const Known& known = known_[expected_++];
      if (known.token == token) {
        slot = known.slot;
        return true;
      }
    }
    std::string_view name;
    if (!unquote(token, name))
      return fail(JsonFault::kMalformed, {}, offset(token.data()) + 1,
                  "a field name has a wrong escape");
    const auto found = std::ranges::find(slots_, name, &JsonSlot::name);
    slot = static_cast<std::size_t>(found - slots_.begin());
    if (known_.size() < kKnownNames && token.size() <= kKnownNameBytes) {
      known_.push_back({std::string(token), slot});
      expected_ = known_.size();
    }
    return true;
  }

  bool read_value(const JsonSlot& slot) {
    char* member = row_ + slot.offset;
    switch (slot.kind) {
      case JsonKind::kBool: return read_as<bool>(slot, member);
      case JsonKind::kInt64: return read_as<std::int64_t>(slot, member);
      case JsonKind::kUint64: return read_as<std::uint64_t>(slot, member);
      case JsonKind::kDouble: return read_as<double>(slot, member);
      case JsonKind::kString: return read_as<std::string>(slot, member);
      case JsonKind::kEventTime: return read_as<EventTime>(slot, member);
    }
    return true;
  }

  template <class M>
  bool read_as(const JsonSlot& slot, char* member) {
    const std::string_view token = take_token();
    if (token.empty()) return no_value(end_);
    if (!slot.is_optional) return read_scalar(slot, token, *reinterpret_cast<M*>(member));
    auto& optional = *reinterpret_cast<std::optional<M>*>(member);
    if (token == "null") {
      optional.reset();
      return true;
    }
    if (!optional) optional.emplace();
    return read_scalar(slot, token, *optional);
  }

  bool read_scalar(const JsonSlot& slot, std::string_view token, bool& out) {
    out = token == "true";
    return out || token == "false" || wrong(slot, token, "wanted true or false");
  }

  bool read_scalar(const JsonSlot& slot, std::string_view token, std::int64_t& out) {
    return read_json_integer(token, out) || read_whole(slot, token, out);
  }

  bool read_scalar(const JsonSlot& slot, std::string_view token, std::uint64_t& out) {
    return read_json_integer(token, out) || read_whole(slot, token, out);
  }

  bool read_scalar(const JsonSlot& slot, std::string_view token, double& out) {
    if (read_short_fraction(token, out)) return true;
    if (!is_json_number(token)) return wrong(slot, token, "wanted a number");
    return read_json_double(token, out) ||
           out_of_range(slot, token, "the number does not fit 64-bit floating point");
  }

  bool read_scalar(const JsonSlot& slot, std::string_view token, std::string& out) {
    if (token[0] != '"') return wrong(slot, token, "wanted a text");
    std::string_view content;
    if (!unquote(token, content)) return bad_escape(token, slot.name);
    out.assign(content);
    return true;
  }

  bool read_scalar(const JsonSlot& slot, std::string_view token, EventTime& out) {
    if (token[0] == '"') {
      std::string_view content;
      if (!unquote(token, content)) return bad_escape(token, slot.name);
      const std::optional<EventTime> time = parse_iso_time(content);
      if (time) out = *time;
      return time || fail(JsonFault::kBadTime, slot.name, offset(token.data()),
                          "wanted an ISO 8601 time with a zone, as 2026-01-01T00:00:00.123Z");
    }
    if (!read_scalar(slot, token, out.ms)) return false;
    return out.is_finite() ||
           out_of_range(slot, token, "the time is beyond what 64-bit milliseconds hold");
  }

  // An integer that is not written as one: 3.0, 3e2. Everything else is a fault.
  template <class M>
  bool read_whole(const JsonSlot& slot, std::string_view token, M& out) {
    if (!is_json_number(token)) return wrong(slot, token, "wanted a whole number");
    const bool is_integer = token.find_first_of(".eE") == std::string_view::npos;
    double value = 0;
    const auto parsed = std::from_chars(token.data(), token.data() + token.size(), value);
    const bool is_small = parsed.ec == std::errc() && std::abs(value) < kExactIntegers;
    if (is_integer && token == "-0") {  // an unsigned one
      out = 0;
      return true;
    }
    if (is_integer || !is_small || (std::is_unsigned_v<M> && value < 0)) {
      return out_of_range(slot, token,
                          std::is_unsigned_v<M> ? "the number does not fit 64 bits without sign"
                                                : "the number does not fit 64 bits");
    }
    if (std::trunc(value) != value)
      return wrong(slot, token, "wanted a whole number, without a fraction");
    out = static_cast<M>(value);
    return true;
  }

  // The content of a text token, viewed where it stands or, with escapes, in `unescaped_`.
  bool unquote(std::string_view token, std::string_view& content) {
    if (token.size() < 2 || token.back() != '"') return false;
    content = token.substr(1, token.size() - 2);
    return !has_backslash(content) || unescape(content);
  }

  bool unescape(std::string_view& content) {
    // simdjson reads and writes by blocks, beyond the quote.
    escaped_.assign(content).append(1, '"').append(simdjson::SIMDJSON_PADDING, ' ');
    unescaped_.resize(content.size() + simdjson::SIMDJSON_PADDING);
    auto* to = reinterpret_cast<std::uint8_t*>(unescaped_.data());
    const std::uint8_t* end =
        pass_->parse_string(reinterpret_cast<const std::uint8_t*>(escaped_.data()), to);
    if (end == nullptr) return false;
    content = {unescaped_.data(), static_cast<std::size_t>(end - to)};
    return true;
  }

  // Checks a value that is not wanted.
  bool check(int depth) {
    const std::string_view token = take_token();
    if (token.empty()) return no_value(end_);
    const char first = token[0];
    if (first == '"') {
      std::string_view content;
      return unquote(token, content) || bad_escape(token, {});
    }
    if (first == '{' || first == '[') {
      if (depth == kMaxDepth)
        return fail(JsonFault::kTooDeep, {}, offset(token.data()),
                    "values are nested deeper than 256 levels");
      return first == '{' ? check_object(depth) : check_array(depth);
    }
    return is_json_number(token) || is_literal(token) || no_value(token.data());
  }

  bool check_object(int depth) {
    if (take('}')) return true;
    while (true) {
      if (next_ == stop_ || begin_[*next_] != '"') return misplaced();
      const std::string_view token = take_token();
      std::string_view name;
      if (!unquote(token, name)) {
        return fail(JsonFault::kMalformed, {}, offset(token.data()) + 1,
                    "a field name has a wrong escape");
      }
      if (!take(':')) return misplaced();
      if (!check(depth + 1)) return false;
      if (take('}')) return true;
      if (!take(',')) return misplaced();
    }
  }

  bool check_array(int depth) {
    if (take(']')) return true;
    while (true) {
      if (!check(depth + 1)) return false;
      if (take(']')) return true;
      if (!take(',')) return misplaced();
    }
  }

  bool settle_absent() {
    for (std::size_t i = 0; i < slots_.size(); ++i) {
      if (seen_[i] == generation_) continue;
      if (!slots_[i].is_optional)
        return fail(JsonFault::kMissingField, slots_[i].name, Decoded::kNowhere, "");
      clear_optional(slots_[i]);
    }
    return true;
  }

  void clear_optional(const JsonSlot& slot) {
    char* member = row_ + slot.offset;
    switch (slot.kind) {
      case JsonKind::kBool: reinterpret_cast<std::optional<bool>*>(member)->reset(); break;
      case JsonKind::kInt64: reinterpret_cast<std::optional<std::int64_t>*>(member)->reset(); break;
      case JsonKind::kUint64:
        reinterpret_cast<std::optional<std::uint64_t>*>(member)->reset();
        break;
      case JsonKind::kDouble: reinterpret_cast<std::optional<double>*>(member)->reset(); break;
      case JsonKind::kString: reinterpret_cast<std::optional<std::string>*>(member)->reset(); break;
      case JsonKind::kEventTime:
        reinterpret_cast<std::optional<EventTime>*>(member)->reset();
        break;
    }
  }

  // Everything below returns false when the record is bad, and says why here.
  bool fail(JsonFault fault, std::string_view field, std::size_t position, const char* detail) {
    fault_ = {fault, field, position, detail};
    return false;
  }
  [[nodiscard]] std::size_t offset(const char* at) const {
    return static_cast<std::size_t>(at - begin_);
  }

  // A value of another kind than the member, or none at all.
  bool wrong(const JsonSlot& slot, std::string_view token, const char* wanted) {
    const char first = token.empty() ? '\0' : token[0];
    const bool is_value = first == '"' || first == '{' || first == '[' || is_literal(token) ||
                          (starts_number(first) && is_json_number(token));
    return fail(is_value ? JsonFault::kMistyped : JsonFault::kMalformed, slot.name,
                offset(token.data()), wanted);
  }
  bool no_value(const char* at) {
    return fail(JsonFault::kMalformed, {}, offset(at), "a value is missing or wrong");
  }
  bool out_of_range(const JsonSlot& slot, std::string_view token, const char* detail) {
    return fail(JsonFault::kOutOfRange, slot.name, offset(token.data()), detail);
  }
  bool bad_escape(std::string_view token, std::string_view field) {
    return fail(JsonFault::kMalformed, field, offset(token.data()), "a text has a wrong escape");
  }

  // Something else stands where the next token should be, or nothing.
  bool misplaced() {
    if (next_ == stop_)
      return fail(JsonFault::kMalformed, {}, offset(end_), "the object does not end");
    return fail(JsonFault::kMalformed, {}, *next_,
                "a comma, colon, quote or bracket is missing or misplaced");
  }

  bool malformed(simdjson::error_code error) {
    switch (error) {
      case simdjson::UTF8_ERROR: return fail(JsonFault::kNotUtf8, {}, Decoded::kNowhere, "");
      case simdjson::UNESCAPED_CHARS:
        return fail(JsonFault::kMalformed, {}, Decoded::kNowhere,
                    "a text contains a control character");
      case simdjson::UNCLOSED_STRING:
        return fail(JsonFault::kMalformed, {}, Decoded::kNowhere, "a text has no closing quote");
      case simdjson::EMPTY:
        return fail(JsonFault::kMalformed, {}, 0, "the record holds nothing but white space");
      case simdjson::CAPACITY:
      case simdjson::MEMALLOC:
        return fail(JsonFault::kTooLarge, {}, Decoded::kNowhere, "there is no memory to parse it");
      default: return fail(JsonFault::kMalformed, {}, Decoded::kNowhere, "it cannot be parsed");
    }
  }

  const std::vector<JsonSlot> slots_;
  const JsonLimits limits_;
  std::unique_ptr<simdjson::internal::dom_parser_implementation> pass_;
  const std::uint32_t* next_ = nullptr;  // where the next token begins in the record
  const std::uint32_t* stop_ = nullptr;
  std::vector<Known> known_;         // in the order in which they were first met
  std::size_t expected_ = 0;         // the name that comes next, probably
  std::vector<std::uint32_t> seen_;  // per slot the generation that last met it
  std::uint32_t generation_ = 0;
  std::size_t num_seen_ = 0;
  std::string escaped_;
  std::string unescaped_;
  const char* begin_ = nullptr;
  const char* end_ = nullptr;
  char* row_ = nullptr;
  Decoded fault_;
};

JsonReader::JsonReader(std::vector<JsonSlot> slots, JsonLimits limits)
    : parser_(std::make_unique<Parser>(std::move(slots), limits)) {}
JsonReader::~JsonReader() = default;
JsonReader::JsonReader(JsonReader&&) noexcept = default;
JsonReader& JsonReader::operator=(JsonReader&&) noexcept = default;

Decoded JsonReader::read(std::string_view record, void* row) { return parser_->read(record, row); }

}  // namespace tidemill
