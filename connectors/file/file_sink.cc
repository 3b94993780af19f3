#include "connectors/file/file_sink.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <fstream>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unistd.h>
#include <utility>
#include <vector>

#include "connectors/formats/murmur2.h"
#include "engine/base/bytes.h"
#include "engine/base/error.h"
#include "engine/base/files.h"
#include "engine/base/log.h"

namespace tidemill {
namespace fs = std::filesystem;
namespace {

constexpr std::size_t kWriteBytes = 256 * 1024;
constexpr const char* kPartSuffix = ".part";
// What a checkpoint published that a restore by choice has given up; the restored one's successor's
// number follows.
constexpr const char* kGivenUpSuffix = ".given-up-";
constexpr std::string_view kEndsPart = "ends";

[[noreturn]] void fail(const std::string& what, const fs::path& path, int error = errno) {
  throw Error(ErrorCode::kIo, what + ": " + path.string() + ": " + std::strerror(error));
}

fs::path partition_folder(const fs::path& dir, std::int32_t partition) {
  return dir / ("partition-" + std::to_string(partition));
}

std::string file_name(std::int64_t first_offset) {
  char name[32];
  std::snprintf(name, sizeof name, "%020lld.jsonl", static_cast<long long>(first_offset));
  return name;
}

// Names of the visible files, in order.
std::set<std::string> visible_files(const fs::path& folder) {
  std::set<std::string> names;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename().string();
    if (name.ends_with(".jsonl") && !name.starts_with(".")) names.insert(name);
  }
  return names;
}

// The offset behind the last visible line: the last file's name and its lines.
std::int64_t visible_end(const fs::path& folder) {
  const std::set<std::string> names = visible_files(folder);
  if (names.empty()) return 0;
  const std::string& last = *names.rbegin();
  std::int64_t first = 0;
  const auto [at, parse_error] = std::from_chars(last.data(), last.data() + last.size(), first);
  if (parse_error != std::errc() || file_name(first) != last) {
    throw Error(ErrorCode::kConfig, "the sink's directory holds files that it did not write: " +
                                        (folder / last).string() +
                                        "; choose another sinks.file.dir");
  }
  std::ifstream in(folder / last, std::ios::binary);
  std::vector<char> buffer(kWriteBytes);
  std::int64_t lines = 0;
  while (in) {
    in.read(buffer.data(), static_cast<std::streamsize>(buffer.size()));
    lines += std::count(buffer.data(), buffer.data() + in.gcount(), '\n');
  }
  return first + lines;
}

class FileSink final : public Sink, private Snapshotable {
 public:
  FileSink(OperatorContext& ctx, const FileSinkSettings& settings) : settings_(settings) {
    for (std::int32_t p = 0; p < settings.partitions; ++p) {
      Partition partition;
      partition.folder = partition_folder(settings.dir, p);
      std::error_code error;
      fs::create_directories(partition.folder, error);
      if (error)
        throw Error(ErrorCode::kConfig, "cannot create the sink's directory: " +
                                            partition.folder.string() + ": " + error.message());
      partition.next_offset = visible_end(partition.folder);
      partitions_.push_back(std::move(partition));
    }
    const auto* attempt = ctx.resources().find<AttemptInfo>();
    const bool is_by_choice = attempt != nullptr && attempt->is_by_choice;
    go_on(ctx, is_by_choice ? std::optional(attempt->next_checkpoint) : std::nullopt);
    ctx.attach(*this);
  }
  ~FileSink() override {
    for (Partition& p : partitions_) {
      if (p.fd >= 0) ::close(p.fd);
    }
    for (const Closing& c : closing_) ::close(c.fd);
  }
  FileSink(const FileSink&) = delete;
  FileSink& operator=(const FileSink&) = delete;

  void write(const OutputBatch& batch) override {
    for (std::size_t i = 0; i < batch.size(); ++i) {
      const OutputBatch::Row row = batch.row(i);
      const std::int32_t p = row.has_key ? partition_of(row.key, settings_.partitions) : 0;
      Partition& partition = partitions_[static_cast<std::size_t>(p)];
      if (partition.fd < 0) open(partition);
      partition.buffer.append(row.value);
      partition.buffer.push_back('\n');
      ++partition.next_offset;
      if (partition.buffer.size() >= kWriteBytes) flush(partition);
    }
  }

 private:
  struct Partition {
    fs::path folder;
    std::int64_t next_offset = 0;
    std::int64_t first_offset = 0;  // of the open file
    int fd = -1;
    fs::path part;
    std::string buffer;
  };
  struct Closing {
    int fd = -1;
    fs::path part;
    std::string folder;
    std::string part_name;
    std::string final_name;
    std::string rest;  // bytes not yet written
  };

  // Where the restored checkpoint ended. What was published after it would be doubled by what is
  // written from here on. A file lies on one side of every barrier.
  void go_on(const OperatorContext& ctx, std::optional<CheckpointId> first_of_choice) {
    for (const ByteView part : ctx.restored(kEndsPart)) {
      ByteReader in(part);
      for (Partition& p : partitions_) {
        if (in.empty()) break;  // the sink had fewer partitions then
        p.next_offset = static_cast<std::int64_t>(in.varint());
        for (const std::string& name : visible_files(p.folder)) {
          if (name < file_name(p.next_offset)) continue;
          if (!first_of_choice) refuse_published(p.folder / name);
          give_up(p, name, name + kGivenUpSuffix + std::to_string(*first_of_choice));
        }
      }
    }
  }

  // Row E where the manifest is the commit record: only its output still tells of a checkpoint
  // whose folder is gone.
  [[noreturn]] static void refuse_published(const fs::path& file) {
    throw Error(ErrorCode::kRefused,
                "the committed checkpoint is missing: " + file.string() +
                    " was published by a newer one than those in the checkpoint folder; bring its "
                    "folder back; or give up what it published with --restore ID "
                    "--accept-duplicates (--list-checkpoints shows them)");
  }

  // Out of sight with the first commit of the new lineage, until which it counts.
  void give_up(const Partition& p, const std::string& name, const std::string& hidden) {
    append_sized(prepared_, p.folder.filename().string());
    append_sized(prepared_, name);
    append_sized(prepared_, hidden);
    log(LogLevel::kWarn,
        "file sink: rows of a checkpoint that this restore gives up go out of sight: " +
            (p.folder / hidden).string());
  }

  static void open(Partition& p) {
    p.first_offset = p.next_offset;
    p.part = p.folder / ("." + file_name(p.first_offset) + kPartSuffix);
    p.fd = ::open(p.part.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (p.fd < 0) fail("cannot create an output file", p.part);
  }

  static void write_all(int fd, std::string& bytes, const fs::path& path) {
    std::string_view rest(bytes);
    while (!rest.empty()) {
      const ssize_t n = ::write(fd, rest.data(), rest.size());
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) fail("cannot write an output file", path);
      rest.remove_prefix(static_cast<std::size_t>(n));
    }
    bytes.clear();
  }
  static void flush(Partition& p) { write_all(p.fd, p.buffer, p.part); }

  void freeze(CheckpointId) override {
    ends_.clear();
    for (Partition& p : partitions_) {
      append_varint(ends_, static_cast<std::uint64_t>(p.next_offset));
      if (p.fd < 0) continue;
      Closing c;
      c.fd = std::exchange(p.fd, -1);
      c.part = p.part;
      c.folder = p.folder.filename().string();
      c.part_name = p.part.filename().string();
      c.final_name = file_name(p.first_offset);
      c.rest = std::exchange(p.buffer, {});
      closing_.push_back(std::move(c));
    }
  }

  // One file a call: an fsync each.
  bool drain(StageSnapshot& out, std::size_t) override {
    if (closing_.empty()) {
      out.prepared = std::exchange(prepared_, {});
      out.parts.push_back({std::string(kEndsPart), std::exchange(ends_, {})});
      return true;
    }
    Closing& c = closing_.back();
    write_all(c.fd, c.rest, c.part);
    if (settings_.is_durable && ::fsync(c.fd) != 0) fail("cannot fsync an output file", c.part);
    ::close(c.fd);
    append_sized(prepared_, c.folder);
    append_sized(prepared_, c.part_name);
    append_sized(prepared_, c.final_name);
    closing_.pop_back();
    return false;
  }

  const FileSinkSettings settings_;
  std::vector<Partition> partitions_;
  std::vector<Closing> closing_;
  Bytes prepared_;
  Bytes ends_;  // offset behind the last row before the barrier, by partition
};

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

void discard_unpublished(const FileSinkSettings& settings) {
  std::error_code ignored;
  for (std::int32_t p = 0; p < settings.partitions; ++p) {
    std::vector<fs::path> left_over;
    for (const auto& entry : fs::directory_iterator(partition_folder(settings.dir, p), ignored)) {
      if (entry.path().filename().string().ends_with(kPartSuffix))
        left_over.push_back(entry.path());
    }
    for (const fs::path& path : left_over) fs::remove(path, ignored);
  }
}

}  // namespace

SinkSpec file_sink(FileSinkSettings settings) {
  SinkSpec spec;
  spec.kind = "file sink";
  spec.is_append_only = true;
  spec.parallelism = 1;
  spec.make = [settings](OperatorContext& ctx) {
    return std::make_unique<FileSink>(ctx, settings);
  };
  spec.publish = [settings](ByteView prepared) { publish(settings, prepared); };
  spec.discard_unpublished = [settings] { discard_unpublished(settings); };
  return spec;
}

}  // namespace tidemill
