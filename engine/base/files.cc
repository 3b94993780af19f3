#include "engine/base/files.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <string>
#include <unistd.h>
#include <utility>

#include "engine/base/error.h"

namespace tidemill {
namespace {

[[noreturn]] void fail(const std::string& what, const std::filesystem::path& path) {
  throw Error(ErrorCode::kIo, what + ": " + path.string() + ": " + std::strerror(errno));
}

}  // namespace

OpenFile::OpenFile(const std::filesystem::path& path, int flags)
    : path_(path), fd_(::open(path.c_str(), flags | O_CLOEXEC, 0644)) {
  if (fd_ < 0) fail("file cannot be opened", path);
}

OpenFile::~OpenFile() {
  if (fd_ >= 0) ::close(fd_);
}

void OpenFile::write(ByteView bytes) const {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd_, bytes.data(), bytes.size());
    if (n < 0) {
      if (errno == EINTR) continue;
      fail("file cannot be written", path_);
    }
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
}

std::size_t OpenFile::read(char* to, std::size_t size) const {
  for (;;) {
    const ssize_t n = ::read(fd_, to, size);
    if (n >= 0) return static_cast<std::size_t>(n);
    if (errno != EINTR) fail("file cannot be read", path_);
  }
}

void OpenFile::sync() const {
  if (::fsync(fd_) != 0) fail("file cannot be made durable", path_);
}

void OpenFile::close() {
  const int fd = std::exchange(fd_, -1);
  if (::close(fd) != 0) fail("file cannot be closed", path_);
}

void write_file(const std::filesystem::path& path, ByteView content, Durability durability) {
  OpenFile file(path, O_WRONLY | O_CREAT | O_TRUNC);
  file.write(content);
  if (durability == Durability::kSynced) file.sync();
  file.close();
}

Bytes read_file(const std::filesystem::path& path) {
  const OpenFile file(path, O_RDONLY);
  Bytes content;
  std::array<char, 65536> piece;
  while (const std::size_t n = file.read(piece.data(), piece.size()))
    content.append(piece.data(), n);
  return content;
}

void sync_folder(const std::filesystem::path& folder) {
  OpenFile(folder, O_RDONLY | O_DIRECTORY).sync();
}
void sync_file(const std::filesystem::path& path) { OpenFile(path, O_RDONLY).sync(); }

}  // namespace tidemill
