#include "app/validate.h"

#include <cerrno>
#include <cstring>
#include <system_error>
#include <unistd.h>

#include "engine/base/error.h"
#include "engine/checkpoint/manifest_commit.h"
#include "engine/checkpoint/restore_point.h"

namespace tidemill {
namespace {

namespace fs = std::filesystem;

// The part of the path that exists has to be a folder in which the rest can be made.
void check_folder(const fs::path& folder, std::vector<Finding>& findings) {
  std::error_code error;
  fs::path there = fs::absolute(folder, error);
  while (!fs::exists(there, error) && there.has_relative_path()) there = there.parent_path();
  std::string why;
  if (!fs::is_directory(there, error)) {
    why = there.string() + " is not a directory";
  } else if (::access(there.c_str(), W_OK | X_OK) != 0) {
    why = there.string() + ": " + std::strerror(errno);
  }
  if (why.empty()) return;
  findings.push_back(
      {Finding::Severity::kError, "cannot write to the directory " + folder.string() + ": " + why});
}

// What the folder alone can tell, whatever the commit record says.
void check_choice(const Environment& env, const CheckpointStorage& storage, RestoreChoice choice) {
  using Kind = RestoreChoice::Kind;
  if (choice.kind == Kind::kLatest && choice.assume_committed.empty()) {
    if (const auto all = storage.list(); !all.empty()) (void)storage.load(all.back().id);
    return;
  }
  // Whether the named one is the last committed is the record's to say.
  if (choice.kind == Kind::kId) choice.accept_duplicates = true;
  (void)choose_restore_point(env.job(), std::nullopt, storage, choice);
}

void check_restore(const Environment& env, const RestoreChoice& choice,
                   std::vector<Finding>& findings) {
  const CheckpointStorage storage(env.checkpoint_folder(), CheckpointStorage::Access::kReadOnly);
  try {
    if (!env.protocol()) {
      const RestorePoint point =
          choose_restore_point(env.job(), ManifestCommit(storage).acquire(), storage, choice);
      findings.push_back({Finding::Severity::kInfo, "would start from: " + point.why});
    } else {
      check_choice(env, storage, choice);
    }
  } catch (const Error& e) {
    findings.push_back({Finding::Severity::kError, e.what(), e.code()});
  }
}

}  // namespace

void validate_start(const Environment& env, const RestoreChoice& choice,
                    std::vector<Finding>& findings) {
  check_folder(env.checkpoint_folder(), findings);
  for (const auto& [folder, use] : env.folders()) {
    if (use == Environment::Use::kWrite) check_folder(folder, findings);
  }
  check_restore(env, choice, findings);
}

}  // namespace tidemill
