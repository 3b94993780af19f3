#include "connectors/file/part_files_internal.h"

#include <charconv>
#include <cstdio>
#include <cstring>
#include <set>
#include <unistd.h>

#include "engine/base/error.h"
#include "engine/base/files.h"
#include "engine/base/log.h"

namespace tidemill::file_internal {
namespace fs = std::filesystem;

void fail(const std::string& what, const fs::path& path, int error) {
  throw Error(ErrorCode::kIo, what + ": " + path.string() + ": " + std::strerror(error));
}

std::string partition_name(std::int32_t partition) {
  return "partition-" + std::to_string(partition);
}

std::string file_name(std::int64_t number) {
  char name[32];
  std::snprintf(name, sizeof name, "%020lld.jsonl", static_cast<long long>(number));
  return name;
}

std::string part_name(std::int64_t number) {
  return "." + file_name(number) + std::string(kPartSuffix);
}

bool is_visible(const std::string& name) {
  return name.ends_with(".jsonl") && !name.starts_with(".");
}

bool is_part(const std::string& name) { return name.ends_with(kPartSuffix); }

std::int64_t number_of(const fs::path& file) {
  const std::string name = file.filename().string();
  std::int64_t number = 0;
  const auto [at, error] = std::from_chars(name.data(), name.data() + name.size(), number);
  if (error != std::errc() || file_name(number) != name) {
    throw Error(ErrorCode::kConfig, "the sink's directory holds files that it did not write: " +
                                        file.string() + "; choose another sinks.file.dir");
  }
  return number;
}

void write_all(int fd, std::string& bytes, const fs::path& path) {
  std::string_view rest(bytes);
  while (!rest.empty()) {
    const ssize_t n = ::write(fd, rest.data(), rest.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail("cannot write an output file", path);
    rest.remove_prefix(static_cast<std::size_t>(n));
  }
  bytes.clear();
}

void append_rename(Bytes& prepared, const std::string& folder, const std::string& from,
                   const std::string& to) {
  append_sized(prepared, folder);
  append_sized(prepared, from);
  append_sized(prepared, to);
}

void refuse_published(const fs::path& file) {
  throw Error(ErrorCode::kRefused,
              "the committed checkpoint is missing: " + file.string() +
                  " was published by a newer one than those in the checkpoint folder; bring its "
                  "folder back; or give up what it published with --restore ID "
                  "--accept-duplicates (--list-checkpoints shows them)");
}

void give_up(Bytes& prepared, const fs::path& dir, const std::string& folder,
             const std::string& name, CheckpointId first_of_choice) {
  const std::string hidden = name + std::string(kGivenUpSuffix) + std::to_string(first_of_choice);
  append_rename(prepared, folder, name, hidden);
  log(LogLevel::kWarn,
      "file sink: rows of a checkpoint that this restore gives up go out of sight: " +
          (dir / folder / hidden).string());
}

namespace {

void publish(const FileSinkSettings& settings, ByteView prepared) {
  ByteReader in(prepared);
  std::set<fs::path> folders;
  while (!in.empty()) {
    const fs::path folder = settings.dir / in.sized();
    const fs::path part = folder / in.sized();
    const fs::path final = folder / in.sized();
    // Never twice: another file may have the first one's name by now.
    if (final.filename().string().find(kGivenUpSuffix) != std::string::npos &&
        (fs::exists(final) || !fs::exists(part))) {
      continue;
    }
    if (::rename(part.c_str(), final.c_str()) != 0) {
      if (errno != ENOENT || !fs::exists(final)) {
        throw Error(ErrorCode::kRefused,
                    "a committed output file is missing: " + part.string() +
                        "; it was removed after it was written: bring it back, or "
                        "begin under another name (--as)");
      }
      continue;  // published before a crash
    }
    folders.insert(folder);
  }
  if (!settings.is_durable) return;
  for (const fs::path& folder : folders) sync_folder(folder);
}

}  // namespace

SinkSpec spec_of(const FileSinkSettings& settings) {
  SinkSpec spec;
  spec.kind = "file sink";
  spec.is_append_only = true;
  spec.parallelism = 1;
  spec.publish = [settings](ByteView prepared) { publish(settings, prepared); };
  return spec;
}

}  // namespace tidemill::file_internal
