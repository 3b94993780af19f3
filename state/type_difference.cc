#include "state/type_difference.h"

#include <algorithm>

#include "engine/base/error.h"
#include "state/value_json.h"

namespace tidemill {
namespace {

using Kind = StoredType::Kind;

const StoredField* field_of(const StoredType& type, const std::string& id) {
  const auto it = std::find_if(type.parts.begin(), type.parts.end(),
                               [&](const StoredField& field) { return field.id == id; });
  return it == type.parts.end() ? nullptr : &*it;
}

std::string fallback_text(const StoredField& field) {
  try {
    return value_json(field.type, field.fallback);
  } catch (const Error&) {
    return "its default";  // a struct in itself cannot be shown alone
  }
}

void compare(const StoredType& stored, const StoredType& wanted, const std::string& path,
             std::vector<std::string>& found);

void compare_structs(const StoredType& stored, const StoredType& wanted, const std::string& path,
                     std::vector<std::string>& found) {
  const auto below = [&](const std::string& id) { return path.empty() ? id : path + "." + id; };
  bool moved = false;
  std::size_t place = 0;
  for (const StoredField& field : wanted.parts) {
    const StoredField* former = field_of(stored, field.id);
    if (former == nullptr) {
      found.push_back("field added: " + below(field.id) + " (" + to_text(field.type) + "), " +
                      fallback_text(field) + " in what is stored");
      continue;
    }
    const auto former_place = static_cast<std::size_t>(former - stored.parts.data());
    moved = moved || former_place < place;
    place = std::max(place, former_place);
    compare(former->type, field.type, below(field.id), found);
  }
  for (const StoredField& field : stored.parts) {
    if (field_of(wanted, field.id) == nullptr)
      found.push_back("field removed: " + below(field.id) + " (" + to_text(field.type) +
                      "), its values are forgotten");
  }
  if (moved) found.push_back("fields moved" + (path.empty() ? "" : " in " + path));
}

void compare(const StoredType& stored, const StoredType& wanted, const std::string& path,
             std::vector<std::string>& found) {
  if (encode(stored) == encode(wanted)) return;
  if (stored.kind == Kind::kStruct && wanted.kind == Kind::kStruct) {
    compare_structs(stored, wanted, path, found);
    return;
  }
  const bool has_parts = stored.kind == wanted.kind && !wanted.parts.empty() &&
                         stored.parts.size() == wanted.parts.size();
  if (!has_parts) {
    found.push_back((path.empty() ? "" : path + ": ") + to_text(stored) + " becomes " +
                    to_text(wanted));
    return;
  }
  for (std::size_t i = 0; i < wanted.parts.size(); ++i) {
    std::string inner = path;
    if (wanted.kind == Kind::kTuple) inner += "[" + std::to_string(i) + "]";
    if (wanted.kind == Kind::kVector || wanted.kind == Kind::kArray || wanted.kind == Kind::kSet)
      inner += "[]";
    if (wanted.kind == Kind::kMap) inner += i == 0 ? "[key]" : "[value]";
    compare(stored.parts[i].type, wanted.parts[i].type, inner, found);
  }
}

}  // namespace

std::vector<std::string> type_differences(const StoredType& stored, const StoredType& wanted) {
  std::vector<std::string> found;
  compare(stored, wanted, "", found);
  return found;
}

}  // namespace tidemill
