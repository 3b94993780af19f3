#include "service/tools/state_tools.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "connectors/formats/json_writer.h"
#include "engine/base/error.h"
#include "engine/checkpoint/storage.h"
#include "engine/operator/key_group.h"
#include "state/stored_type.h"
#include "state/value_json.h"

namespace tidemill::tools {
namespace {

namespace fs = std::filesystem;

Manifest load(const CheckpointStorage& storage, const std::string& id, const fs::path& place) {
  const std::vector<CheckpointName> all = storage.list();
  if (all.empty())
    throw Error(ErrorCode::kConfig,
                "there is no checkpoint in " + place.string() +
                    "; give the folder of a checkpoint (SEQ-UUID) or of a job that has some");
  if (id.empty() || id == "latest") return storage.load(all.back().id).manifest;
  for (const CheckpointName& name : all) {
    if (name.is_called(id)) return storage.load(name.id).manifest;
  }
  throw Error(ErrorCode::kConfig, "there is no checkpoint " + id + " in " + place.string() +
                                      "; the newest one is " + all.back().id);
}

std::string type_text(const Bytes& stored) {
  if (stored.empty()) return "unknown";
  ByteReader in(stored);
  return to_text(decode_stored_type(in));
}

std::string name_of(const StateName& name) { return name.op + "/" + name.state; }

struct Part {
  std::uint64_t entries = 0;
  std::uint64_t bytes = 0;
  Bytes type;
};

// What operators keep besides their keys; not what every stage has ("#…").
std::map<StateName, Part> parts_of(const Manifest& manifest) {
  std::map<StateName, Part> parts;
  for (const auto& [op, restored] : manifest.operators) {
    for (const auto& subtask : restored.subtasks) {
      for (const StatePart& part : subtask.parts) {
        if (part.name.starts_with("#") || part.bytes.empty()) continue;
        Part& total = parts[{op, part.name}];
        ++total.entries;
        total.bytes += part.bytes.size();
        total.type = part.type;
      }
    }
  }
  return parts;
}

EventTime watermark_of(const Manifest& manifest) {
  EventTime smallest = EventTime::max();
  for (const SourcePositions& source : manifest.sources) {
    for (const SplitPosition& split : source.splits) smallest = std::min(smallest, split.watermark);
  }
  return smallest;
}

std::optional<StateDescription> described(const OpenedCheckpoint& checkpoint,
                                          const StateName& name) {
  for (StateDescription& state : checkpoint.reader().states()) {
    if (state.name == name) return std::move(state);
  }
  return std::nullopt;
}

// Rows as they are stored, with names where one key has several.
void write_rows(JsonWriter& json, std::string& text, const std::vector<StateRowText>& rows,
                bool has_windows, bool has_entries) {
  json.key("value");
  if (rows.empty()) {
    json.value(nullptr);
    return;
  }
  if (!has_windows && !has_entries) {
    text += rows.front().value;
    return;
  }
  text += '[';
  for (const StateRowText& row : rows) {
    if (&row != rows.data()) text += ',';
    text += '{';
    if (has_entries) text += "\"key\":" + row.key + ",";
    if (has_windows && row.window) text += "\"window_ms\":" + std::to_string(row.window->ms) + ",";
    text += "\"value\":" + row.value + "}";
  }
  text += ']';
}

using Row = StateRowText;
void write_difference(std::string& text, bool& is_first, const Row* a, const Row* b) {
  const Row& known = a != nullptr ? *a : *b;
  text += is_first ? "" : ",";
  is_first = false;
  text += "{\"key\":" + known.key +
          ",\"window_ms\":" + (known.window ? std::to_string(known.window->ms) : "null") +
          ",\"a\":" + (a != nullptr ? a->value : "null") +
          ",\"b\":" + (b != nullptr ? b->value : "null") + "}";
}

void write_difference(std::string& text, const StateReader::Difference& d) {
  JsonWriter json(text);
  json.begin_object().field("operator", d.name.op).field("state", d.name.state);
  json.field("same", d.same).field("only_a", d.removed).field("only_b", d.added);
  json.field("different", d.changed).field("in_parts", d.in_parts);
  json.key("differences").begin_array();
  bool is_first = true;
  for (const auto& [a, b] : d.changed_rows) write_difference(text, is_first, &a, &b);
  for (const Row& a : d.removed_rows) write_difference(text, is_first, &a, nullptr);
  for (const Row& b : d.added_rows) write_difference(text, is_first, nullptr, &b);
  json.end_array().end_object();
}

// Of one key: at most as many rows as it has windows or entries.
StateReader::Difference difference_of_key(const OpenedCheckpoint& a, const OpenedCheckpoint& b,
                                          const StateName& name, const std::string& key,
                                          std::size_t samples) {
  using Rows = std::map<std::pair<std::int64_t, std::string>, StateRowText>;
  const auto rows_in = [&](const OpenedCheckpoint& checkpoint) {
    Rows rows;
    if (!described(checkpoint, name)) return rows;
    for (StateRowText& row : checkpoint.reader().get(name, key)) {
      const std::pair place(row.window ? row.window->ms : 0, row.key);
      rows.emplace(place, std::move(row));
    }
    return rows;
  };
  const Rows before = rows_in(a);
  Rows after = rows_in(b);
  StateReader::Difference d;
  d.name = name;
  for (const auto& [place, row] : before) {
    const auto other = after.find(place);
    if (other == after.end()) {
      if (d.removed++ < samples) d.removed_rows.push_back(row);
      continue;
    }
    if (other->second.value == row.value) {
      ++d.same;
    } else if (row.is_in_parts || other->second.is_in_parts) {
      ++d.in_parts;
    } else if (d.changed++ < samples) {
      d.changed_rows.emplace_back(row, other->second);
    }
    after.erase(other);
  }
  for (const auto& [place, row] : after) {
    if (d.added++ < samples) d.added_rows.push_back(row);
  }
  return d;
}

}  // namespace

OpenedCheckpoint::OpenedCheckpoint(const fs::path& place, const std::string& id) {
  fs::path folder = fs::absolute(place).lexically_normal();
  if (!folder.has_filename()) folder = folder.parent_path();
  std::error_code ec;
  if (!fs::is_directory(folder, ec))
    throw Error(ErrorCode::kConfig, "there is no folder " + place.string() +
                                        "; give that of a checkpoint (CHECKPOINT_DIR/JOB/SEQ-UUID)"
                                        " or of a job (CHECKPOINT_DIR/JOB)");
  const bool is_checkpoint = fs::exists(folder / "manifest", ec);
  const CheckpointStorage storage(is_checkpoint ? folder.parent_path() : folder,
                                  CheckpointStorage::Access::kReadOnly);
  manifest_ =
      is_checkpoint ? storage.load(folder.filename().string()).manifest : load(storage, id, place);
  folder_ = storage.folder() / manifest_.checkpoint;
  reader_ = std::make_unique<StateReader>(manifest_, storage.state_folder(manifest_.checkpoint));
}

std::string states_json(const OpenedCheckpoint& checkpoint, bool counts) {
  std::string text;
  JsonWriter json(text);
  json.begin_object().field("checkpoint", checkpoint.manifest().checkpoint);
  json.key("states").begin_array();
  const auto write = [&](const StateName& name, const std::string& kind, const std::string& key,
                         const std::string& value) -> JsonWriter& {
    return json.begin_object()
        .field("operator", name.op)
        .field("state", name.state)
        .field("kind", kind)
        .field("key", key)
        .field("value", value);
  };
  for (const StateDescription& state : checkpoint.reader().states()) {
    write(state.name, state.kind, type_text(state.key_type), type_text(state.value_type));
    std::optional<std::uint64_t> entries;
    std::optional<std::uint64_t> bytes;
    if (counts) {
      const StateReader::Size size = checkpoint.reader().size(state.name);
      entries = size.rows;
      bytes = size.bytes;
    }
    json.field("entries", entries).field("bytes", bytes).end_object();
  }
  for (const auto& [name, part] : parts_of(checkpoint.manifest())) {
    write(name, "operator", "none", type_text(part.type));
    json.field("entries", part.entries).field("bytes", part.bytes).end_object();
  }
  json.end_array().end_object();
  return text;
}

std::string key_json(const OpenedCheckpoint& checkpoint, const StateName& name,
                     const std::string& key) {
  const std::vector<StateRowText> rows = checkpoint.reader().get(name, key);
  const StateDescription state = described(checkpoint, name).value();
  const StoredType type = asked_key_type(state);
  const auto hash = stored_key_hash(type, parse_key(type, key));
  std::optional<std::uint32_t> group;
  if (hash) group = key_group_of(*hash, checkpoint.manifest().key_groups);
  const EventTime watermark = watermark_of(checkpoint.manifest());
  const bool has_entries = state.kind == "map" || state.kind == "timers";
  std::string text;
  JsonWriter json(text);
  json.begin_object().field("found", !rows.empty()).field("operator", name.op);
  json.field("state", name.state).field("key", key).field("key_group", group);
  json.field("subtask", nullptr);
  json.field("watermark_ms", watermark.is_finite() ? std::optional(watermark.ms) : std::nullopt);
  json.field("checkpoint", checkpoint.manifest().checkpoint);
  write_rows(json, text, rows, state.kind == "windowed" || state.kind == "timers", has_entries);
  json.end_object();
  return text;
}

std::string difference_json(const OpenedCheckpoint& a, const OpenedCheckpoint& b,
                            const StateFilter& filter, std::size_t samples) {
  std::set<StateName> names;
  std::string all;
  for (const OpenedCheckpoint* checkpoint : {&a, &b}) {
    for (const StateDescription& state : checkpoint->reader().states()) {
      if (all.find(name_of(state.name)) == std::string::npos)
        all += (all.empty() ? "" : ", ") + name_of(state.name);
      if (!filter.op.empty() && filter.op != state.name.op) continue;
      if (!filter.state.empty() && filter.state != state.name.state) continue;
      names.insert(state.name);
    }
  }
  if (names.empty() && !(filter.op.empty() && filter.state.empty()))
    throw Error(ErrorCode::kConfig, "neither checkpoint has such a state: " + filter.op + "/" +
                                        filter.state +
                                        "; they have: " + (all.empty() ? "none" : all));
  std::string states;
  std::string no_key;  // why the text is no key of any state
  for (const StateName& name : names) {
    StateReader::Difference d;
    try {
      d = filter.key.empty() ? a.reader().compare(b.reader(), name, samples)
                             : difference_of_key(a, b, name, filter.key, samples);
    } catch (const Error& error) {
      if (filter.key.empty() || error.code() != ErrorCode::kConfig) throw;
      no_key = error.what();
      continue;
    }
    states += states.empty() ? "" : ",";
    write_difference(states, d);
  }
  if (states.empty() && !no_key.empty()) throw Error(ErrorCode::kConfig, no_key);
  std::string text;
  JsonWriter json(text);
  json.begin_object().field("a", a.manifest().checkpoint).field("b", b.manifest().checkpoint);
  json.key("states");
  return text + "[" + states + "]}";
}

}  // namespace tidemill::tools
