#include "state/memory_backend.h"

#include <mutex>

#include "state/stored_files.h"

namespace tidemill {
namespace {
constexpr const char* kFileName = "state.mem";
constexpr std::string_view kMagic = "TMMEM001";
}  // namespace

bool MemoryBackend::get(ByteView key, Bytes& value) const {
  const std::shared_lock lock(mutex_);
  const auto it = rows_.find(key);
  if (it == rows_.end()) return false;
  value = it->second;
  return true;
}

void MemoryBackend::multi_get(std::span<const ByteView> keys, const Found& found) const {
  const std::shared_lock lock(mutex_);
  for (std::size_t i = 0; i < keys.size(); ++i) {
    const auto it = rows_.find(keys[i]);
    if (it != rows_.end()) found(i, it->second);
  }
}

void MemoryBackend::scan(const KeyRange& range, const Visitor& visitor) const {
  // The visitor runs unlocked, so that it may read and write; a piece is copied at a time.
  constexpr std::size_t kPiece = 256;
  std::vector<std::pair<Bytes, Bytes>> piece;
  Bytes next = range.begin;
  do {
    piece.clear();
    {
      const std::shared_lock lock(mutex_);
      for (auto it = rows_.lower_bound(next); it != rows_.end() && piece.size() < kPiece; ++it) {
        if (!range.end.empty() && it->first >= range.end) break;
        piece.push_back(*it);
      }
    }
    for (const auto& [key, value] : piece) {
      if (!visitor(key, value)) return;
    }
    if (!piece.empty()) next = piece.back().first + '\0';
  } while (piece.size() == kPiece);
}

void MemoryBackend::spill(const SortedRun& run) {
  const std::unique_lock lock(mutex_);
  apply_locked(run);
}

void MemoryBackend::stage(CheckpointId id, SortedRun run) {
  const std::unique_lock lock(mutex_);
  staged_.emplace(id, std::move(run));
}

std::vector<StoredFile> MemoryBackend::snapshot(CheckpointId id,
                                                const std::filesystem::path& folder) {
  SortedRun registry = take_registry_changes();
  Bytes content(kMagic);
  {
    const std::unique_lock lock(mutex_);
    apply_locked(registry);
    const auto end = staged_.upper_bound(id);
    for (auto first = staged_.begin(); first != end;) {
      // All range deletions of a checkpoint come before its puts, whichever part they are in.
      const auto [begin, next] = staged_.equal_range(first->first);
      for (auto it = begin; it != next; ++it) {
        for (const KeyRange& r : it->second.ranges()) {
          rows_.erase(rows_.lower_bound(r.begin),
                      r.end.empty() ? rows_.end() : rows_.lower_bound(r.end));
        }
      }
      for (auto it = begin; it != next; ++it) {
        for (std::size_t i = 0; i < it->second.size(); ++i) {
          const SortedRun::Row row = it->second.row(i);
          if (row.is_delete) {
            rows_.erase(Bytes(row.key));
          } else {
            rows_.insert_or_assign(Bytes(row.key), Bytes(row.value));
          }
        }
      }
      first = next;
    }
    staged_.erase(staged_.begin(), end);
    append_varint(content, rows_.size());
    for (const auto& [key, value] : rows_) {
      append_sized(content, key);
      append_sized(content, value);
    }
  }
  write_file(folder / kFileName, content);
  sync_folder(folder);
  set_linked(id);
  return {{kFileName, content.size(), hash_bytes(content)}};
}

void MemoryBackend::restore(const std::filesystem::path& folder,
                            const std::vector<StoredFile>& files) {
  if (folder.empty()) return;
  verify_files(folder, files);
  const Bytes content = read_file(folder / kFileName);
  ByteReader in(content);
  if (in.size() < kMagic.size() || in.take(kMagic.size()) != kMagic) {
    throw Error(ErrorCode::kCorrupt,
                "checkpoint file is not a memory snapshot: " + (folder / kFileName).string());
  }
  {
    const std::unique_lock lock(mutex_);
    rows_.clear();
    staged_.clear();
    for (std::uint64_t n = in.varint(); n > 0; --n) {
      const ByteView key = in.sized();
      const ByteView value = in.sized();
      rows_.emplace_hint(rows_.end(), key, value);
    }
  }
  load_registry();
}

void MemoryBackend::apply_locked(const SortedRun& run) {
  for (const KeyRange& r : run.ranges()) {
    rows_.erase(rows_.lower_bound(r.begin), r.end.empty() ? rows_.end() : rows_.lower_bound(r.end));
  }
  for (std::size_t i = 0; i < run.size(); ++i) {
    const SortedRun::Row row = run.row(i);
    if (row.is_delete) {
      rows_.erase(Bytes(row.key));
    } else {
      rows_.insert_or_assign(Bytes(row.key), Bytes(row.value));
    }
  }
}

}  // namespace tidemill
