#include <algorithm>
#include <fcntl.h>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unistd.h>
#include <utility>
#include <vector>

#include "connectors/file/bucketed_sink_internal.h"
#include "connectors/file/part_files_internal.h"
#include "connectors/file/time_buckets_internal.h"
#include "connectors/formats/murmur2.h"
#include "engine/base/error.h"
#include "engine/base/files.h"

namespace tidemill::file_internal {
namespace fs = std::filesystem;
namespace {

constexpr std::string_view kNextPart = "next";
// Of all files together, written or not; beyond, all that waits is written.
constexpr std::size_t kMostWaiting = std::size_t{16} << 20;

// All files below `dir` whose name `wanted` likes.
template <class Wanted>
std::vector<fs::path> files_below(const fs::path& dir, Wanted wanted) {
  std::vector<fs::path> found;
  std::error_code error;
  for (auto it = fs::recursive_directory_iterator(dir, error);
       !error && it != fs::recursive_directory_iterator(); it.increment(error)) {
    if (wanted(it->path().filename().string())) found.push_back(it->path());
  }
  if (error && error != std::errc::no_such_file_or_directory)
    throw Error(ErrorCode::kIo,
                "cannot list the sink's directory: " + dir.string() + ": " + error.message());
  std::sort(found.begin(), found.end());
  return found;
}

class BucketedSink final : public Sink, private Snapshotable {
 public:
  BucketedSink(OperatorContext& ctx, const FileSinkSettings& settings)
      : settings_(settings), buckets_(settings.bucket) {
    std::error_code error;
    fs::create_directories(settings.dir, error);
    if (error)
      throw Error(ErrorCode::kConfig, "cannot create the sink's directory: " +
                                          settings.dir.string() + ": " + error.message());
    go_on(ctx);
    ctx.attach(*this);
  }

  void write(const OutputBatch& batch) override {
    for (std::size_t i = 0; i < batch.size(); ++i) {
      const OutputBatch::Row row = batch.row(i);
      Bucket& bucket = bucket_of(row.time);
      const std::int32_t p = row.has_key ? partition_of(row.key, settings_.partitions) : 0;
      File& file = bucket[static_cast<std::size_t>(p)];
      file.waiting.append(row.value);
      file.waiting.push_back('\n');
      num_waiting_ += row.value.size() + 1;
      if (file.waiting.size() >= kWriteBytes) flush(file);
    }
    if (num_waiting_ > kMostWaiting) {
      for (auto& [_, bucket] : open_) {
        for (File& file : bucket) {
          if (!file.waiting.empty()) flush(file);
        }
      }
    }
  }

 private:
  // No descriptor is kept: in a replay there may be more buckets between two checkpoints than a
  // process may open files.
  struct File {
    std::string folder;
    std::string waiting;  // rows that are not in the file yet
    bool is_begun = false;
    bool is_folder_new = false;
  };
  using Bucket = std::vector<File>;  // by partition

  void go_on(OperatorContext& ctx) {
    const std::vector<ByteView> restored = ctx.restored(kNextPart);
    for (const ByteView part : restored)
      next_ = static_cast<std::int64_t>(ByteReader(part).varint());
    const auto* attempt = ctx.resources().find<AttemptInfo>();
    for (const fs::path& file : files_below(settings_.dir, is_visible)) {
      const std::int64_t number = number_of(file);
      if (restored.empty()) {
        next_ = std::max(next_, number + 1);
      } else if (number >= next_) {
        if (attempt == nullptr || !attempt->is_by_choice) refuse_published(file);
        give_up(prepared_, settings_.dir,
                file.parent_path().lexically_relative(settings_.dir).string(),
                file.filename().string(), attempt->next_checkpoint);
      }
    }
  }

  Bucket& bucket_of(EventTime at) {
    const std::string& name = buckets_.name_of(at);
    if (last_ != open_.end() && last_->first == name) return last_->second;
    last_ = open_.find(name);
    if (last_ == open_.end()) {
      Bucket bucket;
      for (std::int32_t p = 0; p < settings_.partitions; ++p)
        bucket.push_back({name + "/" + partition_name(p), {}, false, false});
      last_ = open_.emplace(name, std::move(bucket)).first;
    }
    return last_->second;
  }

  [[nodiscard]] fs::path part_of(const File& file, std::int64_t number) const {
    return settings_.dir / file.folder / part_name(number);
  }

  void flush(File& file) {
    num_waiting_ -= file.waiting.size();
    append(file, next_, false);
  }

  void append(File& file, std::int64_t number, bool is_last) const {
    const fs::path path = part_of(file, number);
    if (!file.is_begun) {
      std::error_code error;
      file.is_folder_new = fs::create_directories(path.parent_path(), error);
      if (error)
        throw Error(ErrorCode::kIo, "cannot create a folder of the sink: " +
                                        path.parent_path().string() + ": " + error.message());
    }
    const int begin = file.is_begun ? O_APPEND : O_CREAT | O_TRUNC;
    file.is_begun = true;
    const OpenFile out(path, O_WRONLY | O_CLOEXEC | begin);
    write_all(out.descriptor(), file.waiting, path);
    if (!is_last || !settings_.is_durable) return;
    out.sync();
    if (!file.is_folder_new) return;
    for (fs::path folder = path.parent_path(); folder != settings_.dir;) {
      folder = folder.parent_path();
      sync_folder(folder);
    }
  }

  void freeze(CheckpointId) override {
    closing_ = std::exchange(open_, {});
    last_ = open_.end();
    num_waiting_ = 0;
    closing_number_ = next_;
    if (!closing_.empty()) ++next_;
    frozen_next_ = next_;
  }

  // One file a call: an fsync each.
  bool drain(StageSnapshot& out, std::size_t) override {
    if (closing_.empty()) {
      out.prepared = std::exchange(prepared_, {});
      Bytes next;
      append_varint(next, static_cast<std::uint64_t>(frozen_next_));
      out.parts.push_back({std::string(kNextPart), std::move(next)});
      return true;
    }
    Bucket& bucket = closing_.begin()->second;
    File& file = bucket.back();
    if (file.is_begun || !file.waiting.empty()) {
      append(file, closing_number_, true);
      append_rename(prepared_, file.folder, part_name(closing_number_), file_name(closing_number_));
    }
    bucket.pop_back();
    if (bucket.empty()) closing_.erase(closing_.begin());
    return false;
  }

  const FileSinkSettings settings_;
  TimeBuckets buckets_;
  std::map<std::string, Bucket> open_;
  std::map<std::string, Bucket>::iterator last_ = open_.end();
  std::size_t num_waiting_ = 0;  // bytes, of open_
  std::int64_t next_ = 0;        // of the files of the next checkpoint
  std::map<std::string, Bucket> closing_;
  std::int64_t closing_number_ = 0;
  std::int64_t frozen_next_ = 0;
  Bytes prepared_;
};

}  // namespace

SinkSpec bucketed_sink(const FileSinkSettings& settings) {
  (void)TimeBuckets(settings.bucket);
  SinkSpec spec = spec_of(settings);
  spec.make = [settings](OperatorContext& ctx) {
    return std::make_unique<BucketedSink>(ctx, settings);
  };
  spec.parts = {{std::string(kNextPart)}};
  spec.discard_unpublished = [settings] {
    std::error_code ignored;
    for (const fs::path& part : files_below(settings.dir, is_part)) fs::remove(part, ignored);
  };
  return spec;
}

}  // namespace tidemill::file_internal
