#include "connectors/file/file_sink.h"

#include <algorithm>
#include <fcntl.h>
#include <fstream>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unistd.h>
#include <utility>
#include <vector>

#include "connectors/file/bucketed_sink_internal.h"
#include "connectors/file/part_files_internal.h"
#include "connectors/formats/murmur2.h"
#include "engine/base/bytes.h"
#include "engine/base/error.h"

namespace tidemill {
namespace fs = std::filesystem;
using namespace file_internal;  // NOLINT(google-build-using-namespace)
namespace {

constexpr std::string_view kEndsPart = "ends";

// Names of the visible files, in order.
std::set<std::string> visible_files(const fs::path& folder) {
  std::set<std::string> names;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename().string();
    if (is_visible(name)) names.insert(name);
  }
  return names;
}

// The offset behind the last visible line: the last file's name and its lines.
std::int64_t visible_end(const fs::path& folder) {
  const std::set<std::string> names = visible_files(folder);
  if (names.empty()) return 0;
  const std::string& last = *names.rbegin();
  const std::int64_t first = number_of(folder / last);
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
      partition.folder = settings.dir / partition_name(p);
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
          give_up(prepared_, settings_.dir, p.folder.filename().string(), name, *first_of_choice);
        }
      }
    }
  }

  static void open(Partition& p) {
    p.first_offset = p.next_offset;
    p.part = p.folder / part_name(p.first_offset);
    p.fd = ::open(p.part.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (p.fd < 0) fail("cannot create an output file", p.part);
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
    append_rename(prepared_, c.folder, c.part_name, c.final_name);
    closing_.pop_back();
    return false;
  }

  const FileSinkSettings settings_;
  std::vector<Partition> partitions_;
  std::vector<Closing> closing_;
  Bytes prepared_;
  Bytes ends_;  // offset behind the last row before the barrier, by partition
};

void discard_unpublished(const FileSinkSettings& settings) {
  std::error_code ignored;
  for (std::int32_t p = 0; p < settings.partitions; ++p) {
    std::vector<fs::path> left_over;
    for (const auto& entry : fs::directory_iterator(settings.dir / partition_name(p), ignored)) {
      if (is_part(entry.path().filename().string())) left_over.push_back(entry.path());
    }
    for (const fs::path& path : left_over) fs::remove(path, ignored);
  }
}

}  // namespace

SinkSpec file_sink(FileSinkSettings settings) {
  if (!settings.bucket.empty()) return bucketed_sink(settings);
  SinkSpec spec = spec_of(settings);
  spec.make = [settings](OperatorContext& ctx) {
    return std::make_unique<FileSink>(ctx, settings);
  };
  spec.parts = {{std::string(kEndsPart)}};
  spec.discard_unpublished = [settings] { discard_unpublished(settings); };
  return spec;
}

}  // namespace tidemill
