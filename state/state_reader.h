// The state of one checkpoint, read without the program that wrote it. The checkpoint may be
// removed meanwhile, and is never written to.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/checkpoint/manifest.h"
#include "engine/checkpoint/snapshot_store.h"
#include "state/backend.h"
#include "state/stored_type.h"

namespace tidemill {

// The parts of a row for people, as JSON (value_json.h).
struct StateRowText {
  std::optional<EventTime> window;  // of states by window and timers
  std::string key;
  std::string value;
  bool is_in_parts = false;  // the value: only the program can merge them (parts.h)
};

// One thread.
class StateReader {
 public:
  // `state_folder`: of the checkpoint. Only what is asked for is read, and checked as it is read
  // (open_for_reading). Throws Error(kCorrupt), Error(kIo).
  StateReader(const Manifest& manifest, const std::filesystem::path& state_folder);
  ~StateReader();
  StateReader(const StateReader&) = delete;
  StateReader& operator=(const StateReader&) = delete;

  [[nodiscard]] std::vector<StateDescription> states() const { return backend_->describe(); }
  struct Size {
    std::uint64_t rows = 0;
    std::uint64_t bytes = 0;  // of keys and values
  };
  // Reads all of it.
  [[nodiscard]] Size size(const StateName& name) const;

  // All rows of one key, `key` as parse_key takes it: one for each window, timer or entry of a map.
  // Throws Error(kConfig) if the key is none, or the checkpoint has no such state or no types.
  [[nodiscard]] std::vector<StateRowText> get(const StateName& name, std::string_view key) const;
  // Calls `visit` for each row in the order of the store, until it returns false.
  void scan(const StateName& name, const std::function<bool(const StateRowText&)>& visit) const;

  // What `later` has that this has not, and so on; up to `samples` rows of each.
  struct Difference {
    StateName name;
    std::uint64_t same = 0;
    std::uint64_t added = 0;
    std::uint64_t removed = 0;
    std::uint64_t changed = 0;
    std::uint64_t in_parts = 0;  // here or in `later`, not byte for byte the same: nobody can tell
    std::vector<StateRowText> added_rows;
    std::vector<StateRowText> removed_rows;
    std::vector<std::pair<StateRowText, StateRowText>> changed_rows;  // here, in `later`
  };
  [[nodiscard]] Difference compare(const StateReader& later, const StateName& name,
                                   std::size_t samples) const;

 private:
  struct State;
  class Cursor;
  [[nodiscard]] State find(const StateName& name) const;
  [[nodiscard]] static StateRowText text_of(const State& state, ByteView key, ByteView value);

  class LogFolder;
  std::unique_ptr<LogFolder> log_folder_;
  std::unique_ptr<Backend> backend_;
};

// The type that people name keys of such a state by: of timers and maps that of the key alone.
[[nodiscard]] StoredType asked_key_type(const StateDescription& state);

}  // namespace tidemill
