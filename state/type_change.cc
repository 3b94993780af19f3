#include "state/type_change.h"

#include <algorithm>
#include <functional>
#include <map>
#include <utility>
#include <vector>

#include "state/codec.h"
#include "state/parts.h"

namespace tidemill {
namespace {

using Kind = StoredType::Kind;

constexpr std::size_t kMostNestedValues = 4096;
constexpr int kAbsent = -1;

[[noreturn]] void refuse(const std::string& what, const TypeMismatch& m) {
  throw Error(ErrorCode::kConfig,
              "state has another type than in the checkpoint; bring the former type back, or give "
              "the state a new name and let the old one go with --drop-state: " +
                  what + (m.path.empty() ? "" : " field " + m.path) + " is " + m.stored +
                  ", the program wants " + m.wanted + (m.reason.empty() ? "" : ": " + m.reason));
}

// Passes over stored values.
class Passer {
 public:
  explicit Passer(ByteReader& in) : in_(in) {}

  void pass(const StoredType& type) {
    switch (type.kind) {
      case Kind::kBool: in_.take(1); return;
      case Kind::kNumber:
      case Kind::kEnum:
        if (type.width == 1 || type.width == 16) {
          in_.take(type.width);
        } else {
          in_.varint();
        }
        return;
      case Kind::kFloat: in_.take(type.width); return;
      case Kind::kEventTime:
      case Kind::kDuration: in_.varint(); return;
      case Kind::kText: in_.sized(); return;
      case Kind::kOptional:
        if (in_.u8() != 0) pass(type.parts[0].type);
        return;
      case Kind::kTuple:
        for (const StoredField& part : type.parts) pass(part.type);
        return;
      case Kind::kArray: pass_array(type); return;
      case Kind::kVector:
      case Kind::kSet:
      case Kind::kMap:
        for (std::size_t n = codec::read_count(in_); n > 0; --n) {
          for (const StoredField& part : type.parts) pass(part.type);
        }
        return;
      case Kind::kStruct: pass_struct(type); return;
      case Kind::kOwn:
        if (type.skip == nullptr) {
          throw Error(ErrorCode::kCorrupt,
                      "stored value has a codec that is not known: " + type.name);
        }
        type.skip(in_);
        return;
      case Kind::kRecord:
      case Kind::kExactSum:
      case Kind::kShown:
        throw Error(ErrorCode::kCorrupt, "stored type is damaged: a layout is no type of a state");
      case Kind::kSelf: pass_self(type); return;
      case Kind::kTail:
        pass(type.parts[0].type);
        for (std::size_t i = 1; i < type.parts.size() && !in_.empty(); ++i)
          pass(type.parts[i].type);
        return;
    }
  }

 private:
  void pass_array(const StoredType& type) {
    for (std::uint64_t i = 0; i < type.count; ++i) {
      const std::size_t left = in_.size();
      pass(type.parts[0].type);
      if (in_.size() == left) return;  // of a type without bytes: so are the others
    }
  }
  void pass_struct(const StoredType& type) {
    const std::size_t fields = codec::read_fields(in_, type.parts.size());
    if (++depth_ > kMostNestedValues)
      throw Error(ErrorCode::kCorrupt, "stored value is nested too deeply");
    around_.push_back(&type);
    for (std::size_t i = 0; i < fields; ++i) pass(type.parts[i].type);
    around_.pop_back();
    --depth_;
  }
  void pass_self(const StoredType& type) {
    if (type.count > around_.size())
      throw Error(ErrorCode::kCorrupt, "stored type is damaged: part of what is not there");
    // Only what is around that one is around it.
    const auto outer = around_.end() - static_cast<std::ptrdiff_t>(type.count);
    const std::vector<const StoredType*> inner(outer, around_.end());
    around_.erase(outer, around_.end());
    pass_struct(*inner.front());
    around_.insert(around_.end(), inner.begin(), inner.end());
  }

  ByteReader& in_;
  std::vector<const StoredType*> around_;  // the structs that the value is part of
  std::size_t depth_ = 0;
};

// The bytes of the next value.
ByteView take(const StoredType& type, ByteReader& in) {
  ByteReader start = in;
  Passer(in).pass(type);
  return start.take(start.size() - in.size());
}

// True if a value of this struct may hold another one: `depth` structs lie between.
bool holds_itself(const StoredType& type, std::uint64_t depth) {
  return std::ranges::any_of(type.parts, [&](const StoredField& part) {
    if (part.type.kind == Kind::kSelf) return part.type.count == depth;
    return holds_itself(part.type, depth + (part.type.kind == Kind::kStruct ? 1 : 0));
  });
}

// Types with codecs of their own that the program knows, by what is stored of them.
using Skips = std::map<Bytes, StoredType::Skip>;
void find_skips(const StoredType& type, Skips& skips) {
  if (type.kind == Kind::kOwn) skips.emplace(encode(type), type.skip);
  for (const StoredField& part : type.parts) find_skips(part.type, skips);
}
void set_skips(StoredType& type, const Skips& skips) {
  if (type.kind == Kind::kOwn) {
    const auto it = skips.find(encode(type));
    type.skip = it == skips.end() ? nullptr : it->second;
  }
  for (StoredField& part : type.parts) set_skips(part.type, skips);
}
// The first type in it whose values cannot be passed over; null: none.
const StoredType* first_opaque(const StoredType& type) {
  if (type.kind == Kind::kOwn) return type.skip == nullptr ? &type : nullptr;
  for (const StoredField& part : type.parts) {
    if (const StoredType* found = first_opaque(part.type)) return found;
  }
  return nullptr;
}

__int128 read_number(const StoredType& type, ByteReader& in) {
  switch (type.width) {
    case 1: {
      const std::uint8_t byte = in.u8();
      return type.is_signed ? static_cast<std::int8_t>(byte) : byte;
    }
    default:
      if (type.is_signed) return unzigzag(in.varint());
      return in.varint();
  }
}
void write_number(const StoredType& type, __int128 value, Bytes& out) {
  if (type.width == 16) {
    Codec<__int128>::encode(out, value);
  } else if (type.is_signed) {
    append_varint(out, zigzag(static_cast<std::int64_t>(value)));
  } else {
    append_varint(out, static_cast<std::uint64_t>(value));
  }
}

}  // namespace

// What becomes of one part of a value. The types are those of the TypeChange.
struct TypeChange::Step {
  enum class Op : std::uint8_t {
    kKeep,  // the bytes as they are
    kNumber,
    kFloat,
    kPresent,  // a T becomes an optional<T>
    kOptional,
    kEach,  // tuples and arrays: parts in order, the last one again and again
    kElements,
    kStruct,
    kTail,
    kNoTail,  // what is behind the value goes
  };

  Op op = Op::kKeep;
  const StoredType* stored = nullptr;
  const StoredType* wanted = nullptr;
  std::vector<Step> parts;
  std::vector<int> sources;  // kStruct: for each wanted field the place of the stored one

  // What a part of a value is in, as far as it decides what may change.
  struct Place {
    std::string path;
    bool is_ordered = false;  // a key of a map, an element of a set
    bool is_within_own = false;
  };

  // Throws TypeMismatch.
  static Step make(const StoredType& stored, const StoredType& wanted, const Place& place) {
    Step step;
    step.stored = &stored;
    step.wanted = &wanted;
    step.compare(place);
    if (step.op != Op::kKeep && place.is_within_own)
      step.fail(place, "it lies within a type that has a codec of its own");
    return step;
  }

  void run(ByteReader& in, Bytes& out) const {
    switch (op) {
      case Op::kKeep: out.append(take(*stored, in)); return;
      case Op::kNumber: write_number(*wanted, read_number(*stored, in), out); return;
      case Op::kFloat: Codec<double>::encode(out, double{Codec<float>::decode(in)}); return;
      case Op::kPresent:
        append_u8(out, 1);
        parts[0].run(in, out);
        return;
      case Op::kOptional: {
        const std::uint8_t has = in.u8() != 0 ? 1 : 0;
        append_u8(out, has);
        if (has != 0) parts[0].run(in, out);
        return;
      }
      case Op::kEach:
        if (stored->kind == Kind::kArray) {
          for (std::uint64_t i = 0; i < stored->count; ++i) parts[0].run(in, out);
        } else {
          for (const Step& part : parts) part.run(in, out);
        }
        return;
      case Op::kElements: {
        const std::size_t count = codec::read_count(in);
        append_varint(out, count);
        for (std::size_t i = 0; i < count; ++i) {
          for (const Step& part : parts) part.run(in, out);
        }
        return;
      }
      case Op::kStruct: run_struct(in, out); return;
      case Op::kTail:
        for (std::size_t i = 0; i < parts.size() && (i == 0 || !in.empty()); ++i)
          parts[i].run(in, out);
        return;
      case Op::kNoTail:
        parts[0].run(in, out);
        in.take(in.size());
        return;
    }
  }

 private:
  [[noreturn]] void fail(const Place& place, std::string reason) const {
    throw TypeMismatch{place.path, to_text(*stored), to_text(*wanted), std::move(reason)};
  }

  void compare(const Place& place) {
    if (stored->kind != wanted->kind) {
      if (wanted->kind == Kind::kTail) {
        *this = make(*stored, wanted->parts[0].type, place);
        return;
      }
      if (stored->kind == Kind::kTail) {
        op = Op::kNoTail;
        parts.push_back(make(stored->parts[0].type, *wanted, place));
        return;
      }
      if (wanted->kind != Kind::kOptional) fail(place, {});
      op = Op::kPresent;
      parts.push_back(make(*stored, wanted->parts[0].type, place));
      return;
    }
    switch (wanted->kind) {
      case Kind::kNumber:
      case Kind::kEnum:
      case Kind::kFloat: compare_numbers(place); return;
      case Kind::kOptional: compare_parts(place, Op::kOptional); return;
      case Kind::kTuple:
        if (stored->parts.size() != wanted->parts.size()) fail(place, {});
        compare_parts(place, Op::kEach);
        return;
      case Kind::kArray:
        if (stored->count != wanted->count) fail(place, {});
        compare_parts(place, Op::kEach);
        return;
      case Kind::kTail:
        if (stored->parts.size() != wanted->parts.size()) fail(place, {});
        compare_parts(place, Op::kTail);
        return;
      case Kind::kVector:
      case Kind::kMap:
      case Kind::kSet: compare_parts(place, Op::kElements); return;
      case Kind::kStruct: compare_structs(place); return;
      case Kind::kOwn:
        if (stored->name != wanted->name || stored->parts.size() != wanted->parts.size())
          fail(place, "a type that has a codec of its own");
        compare_parts(place, Op::kKeep);
        return;
      case Kind::kSelf:
        if (stored->count != wanted->count) fail(place, {});
        return;
      default: return;
    }
  }

  void compare_numbers(const Place& place) {
    if (stored->is_signed != wanted->is_signed || stored->width > wanted->width)
      fail(place, "numbers may only become wider");
    if (stored->width == wanted->width) return;
    if (wanted->kind == Kind::kFloat) {
      op = Op::kFloat;
    } else if (stored->width == 1 || wanted->width == 16) {
      op = Op::kNumber;  // the others are varints of any width
    }
  }

  // `changed`: what to do if the parts are not all as they were.
  void compare_parts(const Place& place, Op changed) {
    bool changes = false;
    for (std::size_t i = 0; i < wanted->parts.size(); ++i) {
      Place inner = place;
      if (wanted->kind == Kind::kTuple) inner.path += "." + std::to_string(i);
      if (wanted->kind == Kind::kVector || wanted->kind == Kind::kArray) inner.path += "[]";
      if (wanted->kind == Kind::kMap) inner.path += i == 0 ? "[key]" : "[value]";
      if (wanted->kind == Kind::kSet) inner.path += "[]";
      if (wanted->kind == Kind::kSet || (wanted->kind == Kind::kMap && i == 0))
        inner.is_ordered = true;
      if (wanted->kind == Kind::kOwn) inner.is_within_own = true;
      parts.push_back(make(stored->parts[i].type, wanted->parts[i].type, inner));
      changes = changes || parts.back().op != Op::kKeep;
    }
    if (changes) {
      op = changed;
    } else {
      parts.clear();
    }
  }

  void compare_structs(const Place& place) {
    const auto field = [](const StoredType& type, const std::string& id) {
      const auto it = std::ranges::find(type.parts, id, &StoredField::id);
      return it == type.parts.end() ? kAbsent : static_cast<int>(it - type.parts.begin());
    };
    const auto at = [&](const std::string& id) {
      Place inner = place;
      inner.path += (inner.path.empty() ? "" : ".") + id;
      return inner;
    };
    bool changes = false;
    for (std::size_t i = 0; i < wanted->parts.size(); ++i) {
      const StoredField& part = wanted->parts[i];
      const int source = field(*stored, part.id);
      sources.push_back(source);
      parts.emplace_back();
      // A codec reads what has fewer fields at the end.
      changes = changes || source != (i < stored->parts.size() ? static_cast<int>(i) : kAbsent);
      if (source == kAbsent) continue;
      parts.back() =
          make(stored->parts[static_cast<std::size_t>(source)].type, part.type, at(part.id));
      changes = changes || parts.back().op != Op::kKeep;
    }
    if (stored->parts.size() > wanted->parts.size()) changes = true;
    if (!changes) {
      parts.clear();
      return;
    }
    op = Op::kStruct;
    if (holds_itself(*stored, 1) || holds_itself(*wanted, 1))
      fail(place, "a struct that holds itself may only have more fields at its end");
    bool same_fields = stored->parts.size() == wanted->parts.size();
    for (std::size_t i = 0; same_fields && i < sources.size(); ++i)
      same_fields = sources[i] == static_cast<int>(i);
    if (place.is_ordered && !same_fields) fail(place, "it orders a map or set, so its fields stay");
    for (const StoredField& part : stored->parts) {
      const StoredType* opaque = first_opaque(part.type);
      if (opaque == nullptr) continue;
      throw TypeMismatch{at(part.id).path, to_text(part.type),
                         field(*wanted, part.id) == kAbsent ? "no such field" : "others around it",
                         "nobody knows where a " + opaque->name +
                             " ends, which has a codec of its own: keep it in the struct"};
    }
  }

  void run_struct(ByteReader& in, Bytes& out) const {
    const std::size_t count = codec::read_fields(in, stored->parts.size());
    std::vector<ByteView> fields(count);
    for (std::size_t i = 0; i < count; ++i) fields[i] = take(stored->parts[i].type, in);
    append_u8(out, codec::kStructLayout);
    append_varint(out, wanted->parts.size());
    for (std::size_t i = 0; i < sources.size(); ++i) {
      if (sources[i] == kAbsent || static_cast<std::size_t>(sources[i]) >= count) {
        out.append(wanted->parts[i].fallback);
      } else {
        ByteReader field(fields[static_cast<std::size_t>(sources[i])]);
        parts[i].run(field, out);
      }
    }
  }
};

TypeChange::TypeChange(StoredType stored, StoredType wanted, const std::string& what)
    : stored_(std::move(stored)), wanted_(std::move(wanted)) {
  Skips skips;
  find_skips(wanted_, skips);
  set_skips(stored_, skips);
  try {
    root_ = std::make_unique<Step>(Step::make(stored_, wanted_, {}));
  } catch (const TypeMismatch& mismatch) {
    refuse(what, mismatch);
  }
}
TypeChange::~TypeChange() = default;

bool TypeChange::needs_conversion() const { return root_->op != Step::Op::kKeep; }

void TypeChange::convert(ByteView stored, Bytes& out) const {
  if (stored_.kind == StoredType::Kind::kStruct && is_in_parts(stored)) {
    if (wanted_.kind != StoredType::Kind::kStruct) throw cannot_merge(to_text(stored_));
    ByteReader in(stored.substr(1));
    if (in.empty()) throw Error(ErrorCode::kCorrupt, "stored value is in parts and has none");
    for (Bytes part; !in.empty(); part.clear()) {
      convert_whole(next_part(in), part);  // a part is never in parts itself
      append_part(out, part);
    }
    return;
  }
  convert_whole(stored, out);
}

void TypeChange::convert_whole(ByteView stored, Bytes& out) const {
  ByteReader in(stored);
  root_->run(in, out);
  if (!in.empty())
    throw Error(ErrorCode::kCorrupt, "stored value is longer than its type: " +
                                         std::to_string(in.size()) + " bytes left over");
}

void require_same_key(const StoredType& stored, const StoredType& wanted, const std::string& what) {
  if (encode(stored) == encode(wanted)) return;
  refuse(what, {"", to_text(stored), to_text(wanted),
                "keys decide where rows are and cannot be changed"});
}

Bytes converted_part(const StatePart& part, const StoredType& wanted, const std::string& what) {
  if (part.type.empty()) return part.bytes;
  ByteReader in(part.type);
  const TypeChange change(decode_stored_type(in), wanted, what);
  if (!change.needs_conversion()) return part.bytes;
  Bytes converted;
  change.convert(part.bytes, converted);
  return converted;
}

}  // namespace tidemill
