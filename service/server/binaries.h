// Uploaded job binaries, kept by the SHA-256 of their content.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "service/server/job_folder.h"

namespace tidemill::server {

// Thread-safe.
class Binaries {
 public:
  // `allow_list`: a file of SHA-256s, one at the beginning of each line (as sha256sum prints them),
  // read again at each use; empty: everything is allowed. `for_other_users`: jobs run as somebody
  // else, who has to be able to execute them.
  Binaries(ServerFolder folder, std::filesystem::path allow_list, bool for_other_users)
      : folder_(std::move(folder)),
        allow_list_(std::move(allow_list)),
        for_other_users_(for_other_users) {}

  struct Kept {
    std::string sha256;
    std::int64_t bytes = 0;
  };
  // Takes an uploaded file, which is gone afterwards. Throws Error(kConfig) if it is no program of
  // this machine, Error(kRefused) if it is not on the list.
  [[nodiscard]] Kept keep(const std::filesystem::path& uploaded) const;
  // Where an upload goes meanwhile: a new name each time, on the same file system.
  [[nodiscard]] std::filesystem::path upload_path() const;
  void remove_unfinished() const;

  [[nodiscard]] bool has(const std::string& sha256) const;
  [[nodiscard]] bool is_allowed(const std::string& sha256) const;

 private:
  ServerFolder folder_;
  std::filesystem::path allow_list_;
  bool for_other_users_;
};

[[nodiscard]] bool is_sha256(const std::string& text);  // 64 lower-case hexadecimal digits

}  // namespace tidemill::server
