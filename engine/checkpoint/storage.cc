#include "engine/checkpoint/storage.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstring>
#include <fcntl.h>
#include <random>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

#include "engine/base/error.h"
#include "engine/base/fault.h"
#include "engine/base/files.h"
#include "engine/checkpoint/refusal.h"

namespace tidemill {
namespace fs = std::filesystem;
namespace {

constexpr const char* kTemporary = ".tmp";
constexpr const char* kManifest = "manifest";
constexpr const char* kSavepoint = "savepoint";  // the mark: its folder is kept

[[noreturn]] void fail(const std::string& what, const fs::path& path, int error = errno) {
  throw Error(ErrorCode::kIo, what + ": " + path.string() + ": " + std::strerror(error));
}

// "<seq>-<uuid>", or nothing.
std::optional<CheckpointName> parse_name(const std::string& name) {
  CheckpointId seq = 0;
  const char* end = name.data() + name.size();
  const auto [at, error] = std::from_chars(name.data(), end, seq);
  if (error != std::errc() || at == end || *at != '-' || name.ends_with(kTemporary))
    return std::nullopt;
  return CheckpointName{seq, name, false};
}

std::vector<CheckpointName> list_folder(const fs::path& folder) {
  std::vector<CheckpointName> found;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    auto name = parse_name(entry.path().filename().string());
    if (!name || !fs::exists(entry.path() / kManifest, error)) continue;
    name->is_savepoint = fs::exists(entry.path() / kSavepoint, error);
    found.push_back(std::move(*name));
  }
  std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) {
    return std::tie(a.seq, a.id) < std::tie(b.seq, b.id);
  });
  return found;
}

}  // namespace

void delete_savepoint(const fs::path& folder, const std::string& id) {
  std::string known;
  for (const CheckpointName& name : list_folder(folder)) {
    if (!name.is_savepoint) continue;
    if (!name.is_called(id)) {
      known += (known.empty() ? "" : ", ") + name.id;
      continue;
    }
    const fs::path mark = folder / name.id / kSavepoint;
    if (::unlink(mark.c_str()) != 0) fail("cannot delete a savepoint", mark);
    sync_folder(folder / name.id);
    return;
  }
  throw Error(ErrorCode::kRefused, "there is no savepoint " + id + " in " + folder.string() +
                                       ", which has: " + (known.empty() ? "none" : known));
}

CheckpointStorage::CheckpointStorage(fs::path folder, Access access, bool is_durable)
    : folder_(std::move(folder)), is_durable_(is_durable) {
  if (access == Access::kReadOnly) return;
  std::error_code error;
  fs::create_directories(folder_, error);
  if (error)
    throw Error(ErrorCode::kConfig, "cannot create the checkpoint folder: " + folder_.string() +
                                        ": " + error.message());
  const fs::path lock = folder_ / "LOCK";
  lock_ = ::open(lock.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (lock_ < 0)
    throw Error(ErrorCode::kConfig, "cannot write to the checkpoint folder: " + lock.string() +
                                        ": " + std::strerror(errno));
  if (::flock(lock_, LOCK_EX | LOCK_NB) != 0) {
    ::close(lock_);
    lock_ = -1;
    throw RefusedStart({"already_running", ""},
                       std::string(kFolderIsOwned) +
                           ": its checkpoint folder is locked: " + folder_.string() +
                           "; stop that process, or run under another name with --as NAME");
  }
}

CheckpointStorage::~CheckpointStorage() {
  if (lock_ >= 0) ::close(lock_);
}

std::vector<CheckpointName> CheckpointStorage::list() const { return list_folder(folder_); }

std::string CheckpointStorage::new_id(CheckpointId seq) {
  std::random_device device;
  char text[40];
  std::snprintf(text, sizeof text, "%08x-%08x", device(), device());
  return std::to_string(seq) + "-" + text;
}

fs::path CheckpointStorage::begin(const std::string& id) {
  const fs::path temporary = folder_ / (id + kTemporary);
  std::error_code error;
  fs::remove_all(temporary, error);
  fs::create_directories(temporary / "state", error);
  if (error)
    throw Error(ErrorCode::kIo, "cannot create a checkpoint folder: " + temporary.string() + ": " +
                                    error.message());
  return temporary / "state";
}

std::uint64_t CheckpointStorage::finish(const Manifest& manifest, bool is_savepoint) {
  const fs::path temporary = folder_ / (manifest.checkpoint + kTemporary);
  const Bytes bytes = encode(manifest);
  const Durability durability = is_durable_ ? Durability::kSynced : Durability::kNone;
  write_file(temporary / kManifest, bytes, durability);
  if (is_savepoint) write_file(temporary / kSavepoint, "kept until it is deleted\n", durability);
  if (is_durable_) {
    sync_folder(temporary / "state");
    sync_folder(temporary);
  }
  TM_CRASH_POINT("before_manifest_rename");
  const fs::path final = folder_ / manifest.checkpoint;
  if (::rename(temporary.c_str(), final.c_str()) != 0)
    fail("cannot rename a checkpoint folder", temporary);
  if (is_durable_) sync_folder(folder_);
  TM_CRASH_POINT("after_manifest_rename");
  return manifest_hash(bytes);
}

void CheckpointStorage::abandon(const std::string& id) {
  std::error_code ignored;
  fs::remove_all(folder_ / (id + kTemporary), ignored);
}

CheckpointStorage::Loaded CheckpointStorage::load(const std::string& id) const {
  const fs::path path = folder_ / id / kManifest;
  if (!fs::exists(path))
    throw Error(ErrorCode::kRefused, "there is no checkpoint " + id + " in " + folder_.string());
  const Bytes bytes = read_file(path);
  return {decode_manifest(bytes, path.string()), manifest_hash(bytes)};
}

fs::path CheckpointStorage::state_folder(const std::string& id) const {
  return folder_ / id / "state";
}

void CheckpointStorage::remove(const std::string& id) {
  std::error_code ignored;
  fs::remove(folder_ / id / kManifest, ignored);
  TM_CRASH_POINT("mid_gc");
  fs::remove_all(folder_ / id, ignored);
}

void CheckpointStorage::remove_unfinished() {
  std::error_code ignored;
  std::vector<fs::path> unfinished;
  for (const auto& entry : fs::directory_iterator(folder_, ignored)) {
    const std::string name = entry.path().filename().string();
    const bool is_ours =
        name.ends_with(kTemporary) || (parse_name(name) && !fs::exists(entry.path() / kManifest));
    if (entry.is_directory() && is_ours) unfinished.push_back(entry.path());
  }
  for (const fs::path& path : unfinished) fs::remove_all(path, ignored);
}

void CheckpointStorage::audit(const std::string& line) {
  const auto now = std::chrono::duration_cast<std::chrono::milliseconds>(
                       std::chrono::system_clock::now().time_since_epoch())
                       .count();
  OpenFile file(folder_ / "audit.log", O_WRONLY | O_CREAT | O_APPEND);
  file.write(std::to_string(now) + " " + line + "\n");
  file.sync();
}

}  // namespace tidemill
