#include "state/backend.h"

#include "state/memory_backend.h"
#include "state/rocksdb_backend.h"

namespace tidemill {
namespace {

// A registry row: [0][operator][state] -> [id][kind].
Bytes registry_key(StateId registry, const StateName& name) {
  Bytes key = key_prefix(registry);
  append_sized(key, name.op);
  append_sized(key, name.state);
  return key;
}

}  // namespace

StateId Backend::state_id(const StateName& name, std::string_view kind) {
  const std::lock_guard lock(registry_mutex_);
  const auto it = registry_.find(name);
  if (it != registry_.end()) {
    if (it->second.kind != kind) {
      throw Error(ErrorCode::kConfig,
                  "state has another kind than in the checkpoint; give it a new name: " + name.op +
                      "/" + name.state + " is " + it->second.kind + ", the program wants " +
                      std::string(kind));
    }
    return it->second.id;
  }
  StateId next = 1;
  for (const auto& [_, r] : registry_)
    next = std::max<StateId>(next, static_cast<StateId>(r.id + 1));
  if (next == 0xFFFF) throw Error(ErrorCode::kInternal, "job has too many states: 65534 at most");
  registry_.emplace(name, Registered{next, std::string(kind), false});
  return next;
}

std::vector<StateName> Backend::states() const {
  const std::lock_guard lock(registry_mutex_);
  std::vector<StateName> names;
  for (const auto& [name, _] : registry_) names.push_back(name);
  return names;
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
    const auto id = static_cast<StateId>(v.varint());
    registry_.emplace(std::move(name), Registered{id, std::string(v.sized()), true});
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

}  // namespace tidemill
