#include "state/stored_type.h"

#include <algorithm>
#include <cstdlib>
#include <cxxabi.h>
#include <memory>
#include <set>

#include "engine/base/error.h"

namespace tidemill {
namespace {

using Kind = StoredType::Kind;

constexpr int kMostNested = 64;

Error damaged(const std::string& what) {
  return Error(ErrorCode::kCorrupt, "stored type is damaged: " + what);
}

bool has_width(Kind kind) {
  return kind == Kind::kNumber || kind == Kind::kEnum || kind == Kind::kFloat;
}

// How many parts a type of this kind has; nothing: it says so itself.
int num_parts(Kind kind) {
  switch (kind) {
    case Kind::kOptional:
    case Kind::kArray:
    case Kind::kVector:
    case Kind::kSet: return 1;
    case Kind::kMap: return 2;
    case Kind::kTuple:
    case Kind::kStruct:
    case Kind::kOwn:
    case Kind::kRecord:
    case Kind::kShown:
    case Kind::kTail: return -1;
    default: return 0;
  }
}

bool has_names(Kind kind) { return kind == Kind::kStruct || kind == Kind::kRecord; }

StoredType decode_nested(ByteReader& in, int depth) {
  if (depth > kMostNested) throw damaged("nested too deeply");
  StoredType type;
  const std::uint8_t kind = in.u8();
  if (kind < static_cast<std::uint8_t>(Kind::kBool) ||
      kind > static_cast<std::uint8_t>(Kind::kShown))
    throw damaged("unknown kind " + std::to_string(kind) + "; written by a newer version?");
  type.kind = static_cast<Kind>(kind);
  if (has_width(type.kind)) {
    const std::uint8_t width = in.u8();
    type.is_signed = (width & 0x80) != 0;
    type.width = width & 0x7F;
    const bool is_float = type.kind == Kind::kFloat && (type.width == 4 || type.width == 8);
    const bool is_number =
        type.kind != Kind::kFloat && (type.width == 1 || type.width == 2 || type.width == 4 ||
                                      type.width == 8 || type.width == 16);
    if (!is_float && !is_number)
      throw damaged("number of " + std::to_string(type.width) + " bytes");
  }
  if (type.kind == Kind::kArray || type.kind == Kind::kSelf) type.count = in.varint();
  if (type.kind == Kind::kSelf && type.count == 0) throw damaged("a part of itself");
  const bool is_shown = type.kind == Kind::kShown;
  if (is_shown) type.kind = Kind::kOwn;
  if (type.kind == Kind::kOwn) type.name = std::string(in.sized());
  const int fixed = num_parts(type.kind);
  const std::uint64_t parts = fixed >= 0 ? static_cast<std::uint64_t>(fixed) : in.varint();
  if (parts > in.size() || (parts == 0 && type.kind == Kind::kTail))
    throw damaged(std::to_string(parts) + " parts");
  for (std::uint64_t i = 0; i < parts; ++i) {
    StoredField& part = type.parts.emplace_back();
    if (has_names(type.kind)) part.id = std::string(in.sized());
    part.type = decode_nested(in, depth + 1);
  }
  if (is_shown) type.layout.push_back(decode_nested(in, depth + 1));
  return type;
}

std::string integer_text(const StoredType& type) {
  return (type.is_signed ? "int" : "uint") + std::to_string(8 * type.width);
}

std::string parts_text(const StoredType& type) {
  std::string text;
  for (const StoredField& part : type.parts) {
    if (!text.empty()) text += ", ";
    if (!part.id.empty()) text += part.id + ": ";
    text += to_text(part.type);
  }
  return text;
}

}  // namespace

namespace {

void encode_type(Bytes& out, const StoredType& type, bool with_layouts) {
  const bool is_shown = with_layouts && !type.layout.empty();
  append_u8(out, static_cast<std::uint8_t>(is_shown ? Kind::kShown : type.kind));
  if (has_width(type.kind))
    append_u8(out, static_cast<std::uint8_t>(type.width | (type.is_signed ? 0x80 : 0)));
  if (type.kind == Kind::kArray || type.kind == Kind::kSelf) append_varint(out, type.count);
  if (type.kind == Kind::kOwn) append_sized(out, type.name);
  if (num_parts(type.kind) < 0) append_varint(out, type.parts.size());
  for (const StoredField& part : type.parts) {
    if (has_names(type.kind)) append_sized(out, part.id);
    encode_type(out, part.type, with_layouts);
  }
  if (is_shown) encode_type(out, type.layout.front(), with_layouts);
}

}  // namespace

void encode(Bytes& out, const StoredType& type) { encode_type(out, type, false); }

Bytes encode_shown(const StoredType& type) {
  Bytes out;
  encode_type(out, type, true);
  return out;
}

bool has_layout(const StoredType& type) {
  return !type.layout.empty() ||
         std::any_of(type.parts.begin(), type.parts.end(),
                     [](const StoredField& part) { return has_layout(part.type); });
}

Bytes encode(const StoredType& type) {
  Bytes out;
  encode(out, type);
  return out;
}

StoredType decode_stored_type(ByteReader& in) { return decode_nested(in, 0); }

std::string to_text(const StoredType& type) {
  switch (type.kind) {
    case Kind::kBool: return "bool";
    case Kind::kNumber: return integer_text(type);
    case Kind::kEnum: return "enum of " + integer_text(type);
    case Kind::kFloat: return type.width == 4 ? "float" : "double";
    case Kind::kEventTime: return "EventTime";
    case Kind::kDuration: return "Duration";
    case Kind::kText: return "text";
    case Kind::kOptional: return "optional<" + parts_text(type) + ">";
    case Kind::kTuple: return "tuple<" + parts_text(type) + ">";
    case Kind::kArray: return "array<" + parts_text(type) + ", " + std::to_string(type.count) + ">";
    case Kind::kVector: return "vector<" + parts_text(type) + ">";
    case Kind::kMap: return "map<" + parts_text(type) + ">";
    case Kind::kSet: return "set<" + parts_text(type) + ">";
    case Kind::kStruct: return "struct{" + parts_text(type) + "}";
    case Kind::kOwn:
      return type.parts.empty() ? type.name : type.name + "<" + parts_text(type) + ">";
    case Kind::kSelf: return "itself";
    case Kind::kShown: return type.name;
    case Kind::kRecord: return "record{" + parts_text(type) + "}";
    case Kind::kExactSum: return "exact sum";
    case Kind::kTail: return to_text(type.parts[0].type) + ", perhaps with more behind it";
  }
  return "?";
}

std::string type_name(const std::type_info& type) {
  int status = 0;
  const std::unique_ptr<char, void (*)(void*)> name(
      abi::__cxa_demangle(type.name(), nullptr, nullptr, &status), std::free);
  return status == 0 ? name.get() : type.name();
}

namespace stored {

StoredType plain(Kind kind) {
  StoredType type;
  type.kind = kind;
  return type;
}

StoredType number(Kind kind, std::size_t width, bool is_signed) {
  StoredType type = plain(kind);
  type.width = static_cast<std::uint8_t>(width);
  type.is_signed = is_signed;
  return type;
}

StoredType array(std::size_t count, StoredType element) {
  StoredType type = of(Kind::kArray, std::move(element));
  type.count = count;
  return type;
}

StoredType record(std::vector<std::pair<std::string, StoredType>> parts) {
  StoredType type = plain(Kind::kRecord);
  for (auto& [name, part] : parts) type.parts.push_back({std::move(name), std::move(part), {}});
  return type;
}

void require_distinct_fields(const StoredType& type, const std::string& name) {
  std::set<std::string_view> ids;
  for (const StoredField& field : type.parts) {
    if (!ids.insert(field.id).second) {
      throw Error(ErrorCode::kConfig,
                  "two fields of a struct are stored under one name; StoredNames gives a renamed "
                  "one the name it had: " +
                      field.id + " in " + name);
    }
  }
}

StoredType own(std::string name, StoredType::Skip skip, std::vector<StoredType> parts) {
  StoredType type = plain(Kind::kOwn);
  type.name = std::move(name);
  type.skip = skip;
  for (StoredType& part : parts) type.parts.push_back({{}, std::move(part), {}});
  return type;
}

}  // namespace stored

}  // namespace tidemill
