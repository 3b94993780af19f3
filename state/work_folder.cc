#include "state/work_folder.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <random>
#include <string>
#include <sys/file.h>
#include <unistd.h>

#include "engine/base/error.h"

namespace tidemill {
namespace {

constexpr const char* kLockName = "IN_USE";
constexpr std::string_view kPrefix = "attempt-";

// The descriptor if nobody else holds the lock, else -1.
int try_lock(const std::filesystem::path& folder, int flags) {
  const int fd = ::open((folder / kLockName).c_str(), O_RDWR | O_CLOEXEC | flags, 0644);
  if (fd < 0) return -1;
  if (::flock(fd, LOCK_EX | LOCK_NB) == 0) return fd;
  ::close(fd);
  return -1;
}

void remove_abandoned(const std::filesystem::path& parent) {
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(parent, ignored)) {
    if (!entry.path().filename().string().starts_with(kPrefix)) continue;
    const int fd = try_lock(entry.path(), 0);
    if (fd < 0) continue;
    std::filesystem::remove_all(entry.path(), ignored);
    ::close(fd);
  }
}

}  // namespace

WorkFolder::WorkFolder(const std::filesystem::path& parent) {
  std::error_code ec;
  std::filesystem::create_directories(parent, ec);
  if (ec)
    throw Error(ErrorCode::kIo,
                "state folder cannot be made: " + parent.string() + ": " + ec.message());
  remove_abandoned(parent);
  path_ = parent / (std::string(kPrefix) + std::to_string(std::random_device{}()) +
                    std::to_string(std::random_device{}()));
  std::filesystem::create_directory(path_, ec);
  if (!ec) lock_ = try_lock(path_, O_CREAT);
  if (lock_ < 0) {
    throw Error(ErrorCode::kIo, "state folder cannot be made: " + path_.string() + ": " +
                                    (ec ? ec.message() : std::strerror(errno)));
  }
}

WorkFolder::~WorkFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
  ::close(lock_);
}

}  // namespace tidemill
