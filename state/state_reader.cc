#include "state/state_reader.h"

#include <cstdlib>
#include <deque>
#include <system_error>
#include <utility>

#include "engine/base/error.h"
#include "state/key_encoding.h"
#include "state/parts.h"
#include "state/value_json.h"

namespace tidemill {
namespace {

namespace fs = std::filesystem;

// The entries of a map share these bits of the key's hash (operators/function_state.h).
constexpr std::uint64_t kSharedByEntries = ~std::uint64_t{0} << 44;

StoredType decode_type(const Bytes& bytes) {
  ByteReader in(bytes);
  return decode_stored_type(in);
}

// Only the program can merge them.
std::string parts_json(const StoredType& type, ByteView value) {
  std::string all;
  for (ByteReader in(value.substr(1)); !in.empty();)
    all += (all.empty() ? "" : ",") + value_json(type, next_part(in));
  return "{\"parts\":[" + all + "]}";
}

}  // namespace

struct StateReader::State {
  StateDescription description;
  Bytes prefix;
  bool has_windows = false;
  bool has_types = false;
  StoredType key;
  StoredType value;

  // Of the value of a row.
  [[nodiscard]] bool has_parts(ByteView stored) const {
    return has_types && value.kind == StoredType::Kind::kStruct && is_in_parts(stored);
  }
};

// The rows below a prefix, a piece at a time, without it.
class StateReader::Cursor {
 public:
  Cursor(const Backend& backend, Bytes prefix)
      : backend_(backend), prefix_(std::move(prefix)), next_(prefix_) {
    fill();
  }
  [[nodiscard]] bool at_end() const { return rows_.empty(); }
  [[nodiscard]] ByteView key() const { return rows_.front().first; }
  [[nodiscard]] ByteView value() const { return rows_.front().second; }
  void step() {
    rows_.pop_front();
    if (rows_.empty() && !is_last_) fill();
  }

 private:
  void fill() {
    constexpr std::size_t kPiece = 1024;
    if (prefix_.empty()) return;  // no such state
    backend_.scan({next_, prefix_end(prefix_)}, [&](ByteView key, ByteView value) {
      rows_.emplace_back(Bytes(key.substr(prefix_.size())), Bytes(value));
      return rows_.size() < kPiece;
    });
    is_last_ = rows_.size() < kPiece;
    if (!is_last_) next_ = prefix_ + rows_.back().first + '\0';
  }

  const Backend& backend_;
  const Bytes prefix_;
  Bytes next_;
  bool is_last_ = false;
  std::deque<std::pair<Bytes, Bytes>> rows_;
};

// For the store's own log, a few kilobytes.
class StateReader::LogFolder {
 public:
  LogFolder() {
    const fs::path parent = fs::temp_directory_path();
    std::string pattern = (parent / "tidemill-state-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr)
      throw Error(ErrorCode::kIo, "no folder can be made in " + parent.string());
    path_ = pattern;
  }
  ~LogFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  LogFolder(const LogFolder&) = delete;
  LogFolder& operator=(const LogFolder&) = delete;
  [[nodiscard]] const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

StateReader::StateReader(const Manifest& manifest, const fs::path& state_folder)
    : log_folder_(std::make_unique<LogFolder>()),
      backend_(
          open_for_reading(manifest.backend, state_folder, manifest.files, log_folder_->path())) {}

StateReader::~StateReader() = default;

StateReader::State StateReader::find(const StateName& name) const {
  State state;
  for (StateDescription& d : backend_->describe()) {
    if (d.name == name) state.description = std::move(d);
  }
  const auto id = backend_->find_state(name);
  if (!id) {
    std::string all;
    for (const StateName& s : backend_->states())
      all += (all.empty() ? "" : ", ") + s.op + "/" + s.state;
    throw Error(ErrorCode::kConfig, "the checkpoint has no state " + name.op + "/" + name.state +
                                        "; it has: " + (all.empty() ? "none" : all));
  }
  state.prefix = key_prefix(*id);
  state.has_windows = state.description.kind == "windowed" || state.description.kind == "timers";
  state.has_types = !state.description.key_type.empty();
  if (state.has_types) {
    state.key = decode_type(state.description.key_type);
    state.value = decode_type(state.description.value_type);
  }
  return state;
}

StateReader::Size StateReader::size(const StateName& name) const {
  const State state = find(name);
  Size size;
  backend_->scan({state.prefix, prefix_end(state.prefix)}, [&](ByteView key, ByteView value) {
    ++size.rows;
    size.bytes += key.size() + value.size();
    return true;
  });
  return size;
}

// `key`: of the row, without the state.
StateRowText StateReader::text_of(const State& state, ByteView key, ByteView value) {
  StateRowText text;
  ByteReader in(key);
  if (state.has_windows) text.window = EventTime{unordered(in.u64())};
  in.u64();  // the hash
  if (state.has_types) {
    text.key = value_json(state.key, in);
    text.is_in_parts = state.has_parts(value);
    text.value = text.is_in_parts ? parts_json(state.value, value) : value_json(state.value, value);
  } else {
    StoredType unknown = stored::plain(StoredType::Kind::kOwn);
    unknown.name = "unknown";
    text.key = value_json(unknown, in);
    text.value = value_json(unknown, value);
  }
  return text;
}

void StateReader::scan(const StateName& name,
                       const std::function<bool(const StateRowText&)>& visit) const {
  const State state = find(name);
  backend_->scan({state.prefix, prefix_end(state.prefix)}, [&](ByteView key, ByteView value) {
    return visit(text_of(state, key.substr(state.prefix.size()), value));
  });
}

StoredType asked_key_type(const StateDescription& state) {
  StoredType type = decode_type(state.key_type);
  const bool is_part = (state.kind == "timers" || state.kind == "map") && !type.parts.empty();
  return is_part ? StoredType(type.parts.front().type) : type;
}

std::vector<StateRowText> StateReader::get(const StateName& name, std::string_view key) const {
  const State state = find(name);
  if (!state.has_types) {
    throw Error(ErrorCode::kConfig,
                "the types of this state are not known: its checkpoint was written before types "
                "were stored; start the job once with this version: " +
                    name.op + "/" + name.state);
  }
  const StoredType asked = asked_key_type(state.description);
  Bytes wanted = parse_key(asked, key);
  const auto hash = stored_key_hash(asked, wanted);
  const bool is_map = state.description.kind == "map";
  if (is_map && state.key.kind == StoredType::Kind::kStruct) {
    Bytes entry;
    append_u8(entry, 1);
    append_varint(entry, state.key.parts.size());
    wanted = entry + wanted;
  }
  const bool is_whole = !is_map && state.description.kind != "timers";

  std::vector<StateRowText> found;
  const auto take = [&](ByteView row, ByteView value) {
    ByteView stored = row.substr(state.prefix.size());
    const ByteView behind_hash = stored.substr(state.has_windows ? 16 : 8);
    if (is_whole ? behind_hash == wanted : behind_hash.starts_with(wanted))
      found.push_back(text_of(state, stored, value));
    return true;
  };
  const auto take_range = [&](const Bytes& prefix) {
    if (!hash) {
      backend_->scan({prefix, prefix_end(prefix)}, take);
      return;
    }
    KeyRange range{prefix, prefix};
    append_u64(range.begin, is_map ? *hash & kSharedByEntries : *hash);
    append_u64(range.end, is_map ? *hash | ~kSharedByEntries : *hash);
    range.end = prefix_end(range.end);
    backend_->scan(range, take);
  };
  if (!state.has_windows) {
    take_range(state.prefix);
    return found;
  }
  // Window after window: each has its keys in the order of their hashes.
  Bytes next = state.prefix;
  while (true) {
    Bytes window;
    backend_->scan({next, prefix_end(state.prefix)}, [&](ByteView row, ByteView) {
      window = Bytes(row.substr(0, state.prefix.size() + 8));
      return false;
    });
    if (window.empty()) return found;
    take_range(window);
    next = prefix_end(window);
  }
}

StateReader::Difference StateReader::compare(const StateReader& later, const StateName& name,
                                             std::size_t samples) const {
  const auto state_in = [&](const StateReader& reader) {
    return reader.backend_->find_state(name) ? reader.find(name) : State{};
  };
  const State before = state_in(*this);
  const State after = state_in(later);
  Cursor a(*backend_, before.prefix);
  Cursor b(*later.backend_, after.prefix);
  Difference d;
  d.name = name;
  while (!a.at_end() || !b.at_end()) {
    const int order = a.at_end() ? 1 : b.at_end() ? -1 : a.key().compare(b.key());
    if (order < 0) {
      if (d.removed++ < samples) d.removed_rows.push_back(text_of(before, a.key(), a.value()));
    } else if (order > 0) {
      if (d.added++ < samples) d.added_rows.push_back(text_of(after, b.key(), b.value()));
    } else if (a.value() == b.value()) {
      ++d.same;
    } else if (before.has_parts(a.value()) || after.has_parts(b.value())) {
      ++d.in_parts;
    } else if (d.changed++ < samples) {
      d.changed_rows.emplace_back(text_of(before, a.key(), a.value()),
                                  text_of(after, b.key(), b.value()));
    }
    if (order <= 0) a.step();
    if (order >= 0) b.step();
  }
  return d;
}

}  // namespace tidemill
