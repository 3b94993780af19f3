#include "state/parts.h"

namespace tidemill {
namespace {
constexpr char kInParts = 2;
}  // namespace

bool is_in_parts(ByteView value) { return !value.empty() && value.front() == kInParts; }

void append_part(Bytes& out, ByteView value) {
  if (out.empty()) out.push_back(kInParts);
  if (is_in_parts(value)) {
    out.append(value.substr(1));
  } else {
    append_sized(out, value);
  }
}

Error cannot_merge(const std::string& what) {
  return {ErrorCode::kConfig,
          "stored values are in parts, and their type has no merge() any more; bring it back, or "
          "give the state a new name and let the old one go with --drop-state: " +
              what};
}

ByteView next_part(ByteReader& in) { return in.sized(); }

}  // namespace tidemill
