#include "state/stored_files.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <exception>
#include <fcntl.h>
#include <memory>
#include <mutex>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>
#include <xxhash.h>

#include "engine/base/error.h"

namespace tidemill {
namespace {

[[noreturn]] void fail(const std::string& what, const std::filesystem::path& path) {
  throw Error(ErrorCode::kIo, what + ": " + path.string() + ": " + std::strerror(errno));
}

class OpenFile {
 public:
  OpenFile(const std::filesystem::path& path, int flags)
      : path_(path), fd_(::open(path.c_str(), flags | O_CLOEXEC, 0644)) {
    if (fd_ < 0) fail("file cannot be opened", path);
  }
  ~OpenFile() {
    if (fd_ >= 0) ::close(fd_);
  }
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;

  void write(ByteView bytes) const {
    while (!bytes.empty()) {
      const ssize_t n = ::write(fd_, bytes.data(), bytes.size());
      if (n < 0) {
        if (errno == EINTR) continue;
        fail("file cannot be written", path_);
      }
      bytes.remove_prefix(static_cast<std::size_t>(n));
    }
  }
  std::size_t read(char* to, std::size_t size) const {
    for (;;) {
      const ssize_t n = ::read(fd_, to, size);
      if (n >= 0) return static_cast<std::size_t>(n);
      if (errno != EINTR) fail("file cannot be read", path_);
    }
  }
  void sync() const {
    if (::fsync(fd_) != 0) fail("file cannot be made durable", path_);
  }
  void close() {
    const int fd = std::exchange(fd_, -1);
    if (::close(fd) != 0) fail("file cannot be closed", path_);
  }

 private:
  const std::filesystem::path& path_;
  int fd_;
};

}  // namespace

void write_file(const std::filesystem::path& path, ByteView content) {
  OpenFile file(path, O_WRONLY | O_CREAT | O_TRUNC);
  file.write(content);
  file.sync();
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

StoredFile stored_file(const std::filesystem::path& folder, const std::string& name) {
  const std::filesystem::path path = folder / name;
  const OpenFile file(path, O_RDONLY);
  const std::unique_ptr<XXH3_state_t, decltype(&XXH3_freeState)> state(XXH3_createState(),
                                                                       XXH3_freeState);
  XXH3_64bits_reset(state.get());
  std::vector<char> piece(std::size_t{1} << 20);
  StoredFile stored{name, 0, 0};
  while (const std::size_t n = file.read(piece.data(), piece.size())) {
    XXH3_64bits_update(state.get(), piece.data(), n);
    stored.size += n;
  }
  stored.checksum = XXH3_64bits_digest(state.get());
  return stored;
}

void verify_files(const std::filesystem::path& folder, const std::vector<StoredFile>& files,
                  int threads) {
  const auto verify = [&folder](const StoredFile& expected) {
    const std::filesystem::path path = folder / expected.name;
    std::error_code ec;
    const auto size = std::filesystem::file_size(path, ec);
    if (ec) throw Error(ErrorCode::kCorrupt, "checkpoint file is missing: " + path.string());
    if (size != expected.size) {
      throw Error(ErrorCode::kCorrupt, "checkpoint file has the wrong size: " + path.string() +
                                           ": " + std::to_string(size) + " instead of " +
                                           std::to_string(expected.size));
    }
    if (stored_file(folder, expected.name).checksum != expected.checksum) {
      throw Error(ErrorCode::kCorrupt,
                  "checkpoint file is damaged (checksum differs): " + path.string());
    }
  };
  std::atomic<std::size_t> next{0};
  std::mutex mutex;
  std::exception_ptr failure;
  const auto work = [&] {
    for (std::size_t i = next++; i < files.size(); i = next++) {
      try {
        verify(files[i]);
      } catch (...) {
        const std::lock_guard lock(mutex);
        if (!failure) failure = std::current_exception();
      }
    }
  };
  {
    std::vector<std::jthread> others;
    for (int t = 1; t < threads; ++t) others.emplace_back(work);
    work();
  }
  if (failure) std::rethrow_exception(failure);
}

}  // namespace tidemill
