// Small durable file operations: what is written is on the disk, every failure names the path. All
// throw Error(kIo).
#pragma once

#include <cstddef>
#include <filesystem>

#include "engine/base/bytes.h"

namespace tidemill {

// A file descriptor that closes itself. One thread.
class OpenFile {
 public:
  // `flags` of open(2); new files get mode 0644.
  OpenFile(const std::filesystem::path& path, int flags);
  ~OpenFile();
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;

  void write(ByteView bytes) const;
  // Up to `size` bytes; 0 at the end.
  std::size_t read(char* to, std::size_t size) const;
  void sync() const;
  void close();
  [[nodiscard]] int descriptor() const { return fd_; }

 private:
  std::filesystem::path path_;
  int fd_;
};

enum class Durability : bool { kNone, kSynced };

// Writes all of it, synced if asked for, and closes.
void write_file(const std::filesystem::path& path, ByteView content,
                Durability durability = Durability::kSynced);
[[nodiscard]] Bytes read_file(const std::filesystem::path& path);
// Makes the names in a folder durable.
void sync_folder(const std::filesystem::path& folder);
void sync_file(const std::filesystem::path& path);

}  // namespace tidemill
