#include "connectors/file/partition_reader.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

#include "engine/base/error.h"

namespace tidemill {
namespace fs = std::filesystem;
namespace {

constexpr std::size_t kChunkBytes = 256 * 1024;

}  // namespace

PartitionReader::PartitionReader(fs::path folder, std::size_t max_line_bytes)
    : folder_(std::move(folder)), max_line_bytes_(max_line_bytes) {
  refresh();
}

PartitionReader::~PartitionReader() {
  if (fd_ >= 0) ::close(fd_);
}

void PartitionReader::refresh() {
  std::vector<std::string> names;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder_, error)) {
    std::string name = entry.path().filename().string();
    if (name.ends_with(".jsonl") && !name.starts_with(".")) names.push_back(std::move(name));
  }
  if (error)
    throw Error(ErrorCode::kIo, "cannot list a partition of the file log: " + folder_.string() +
                                    ": " + error.message());
  std::sort(names.begin(), names.end());
  // Files that were read keep their place; a log only grows at its end.
  const auto first_new = next_file_ == 0
                             ? names.begin()
                             : std::upper_bound(names.begin(), names.end(), files_[next_file_ - 1]);
  files_.resize(next_file_);
  files_.insert(files_.end(), first_new, names.end());
}

bool PartitionReader::has_later_file() const { return next_file_ < files_.size(); }

bool PartitionReader::open_next_file() {
  if (!has_later_file()) return false;
  const fs::path path = folder_ / files_[next_file_];
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);  // a pipe would wait
  if (fd < 0)
    throw Error(ErrorCode::kIo, "cannot open a file of the file log: " + path.string() + ": " +
                                    std::strerror(errno));
  struct stat status {};
  if (::fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
    ::close(fd);
    throw Error(ErrorCode::kConfig,
                "the file log holds something that is no file: " + path.string() + "; take it out");
  }
  if (fd_ >= 0) ::close(fd_);
  fd_ = fd;
  ++next_file_;
  return true;
}

// Reads more bytes of the open file behind the unread ones. False at its end.
bool PartitionReader::fill() {
  if (fd_ < 0) return false;
  const std::size_t unread = chunk_ ? chunk_->size - at_ : 0;
  if (unread > max_line_bytes_) {
    throw Error(ErrorCode::kBadData, "a line of the file log is longer than " +
                                         std::to_string(max_line_bytes_) +
                                         " bytes: " + folder_.string() + " line " +
                                         std::to_string(line_) + "; split it or take it out");
  }
  // A long line doubles the room each time, so that it is copied a constant number of times.
  auto more = std::make_shared<FileChunk>();
  const std::size_t room = std::max(kChunkBytes, unread);
  more->bytes.resize(unread + room);
  if (unread > 0) std::memcpy(more->bytes.data(), chunk_->bytes.data() + at_, unread);
  ssize_t n = 0;
  do {
    n = ::read(fd_, more->bytes.data() + unread, room);
  } while (n < 0 && errno == EINTR);
  if (n < 0)
    throw Error(ErrorCode::kIo,
                "cannot read the file log: " + folder_.string() + ": " + std::strerror(errno));
  if (n == 0) return false;
  more->size = unread + static_cast<std::size_t>(n);
  chunk_ = std::move(more);
  at_ = 0;
  return true;
}

std::int64_t PartitionReader::estimate_lag() const {
  std::uint64_t bytes = chunk_ ? chunk_->size - at_ : 0;
  if (fd_ >= 0) {
    struct stat open_file {};
    const off_t at = ::lseek(fd_, 0, SEEK_CUR);
    if (::fstat(fd_, &open_file) == 0 && open_file.st_size > at)
      bytes += static_cast<std::uint64_t>(open_file.st_size - at);
  }
  for (std::size_t i = next_file_; i < files_.size(); ++i) {
    std::error_code error;
    const auto size = fs::file_size(folder_ / files_[i], error);
    if (!error) bytes += size;
  }
  if (bytes == 0) return 0;
  if (line_ == 0 || bytes_read_ == 0) return -1;
  return static_cast<std::int64_t>(static_cast<double>(bytes) * static_cast<double>(line_) /
                                   static_cast<double>(bytes_read_));
}

bool PartitionReader::next(std::string_view& line) {
  std::size_t searched = 0;  // unread bytes known to hold no newline
  while (true) {
    if (chunk_ && at_ + searched < chunk_->size) {
      const char* begin = chunk_->bytes.data() + at_;
      const std::size_t unread = chunk_->size - at_;
      if (const void* newline = std::memchr(begin + searched, '\n', unread - searched)) {
        const auto length = static_cast<std::size_t>(static_cast<const char*>(newline) - begin);
        line = {begin, length};
        at_ += length + 1;
        bytes_read_ += length + 1;
        ++line_;
        return true;
      }
      searched = unread;
    }
    if (fill()) continue;
    if (!has_later_file()) return false;
    // A later file has begun, so nobody will finish this line.
    if (chunk_ && at_ < chunk_->size) {
      line = {chunk_->bytes.data() + at_, chunk_->size - at_};
      at_ = chunk_->size;
      ++line_;
      return true;
    }
    if (!open_next_file()) return false;
    searched = 0;
  }
}

}  // namespace tidemill
