#include "app/checkpoint_tools.h"

#include <algorithm>
#include <cstdio>
#include <optional>

#include "connectors/formats/iso_time.h"
#include "connectors/formats/json_writer.h"
#include "engine/base/error.h"
#include "engine/checkpoint/storage.h"

namespace tidemill {
namespace {

std::string iso(EventTime t) {
  if (!t.is_finite()) return t == EventTime::min() ? "none" : "end";
  std::string text;
  append_iso_time(text, t);
  return text;
}

std::uint64_t bytes_of(const Manifest& m) {
  std::uint64_t bytes = 0;
  for (const StoredFile& f : m.files) bytes += f.size;
  return bytes;
}

EventTime watermark_of(const Manifest& m) {
  EventTime smallest = EventTime::max();
  for (const SourcePositions& s : m.sources) {
    for (const SplitPosition& p : s.splits) smallest = std::min(smallest, p.watermark);
  }
  return smallest;
}

}  // namespace

int list_checkpoints(const std::filesystem::path& folder) {
  const CheckpointStorage storage(folder, CheckpointStorage::Access::kReadOnly);
  std::printf("%-28s %-25s %12s %-25s %-17s %s\n", "checkpoint", "created", "bytes", "watermark",
              "lineage", "kind");
  for (const CheckpointName& name : storage.list()) {
    try {
      const Manifest m = storage.load(name.id).manifest;
      std::string kind = name.is_savepoint ? "savepoint" : "checkpoint";
      if (m.is_drained) kind += m.is_final ? " drained" : " draining";
      if (m.is_final) kind += " final";
      std::printf("%-28s %-25s %12llu %-25s %-17s %s\n", m.checkpoint.c_str(),
                  iso({m.created_ms}).c_str(), static_cast<unsigned long long>(bytes_of(m)),
                  iso(watermark_of(m)).c_str(), m.lineage.c_str(), kind.c_str());
    } catch (const Error& e) {
      std::printf("%-28s damaged: %s\n", name.id.c_str(), e.what());
    }
  }
  return 0;
}

int inspect_checkpoint(const std::filesystem::path& folder, const std::string& id) {
  const CheckpointStorage storage(folder, CheckpointStorage::Access::kReadOnly);
  const auto all = storage.list();
  std::string found;
  for (const CheckpointName& name : all) {
    if (id == "latest" || name.is_called(id)) found = name.id;
  }
  if (found.empty())
    throw Error(ErrorCode::kConfig, "there is no checkpoint " + id + " in " + folder.string() +
                                        "; --list-checkpoints shows them");
  const Manifest m = storage.load(found).manifest;
  std::printf(
      "checkpoint   %s\njob          %s\ncreated      %s\nlineage      %s\nparent       %s\nkey "
      "groups   %u\nparallelism  %u\nbackend      %s\nfinal        %s\n",
      m.checkpoint.c_str(), m.job.c_str(), iso({m.created_ms}).c_str(), m.lineage.c_str(),
      m.parent.empty() ? "none" : m.parent.c_str(), m.key_groups, m.parallelism, m.backend.c_str(),
      m.is_final ? "yes" : "no");
  for (const SourcePositions& s : m.sources) {
    std::printf("source       %s\n", s.source.c_str());
    for (const SplitPosition& p : s.splits) {
      std::printf("  %-24s next offset %-12lld watermark %s%s\n", p.split.c_str(),
                  static_cast<long long>(p.offset), iso(p.watermark).c_str(),
                  p.is_finished ? "  finished" : "");
    }
  }
  for (const auto& [name, op] : m.operators) {
    std::size_t bytes = 0;
    std::string parts;
    for (const auto& subtask : op.subtasks) {
      for (const StatePart& part : subtask.parts) bytes += part.bytes.size();
    }
    std::printf("operator     %-32s %zu subtasks, %zu bytes in the manifest\n", name.c_str(),
                op.subtasks.size(), bytes);
  }
  for (const StoredFile& f : m.files) {
    std::printf("file         %-32s %12llu bytes  %016llx\n", f.name.c_str(),
                static_cast<unsigned long long>(f.size),
                static_cast<unsigned long long>(f.checksum));
  }
  std::printf("state bytes  %llu\n", static_cast<unsigned long long>(bytes_of(m)));
  return 0;
}

std::string restore_points_json(const std::filesystem::path& folder) {
  const CheckpointStorage storage(folder, CheckpointStorage::Access::kReadOnly);
  auto all = storage.list();
  std::reverse(all.begin(), all.end());
  std::string text;
  JsonWriter json(text);
  json.begin_array();
  for (const CheckpointName& name : all) {
    std::optional<Manifest> m;
    try {
      m = storage.load(name.id).manifest;
    } catch (const Error&) {
      continue;  // removed meanwhile, or damaged: no point to restore
    }
    const EventTime watermark = watermark_of(*m);
    json.begin_object().field("id", name.id).field("seq", name.seq);
    json.field("created_ms", m->created_ms).field("bytes", bytes_of(*m));
    json.field("watermark_ms", watermark.is_finite() ? std::optional(watermark.ms) : std::nullopt);
    json.field("lineage", m->lineage).field("final", m->is_final);
    json.field("savepoint", name.is_savepoint).end_object();
  }
  json.end_array();
  return text;
}

}  // namespace tidemill
