// A folder that belongs to one process for as long as it lives.
#pragma once

#include <filesystem>

namespace tidemill {

// Makes `parent`/attempt-RANDOM, locked while this object lives and removed with it. What processes
// that are gone left in `parent` is removed first; what a living (or stopped) process holds is left
// alone.
class WorkFolder {
 public:
  explicit WorkFolder(const std::filesystem::path& parent);
  ~WorkFolder();
  WorkFolder(const WorkFolder&) = delete;
  WorkFolder& operator=(const WorkFolder&) = delete;

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
  int lock_ = -1;
};

}  // namespace tidemill
