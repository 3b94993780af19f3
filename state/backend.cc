#include "state/backend.h"

#include <utility>

#include "engine/base/log.h"
#include "state/memory_backend.h"
#include "state/parts.h"
#include "state/rocksdb_backend.h"
#include "state/rocksdb_reader.h"

namespace tidemill {
namespace {

constexpr std::uint8_t kTypesFormat = 1;
constexpr std::size_t kConvertedAtOnce = std::size_t{8} << 20;

// A registry row: [0][operator][state] -> [id][kind][types][types with layouts][1 if values may be
// in parts]. What is missing at the end is empty.
Bytes registry_key(StateId registry, const StateName& name) {
  Bytes key = key_prefix(registry);
  append_sized(key, name.op);
  append_sized(key, name.state);
  return key;
}

Bytes encode_types(const StateTypes& types) {
  Bytes out;
  append_u8(out, kTypesFormat);
  encode(out, types.key);
  encode(out, types.value);
  return out;
}

Bytes encode_shown_types(const StateTypes& types) {
  if (!has_layout(types.key) && !has_layout(types.value)) return {};
  Bytes out;
  append_u8(out, kTypesFormat);
  out += encode_shown(types.key) + encode_shown(types.value);
  return out;
}

StateTypes decode_types(ByteView bytes) {
  ByteReader in(bytes);
  if (const std::uint8_t format = in.u8(); format != kTypesFormat) {
    throw Error(ErrorCode::kCorrupt, "stored types have an unknown format: " +
                                         std::to_string(format) + "; written by a newer version?");
  }
  StateTypes types;
  types.key = decode_stored_type(in);
  types.value = decode_stored_type(in);
  return types;
}

}  // namespace

StateId Backend::state_id(const StateName& name, std::string_view kind, const StateTypes& types) {
  const std::lock_guard lock(registry_mutex_);
  const auto it = registry_.find(name);
  if (it != registry_.end()) {
    Registered& state = it->second;
    if (state.kind != kind) {
      throw Error(ErrorCode::kConfig,
                  "state has another kind than in the checkpoint; give it a new name: " + name.op +
                      "/" + name.state + " is " + state.kind + ", the program wants " +
                      std::string(kind));
    }
    if (state.may_have_parts && !types.can_merge) throw cannot_merge(name.op + "/" + name.state);
    adopt(name, state, types);
    state.is_used = true;
    return state.id;
  }
  StateId next = 1;
  for (const auto& [_, r] : registry_)
    next = std::max<StateId>(next, static_cast<StateId>(r.id + 1));
  if (next == 0xFFFF) throw Error(ErrorCode::kInternal, "job has too many states: 65534 at most");
  registry_.emplace(name, Registered{next, std::string(kind), encode_types(types),
                                     encode_shown_types(types), false, false, true});
  return next;
}

void Backend::note_parts(StateId state) {
  const std::lock_guard lock(registry_mutex_);
  for (auto& [_, r] : registry_) {
    if (r.id != state || r.may_have_parts) continue;
    r.may_have_parts = true;
    r.is_stored = false;
  }
}

// Makes the rows of a state ones of these types.
void Backend::adopt(const StateName& name, Registered& state, const StateTypes& types) {
  Bytes wanted = encode_types(types);
  if (state.types == wanted) {
    Bytes shown = encode_shown_types(types);
    if (state.shown == shown) return;
    state.shown = std::move(shown);
    state.is_stored = false;
    return;
  }
  const std::string what = name.op + "/" + name.state;
  if (state.is_used)
    throw Error(ErrorCode::kConfig, "an operator has two states of one name: " + what);
  if (!state.types.empty()) {
    StateTypes stored = decode_types(state.types);
    require_same_key(stored.key, types.key, what + " key");
    const TypeChange change(stored.value, types.value, what);
    adopted_.push_back({name, std::move(stored), types, change.needs_conversion()});
    if (change.needs_conversion()) {
      const std::uint64_t rows = convert_rows(state.id, change);
      log(LogLevel::kInfo, "state " + what + ": " + std::to_string(rows) +
                               " rows converted to the type that the program has now");
    }
  }
  state.types = std::move(wanted);
  state.shown = encode_shown_types(types);
  state.is_stored = false;
}

// All at once, and not when a row is read: rows that nobody touches would keep every former type
// alive for ever. The checkpoint stays as it is; if this attempt ends before its first one, the
// next attempt converts them again.
std::uint64_t Backend::convert_rows(StateId id, const TypeChange& change) {
  const Bytes prefix = key_prefix(id);
  std::uint64_t rows = 0;
  SortedRun run;
  Bytes converted;
  scan({prefix, prefix_end(prefix)}, [&](ByteView key, ByteView value) {
    converted.clear();
    change.convert(value, converted);
    run.put(key, converted);
    ++rows;
    if (run.bytes() >= kConvertedAtOnce) spill(std::exchange(run, SortedRun{}));
    return true;
  });
  if (!run.empty()) spill(run);
  return rows;
}

std::vector<StateName> Backend::states() const {
  const std::lock_guard lock(registry_mutex_);
  std::vector<StateName> names;
  for (const auto& [name, _] : registry_) names.push_back(name);
  return names;
}

std::vector<StateDescription> Backend::describe() const {
  const std::lock_guard lock(registry_mutex_);
  std::vector<StateDescription> all;
  for (const auto& [name, state] : registry_) {
    StateDescription& d =
        all.emplace_back(StateDescription{name, state.kind, {}, {}, state.may_have_parts});
    if (state.types.empty()) continue;
    const StateTypes types = decode_types(state.shown.empty() ? state.types : state.shown);
    d.key_type = encode_shown(types.key);
    d.value_type = encode_shown(types.value);
  }
  return all;
}

std::vector<Backend::Adopted> Backend::adopted() const {
  const std::lock_guard lock(registry_mutex_);
  return adopted_;
}

void Backend::rehearse(const std::vector<StateDescription>& states) {
  const std::lock_guard lock(registry_mutex_);
  StateId next = 1;
  for (const StateDescription& d : states) {
    Registered state{next++, d.kind, {}, {}, d.may_have_parts, true, false};
    if (!d.value_type.empty()) {
      ByteReader key(d.key_type);
      ByteReader value(d.value_type);
      const StateTypes types{decode_stored_type(key), decode_stored_type(value)};
      state.types = encode_types(types);
      state.shown = encode_shown_types(types);
    }
    registry_.emplace(d.name, std::move(state));
  }
}

std::optional<StateId> Backend::find_state(const StateName& name) const {
  const std::lock_guard lock(registry_mutex_);
  const auto it = registry_.find(name);
  if (it == registry_.end()) return std::nullopt;
  return it->second.id;
}

bool Backend::has_state(const StateName& name) const {
  const std::lock_guard lock(registry_mutex_);
  return registry_.contains(name);
}

std::vector<StateName> Backend::unused_states() const {
  const std::lock_guard lock(registry_mutex_);
  std::vector<StateName> names;
  for (const auto& [name, state] : registry_) {
    if (!state.is_used) names.push_back(name);
  }
  return names;
}

void Backend::rename_state(const StateName& from, const StateName& to) {
  const std::lock_guard lock(registry_mutex_);
  TM_CHECK(!registry_.contains(to));
  auto state = registry_.extract(from);
  if (state.empty()) return;
  SortedRun run;
  run.erase(registry_key(kRegistry, from));
  spill(run);
  state.key() = to;
  state.mapped().is_stored = false;
  registry_.insert(std::move(state));
}

void Backend::drop_state(const StateName& name) {
  const std::lock_guard lock(registry_mutex_);
  const auto it = registry_.find(name);
  if (it == registry_.end()) return;
  TM_CHECK(!it->second.is_used);
  const Bytes prefix = key_prefix(it->second.id);
  SortedRun run;
  run.erase_range({prefix, prefix_end(prefix)});
  run.erase(registry_key(kRegistry, name));
  spill(run);
  registry_.erase(it);
}

void Backend::load_registry() {
  const std::lock_guard lock(registry_mutex_);
  registry_.clear();
  const Bytes prefix = key_prefix(kRegistry);
  scan({prefix, prefix_end(prefix)}, [&](ByteView key, ByteView value) {
    ByteReader k(key.substr(prefix.size()));
    ByteReader v(value);
    StateName name;
    name.op = std::string(k.sized());
    name.state = std::string(k.sized());
    Registered state;
    state.id = static_cast<StateId>(v.varint());
    state.kind = std::string(v.sized());
    if (!v.empty()) state.types = Bytes(v.sized());
    if (!v.empty()) state.shown = Bytes(v.sized());
    if (!v.empty()) state.may_have_parts = v.u8() != 0;
    state.is_stored = true;
    registry_.emplace(std::move(name), std::move(state));
    return true;
  });
}

SortedRun Backend::take_registry_changes() {
  const std::lock_guard lock(registry_mutex_);
  std::map<Bytes, Bytes> rows;
  for (auto& [name, r] : registry_) {
    if (r.is_stored) continue;
    r.is_stored = true;
    Bytes value;
    append_varint(value, r.id);
    append_sized(value, r.kind);
    const bool has_shown = !r.shown.empty() || r.may_have_parts;
    if (!r.types.empty() || has_shown) append_sized(value, r.types);
    if (has_shown) append_sized(value, r.shown);
    if (r.may_have_parts) append_u8(value, 1);
    rows.emplace(registry_key(kRegistry, name), std::move(value));
  }
  SortedRun run;
  for (const auto& [key, value] : rows) run.put(key, value);
  return run;
}

std::unique_ptr<Backend> make_backend(std::string_view kind, const BackendOptions& options) {
  if (kind == "memory")
    return std::make_unique<MemoryBackend>(options.limit_memory_backend ? options.memory : 0);
  if (kind == "rocksdb") return std::make_unique<RocksDbBackend>(options);
  throw Error(ErrorCode::kConfig,
              "unknown state backend; use memory or rocksdb: " + std::string(kind));
}

std::unique_ptr<Backend> open_for_reading(std::string_view kind,
                                          const std::filesystem::path& folder,
                                          const std::vector<StoredFile>& files,
                                          const std::filesystem::path& work_folder) {
  std::unique_ptr<Backend> backend;
  if (kind == "rocksdb") {
    backend = std::make_unique<RocksDbReader>(work_folder);
  } else {
    backend = make_backend(kind, {.dir = work_folder});
  }
  backend->restore(folder, files);
  return backend;
}

}  // namespace tidemill
