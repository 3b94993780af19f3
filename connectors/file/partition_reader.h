// One partition of a file log: its files in name order as one sequence of lines.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace tidemill {

// Bytes of a file with room behind them for a parser that reads in steps of up to 64 bytes.
struct FileChunk {
  std::vector<char> bytes;
  std::size_t size = 0;
};

// One thread. Throws Error(kIo) naming the file.
class PartitionReader {
 public:
  PartitionReader(std::filesystem::path folder, std::size_t max_line_bytes);
  ~PartitionReader();
  PartitionReader(const PartitionReader&) = delete;
  PartitionReader& operator=(const PartitionReader&) = delete;

  // The next complete line, without its newline; false: none is there now. The view lives as long
  // as `chunk()` of this moment.
  bool next(std::string_view& line);
  [[nodiscard]] const std::shared_ptr<FileChunk>& chunk() const { return chunk_; }

  // Looks for new bytes and new files again after `next` found nothing.
  void refresh();
  // The line number of the line `next` gives next.
  [[nodiscard]] std::int64_t line() const { return line_; }
  // About how many lines there are beyond that one, from their bytes and the mean length of those
  // read; looks at the files. -1: nothing has been read to tell by.
  [[nodiscard]] std::int64_t estimate_lag() const;

 private:
  bool fill();
  bool open_next_file();
  bool has_later_file() const;

  const std::filesystem::path folder_;
  const std::size_t max_line_bytes_;
  std::vector<std::string> files_;  // names, in order
  std::size_t next_file_ = 0;       // index of the file after the open one
  int fd_ = -1;
  std::shared_ptr<FileChunk> chunk_;
  std::size_t at_ = 0;  // unread bytes of the chunk begin here
  std::int64_t line_ = 0;
  std::uint64_t bytes_read_ = 0;  // of lines given out
};

}  // namespace tidemill
