#include "connectors/formats/json_reader.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <optional>
#include <simdjson.h>
#include <system_error>
#include <utility>

#include "connectors/formats/iso_time.h"
#include "engine/base/error.h"

namespace tidemill {
namespace {

namespace ondemand = simdjson::ondemand;

static_assert(simdjson::SIMDJSON_PADDING <= kJsonPadding);

constexpr int kMaxDepth = 256;
constexpr std::size_t kKeptBytes = 1u
                                   << 20;  // a parser that had to grow beyond this is dropped again

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

// The grammar of RFC 8259 section 6.
bool is_number(std::string_view text) {
  std::size_t i = 0;
  const auto is_digit = [&] { return i < text.size() && text[i] >= '0' && text[i] <= '9'; };
  const auto skip_digits = [&] {
    if (!is_digit()) return false;
    while (is_digit()) ++i;
    return true;
  };
  if (i < text.size() && text[i] == '-') ++i;
  if (i < text.size() && text[i] == '0') {
    ++i;
  } else if (!skip_digits()) {
    return false;
  }
  if (i < text.size() && text[i] == '.') {
    ++i;
    if (!skip_digits()) return false;
  }
  if (i < text.size() && (text[i] == 'e' || text[i] == 'E')) {
    ++i;
    if (i < text.size() && (text[i] == '+' || text[i] == '-')) ++i;
    if (!skip_digits()) return false;
  }
  return i == text.size();
}

bool is_literal(std::string_view token) {
  return token == "true" || token == "false" || token == "null";
}

bool starts_number(char c) { return c == '-' || (c >= '0' && c <= '9'); }

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

// Walks one object with simdjson's on-demand interface. A scalar is judged by its token, the bytes
// up to the next structural character, because simdjson by itself checks only what is asked for.
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

  Decoded read(std::string_view record, JsonPadding padding, void* row) {
    if (record.size() > limits_.max_bytes) {
      return {JsonFault::kTooLarge, {}, limits_.max_bytes, "the record is longer than the limit"};
    }
    if (padding == JsonPadding::kNone) record = padded(record);
    begin_ = record.data();
    end_ = begin_ + record.size();
    row_ = static_cast<char*>(row);
    const bool is_good = read_record(record);
    if (record.size() > kKeptBytes) shrink();
    return is_good ? Decoded{} : fault_;
  }

 private:
  std::string_view padded(std::string_view record) {
    if (record.size() > copy_capacity_) {
      copy_capacity_ = std::max<std::size_t>(1024, 2 * record.size());
      copy_ = std::make_unique<char[]>(copy_capacity_ + kJsonPadding);
    }
    if (!record.empty()) std::memcpy(copy_.get(), record.data(), record.size());
    if (copy_) std::memset(copy_.get() + record.size(), 0, kJsonPadding);
    return {copy_.get(), record.size()};
  }

  void shrink() {
    parser_ = ondemand::parser();
    copy_.reset();
    copy_capacity_ = 0;
  }

  bool read_record(std::string_view record) {
    if (record.empty()) return fail(JsonFault::kMalformed, {}, 0, "the record is empty");
    ondemand::document document;
    const auto readable = record.size() + simdjson::SIMDJSON_PADDING;
    if (const auto error = parser_.iterate(record.data(), record.size(), readable).get(document))
      return malformed(error);
    ondemand::object object;
    if (const auto error = document.get_object().get(object)) {
      const std::size_t start = std::min(record.size(), record.find_first_not_of(" \t\r\n"));
      if (begins_other_value(trimmed(record.substr(start)))) {
        return fail(JsonFault::kNotObject, {}, start, "a record is one JSON object");
      }
      return malformed(error);
    }
    if (++generation_ == 0) {
      std::fill(seen_.begin(), seen_.end(), 0u);
      generation_ = 1;
    }
    if (!read_fields(object)) return false;
    // At the very end there is no location any more.
    if (const char* rest = nullptr; document.current_location().get(rest) == simdjson::SUCCESS) {
      return fail(JsonFault::kMalformed, {}, offset(rest), "there is more behind the object");
    }
    return settle_absent();
  }

  bool read_fields(ondemand::object& object) {
    for (auto item : object) {
      ondemand::field field;
      if (const auto error = std::move(item).get(field)) return malformed(error);
      std::size_t slot = slots_.size();
      if (!find_slot(field, slot)) return false;
      ondemand::value value = field.value();
      if (slot == slots_.size()) {
        if (!check(value, 1)) return false;
        continue;
      }
      seen_[slot] = generation_;
      if (!read_value(slots_[slot], value)) return false;
    }
    return true;
  }

  bool read_name(ondemand::field& field, std::string_view& name) {
    const char* raw = field.key().raw();
    const char* end = raw;
    while (*end != '"' && *end != '\\')
      ++end;  // the first pass of simdjson has seen the closing quote
    name = {raw, static_cast<std::size_t>(end - raw)};
    if (*end == '"' || field.unescaped_key().get(name) == simdjson::SUCCESS) return true;
    return fail(JsonFault::kMalformed, {}, offset(raw), "a field name has a wrong escape");
  }

  // Finds the member for a field's name; leaves `slot` alone for an unknown one.
  bool find_slot(ondemand::field& field, std::size_t& slot) {
    const char* raw = field.key().raw();
    // Records of one stream have their fields in the same order, so the one expected is nearly
    // always the one met. Reading beyond the name is reading beyond the record by less than the
    // padding.
    if (next_ < slots_.size()) {
      const std::string& name = slots_[next_].name;
      if (name.size() < kJsonPadding && raw[name.size()] == '"' &&
          std::memcmp(raw, name.data(), name.size()) == 0 && !has_backslash(name)) {
        slot = next_++;
        return true;
      }
    }
    std::string_view name;
    if (!read_name(field, name)) return false;
    for (std::size_t i = 0; i < slots_.size(); ++i) {
      if (slots_[i].name == name) {
        slot = i;
        next_ = i + 1;
        break;
      }
    }
    return true;
  }

  bool read_value(const JsonSlot& slot, ondemand::value& value) {
    char* member = row_ + slot.offset;
    switch (slot.kind) {
      case JsonKind::kBool: return read_as<bool>(slot, value, member);
      case JsonKind::kInt64: return read_as<std::int64_t>(slot, value, member);
      case JsonKind::kUint64: return read_as<std::uint64_t>(slot, value, member);
      case JsonKind::kDouble: return read_as<double>(slot, value, member);
      case JsonKind::kString: return read_as<std::string>(slot, value, member);
      case JsonKind::kEventTime: return read_as<EventTime>(slot, value, member);
    }
    return true;
  }

  template <class M>
  bool read_as(const JsonSlot& slot, ondemand::value& value, char* member) {
    const std::string_view token = token_of(value);
    if (token.empty()) return no_value(end_);
    if (!slot.is_optional) return read_scalar(slot, value, token, *reinterpret_cast<M*>(member));
    auto& optional = *reinterpret_cast<std::optional<M>*>(member);
    if (token == "null") {
      optional.reset();
      return true;
    }
    if (!optional) optional.emplace();
    return read_scalar(slot, value, token, *optional);
  }

  bool read_scalar(const JsonSlot& slot, ondemand::value&, std::string_view token, bool& out) {
    out = token == "true";
    return out || token == "false" || wrong(slot, token, "wanted true or false");
  }

  bool read_scalar(const JsonSlot& slot, ondemand::value& value, std::string_view token,
                   std::int64_t& out) {
    return value.get_int64().get(out) == simdjson::SUCCESS || read_whole(slot, token, out);
  }

  bool read_scalar(const JsonSlot& slot, ondemand::value& value, std::string_view token,
                   std::uint64_t& out) {
    return value.get_uint64().get(out) == simdjson::SUCCESS || read_whole(slot, token, out);
  }

  bool read_scalar(const JsonSlot& slot, ondemand::value& value, std::string_view token,
                   double& out) {
    // simdjson 3.0.1 reads a fraction of more than 19 digits behind a leading zero wrongly, so it
    // gets the short numbers only.
    if (token.size() <= 18 && value.get_double().get(out) == simdjson::SUCCESS) return true;
    if (!is_number(token)) return wrong(slot, token, "wanted a number");
    const char* end = token.data() + token.size();
    if (std::from_chars(token.data(), end, out).ec == std::errc()) return true;
    // Too large or too small for from_chars; simdjson refuses only what is too large.
    out = 0;
    double too_small = 0;
    return value.get_double().get(too_small) == simdjson::SUCCESS ||
           out_of_range(slot, token, "the number does not fit 64-bit floating point");
  }

  bool read_scalar(const JsonSlot& slot, ondemand::value& value, std::string_view token,
                   std::string& out) {
    if (token[0] != '"') return wrong(slot, token, "wanted a text");
    std::string_view content;
    if (!unquote(value, token, content)) return bad_escape(token, slot.name);
    out.assign(content);
    return true;
  }

  bool read_scalar(const JsonSlot& slot, ondemand::value& value, std::string_view token,
                   EventTime& out) {
    if (token[0] == '"') {
      std::string_view content;
      if (!unquote(value, token, content)) return bad_escape(token, slot.name);
      const std::optional<EventTime> time = parse_iso_time(content);
      if (time) out = *time;
      return time || fail(JsonFault::kBadTime, slot.name, offset(token.data()),
                          "wanted an ISO 8601 time with a zone, as 2026-01-01T00:00:00.123Z");
    }
    if (!read_scalar(slot, value, token, out.ms)) return false;
    return out.is_finite() ||
           out_of_range(slot, token, "the time is beyond what 64-bit milliseconds hold");
  }

  // An integer that is not written as one: 3.0, 3e2. Everything else is a fault.
  template <class M>
  bool read_whole(const JsonSlot& slot, std::string_view token, M& out) {
    if (!is_number(token)) return wrong(slot, token, "wanted a whole number");
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

  // The bytes of a value up to the next structural character, empty at the end of the record: there
  // simdjson would go on reading.
  std::string_view token_of(ondemand::value& value) const {
    const std::string_view token = value.raw_json_token();
    if (token.data() < begin_ || token.data() >= end_) return {};
    return trimmed(token.substr(0, static_cast<std::size_t>(end_ - token.data())));
  }

  // The content of a text token. Without escapes it is viewed where it stands.
  static bool unquote(ondemand::value& value, std::string_view token, std::string_view& content) {
    if (token.size() < 2) return false;
    content = token.substr(1, token.size() - 2);
    if (has_backslash(content)) return value.get_string().get(content) == simdjson::SUCCESS;
    // Taken, because what simdjson skips by itself may be taken for a field name.
    ondemand::raw_json_string taken;
    return value.get_raw_json_string().get(taken) == simdjson::SUCCESS;
  }

  // Checks a value that is not wanted: simdjson alone would skip over it by counting brackets.
  bool check(ondemand::value value, int depth) {
    const std::string_view token = token_of(value);
    if (token.empty()) return no_value(end_);
    const char first = token[0];
    if (first == '{' || first == '[') {
      if (depth == kMaxDepth)
        return fail(JsonFault::kTooDeep, {}, offset(token.data()),
                    "values are nested deeper than 256 levels");
      return first == '{' ? check_object(value, depth) : check_array(value, depth);
    }
    if (first == '"') {
      std::string_view content;
      return unquote(value, token, content) || bad_escape(token, {});
    }
    if (is_number(token) || is_literal(token)) return true;
    return no_value(token.data());
  }

  bool check_object(ondemand::value& value, int depth) {
    ondemand::object object;
    if (const auto error = value.get_object().get(object)) return malformed(error);
    for (auto item : object) {
      ondemand::field field;
      if (const auto error = std::move(item).get(field)) return malformed(error);
      std::string_view name;
      if (!read_name(field, name)) return false;
      if (!check(field.value(), depth + 1)) return false;
    }
    return true;
  }

  bool check_array(ondemand::value& value, int depth) {
    ondemand::array array;
    if (const auto error = value.get_array().get(array)) return malformed(error);
    for (auto item : array) {
      ondemand::value element;
      if (const auto error = std::move(item).get(element)) return malformed(error);
      if (!check(element, depth + 1)) return false;
    }
    return true;
  }

  bool settle_absent() {
    for (std::size_t i = 0; i < slots_.size(); ++i) {
      if (seen_[i] == generation_) continue;
      if (!slots_[i].is_optional)
        return fail(JsonFault::kMissingField, slots_[i].name, Decoded::kNowhere, "");
      clear_optional(slots_[i]);
    }
    next_ = 0;
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
                          (starts_number(first) && is_number(token));
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

  bool malformed(simdjson::error_code error) {
    switch (error) {
      case simdjson::UTF8_ERROR: return fail(JsonFault::kNotUtf8, {}, Decoded::kNowhere, "");
      case simdjson::UNESCAPED_CHARS:
        return fail(JsonFault::kMalformed, {}, Decoded::kNowhere,
                    "a text contains a control character");
      case simdjson::UNCLOSED_STRING:
        return fail(JsonFault::kMalformed, {}, Decoded::kNowhere, "a text has no closing quote");
      case simdjson::CAPACITY:
      case simdjson::MEMALLOC:
        return fail(JsonFault::kTooLarge, {}, Decoded::kNowhere, "there is no memory to parse it");
      case simdjson::INCOMPLETE_ARRAY_OR_OBJECT:
        return fail(JsonFault::kMalformed, {}, Decoded::kNowhere, "the object does not end");
      default:
        return fail(JsonFault::kMalformed, {}, Decoded::kNowhere,
                    "a comma, colon, quote or bracket is missing or misplaced");
    }
  }

  const std::vector<JsonSlot> slots_;
  const JsonLimits limits_;
  ondemand::parser parser_;
  std::unique_ptr<char[]> copy_;
  std::size_t copy_capacity_ = 0;
  std::vector<std::uint32_t> seen_;  // per slot the generation that last met it
  std::uint32_t generation_ = 0;
  std::size_t next_ = 0;  // the slot the next field probably fills
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

Decoded JsonReader::read(std::string_view record, JsonPadding padding, void* row) {
  return parser_->read(record, padding, row);
}

}  // namespace tidemill
