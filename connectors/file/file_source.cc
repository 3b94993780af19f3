#include "connectors/file/file_source.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <memory>
#include <utility>

#include "connectors/file/partition_reader.h"
#include "engine/base/error.h"
#include "engine/base/hash.h"

namespace tidemill {
namespace fs = std::filesystem;
namespace {

constexpr auto kLookAgainEvery = std::chrono::milliseconds(2);
constexpr auto kListEvery = std::chrono::milliseconds(100);
constexpr auto kEstimateEvery = std::chrono::milliseconds(500);
constexpr auto kDiscoverEvery = std::chrono::seconds(2);
constexpr const char* kStopPart = "stop";
constexpr const char* kEndPart = "end";

// Where a run ends, as a checkpoint remembers it: the same text, the same end.
std::string end_of(const FileSourceSettings& settings) {
  switch (settings.stop.kind) {
    case FilePosition::Kind::kNone:
    case FilePosition::Kind::kEarliest: return settings.follow ? "never" : "files";
    case FilePosition::Kind::kLatest: return "latest";
    case FilePosition::Kind::kTime: return "time " + std::to_string(settings.stop.time.ms);
    case FilePosition::Kind::kOffsets: break;
  }
  std::string text = "offsets";
  for (const auto& [partition, offset] : settings.stop.offsets)
    text += " " + std::to_string(partition) + "=" + std::to_string(offset);
  return text;
}

struct Split {
  std::int32_t partition = 0;
  std::unique_ptr<PartitionReader> reader;
  std::optional<std::int64_t> stop;  // first line that is not read
  std::chrono::nanoseconds look_again_at{};
  std::chrono::nanoseconds list_again_at{};
};

class FileReader final : public SourceReader<RawRecord>, private Snapshotable {
 public:
  FileReader(OperatorContext& ctx, const FileSourceSettings& settings,
             const std::vector<SplitPosition>& positions)
      : settings_(settings),
        clock_(ctx.clock()),
        subtask_(ctx.subtask()),
        parallelism_(ctx.parallelism()),
        is_restored_(ctx.is_restored()) {
    for (const ByteView part : ctx.restored(kEndPart)) {
      if (part != end_of(settings_)) has_other_end_ = true;
    }
    has_finished_ = !positions.empty() &&
                    std::ranges::all_of(positions, [](const auto& p) { return p.is_finished; });
    for (const ByteView part : ctx.restored(kStopPart)) {
      ByteReader in(part);
      while (!in.empty()) {
        const auto partition = static_cast<std::int32_t>(in.varint());
        restored_stops_[partition] = static_cast<std::int64_t>(in.varint());
      }
    }
    const std::vector<std::int32_t> partitions = list_file_partitions(settings_.dir);
    refuse_if_gone(positions, partitions);
    for (const std::int32_t p : partitions) {
      if (is_mine(p)) add(p, positions);
    }
    ctx.attach(*this);
  }

  void poll(SourceBatch<RawRecord>& out, std::size_t max_records) override {
    const auto now = clock_.monotonic();
    if (settings_.follow && now >= discover_at_) {
      discover_at_ = now + kDiscoverEvery;
      for (const std::int32_t p : list_file_partitions(settings_.dir)) {
        if (is_mine(p) && !has(p)) add(p, {});
      }
    }
    const std::size_t each =
        std::max<std::size_t>(1, max_records / std::max<std::size_t>(1, splits_.size()));
    for (std::size_t n = 0; n < splits_.size(); ++n) {
      const std::size_t i = (first_ + n) % splits_.size();
      if (statuses_[i].is_paused || statuses_[i].state == SplitState::kFinished) continue;
      read(i, out, each, now);
    }
    if (!splits_.empty()) first_ = (first_ + 1) % splits_.size();
    if (now >= estimate_at_) {
      estimate_at_ = now + kEstimateEvery;
      estimate_lags();
    }
  }

  std::vector<SplitStatus>& splits() override { return statuses_; }

 private:
  [[nodiscard]] bool is_mine(std::int32_t partition) const {
    return partition % parallelism_ == subtask_;
  }
  [[nodiscard]] bool has(std::int32_t partition) const {
    return std::any_of(splits_.begin(), splits_.end(),
                       [&](const Split& s) { return s.partition == partition; });
  }

  // Every partition that the checkpoint knew goes on where it stood. One that is gone, or all under
  // another name, would be lost or read once more.
  void refuse_if_gone(const std::vector<SplitPosition>& positions,
                      const std::vector<std::int32_t>& partitions) const {
    const std::string topic = file_topic(settings_.dir);
    for (const SplitPosition& position : positions) {
      const bool is_there = std::any_of(partitions.begin(), partitions.end(), [&](std::int32_t p) {
        return position.split == topic + ":" + std::to_string(p);
      });
      if (is_there) continue;
      throw Error(
          ErrorCode::kRefused,
          "partition " + position.split + " was read up to line " +
              std::to_string(position.offset) + " and is not in " + settings_.dir.string() +
              ": its directory was removed or renamed, or source.file.dir is another; bring "
              "it back, or start anew with --restore none --accept-duplicates");
    }
  }

  void read(std::size_t i, SourceBatch<RawRecord>& out, std::size_t max_records,
            std::chrono::nanoseconds now) {
    Split& split = splits_[i];
    SplitStatus& status = statuses_[i];
    if (status.state == SplitState::kAtEnd) {
      if (now < split.look_again_at) return;
      if (now >= split.list_again_at) {
        split.reader->refresh();
        split.list_again_at = now + kListEvery;
      }
    }
    status.state = SplitState::kReading;
    const FileChunk* kept = nullptr;
    for (std::size_t n = 0; n < max_records; ++n) {
      if (split.stop && split.reader->line() >= *split.stop) {
        status.state = SplitState::kFinished;
        break;
      }
      if (split.reader->line() >= status.hold) break;
      RawRecord record;
      if (!split.reader->next(record.value)) {
        at_end(split, status, now);
        break;
      }
      if (split.reader->chunk().get() != kept) {
        kept = split.reader->chunk().get();
        out.keep_alive.push_back(split.reader->chunk());
      }
      out.append(record, {static_cast<std::uint32_t>(i), split.partition, split.reader->line() - 1,
                          EventTime::min()});
    }
    status.next_offset = split.reader->line();
  }

  void estimate_lags() {
    for (std::size_t i = 0; i < splits_.size(); ++i) {
      const PartitionReader& reader = *splits_[i].reader;
      statuses_[i].lag = splits_[i].stop
                             ? std::max<std::int64_t>(0, *splits_[i].stop - reader.line())
                             : reader.estimate_lag();
    }
  }

  void at_end(Split& split, SplitStatus& status, std::chrono::nanoseconds now) const {
    const bool is_bounded = !settings_.follow;
    status.state = is_bounded ? SplitState::kFinished : SplitState::kAtEnd;
    split.look_again_at = now + kLookAgainEvery;
  }

  void add(std::int32_t partition, const std::vector<SplitPosition>& positions) {
    const std::string topic = file_topic(settings_.dir);
    SplitStatus status;
    status.name = topic + ":" + std::to_string(partition);
    status.source = topic;
    status.partition = partition;
    Split split;
    split.partition = partition;
    const fs::path folder = settings_.dir / ("partition-" + std::to_string(partition));
    split.reader = std::make_unique<PartitionReader>(folder, settings_.max_line_bytes);
    const SplitPosition* restored = nullptr;
    for (const SplitPosition& p : positions) {
      if (p.split == status.name) restored = &p;
    }
    if (restored != nullptr) {
      go_on_behind(split, *restored, folder);
      if (restored->is_finished && ends_as_before()) status.state = SplitState::kFinished;
    } else if (has_finished_ && ends_as_before()) {
      status.state = SplitState::kFinished;  // what has come since is none of a finished run's
    } else if (!is_restored_) {
      resolve_start(split, folder);
    }
    resolve_stop(split, folder);
    status.next_offset = split.reader->line();
    splits_.push_back(std::move(split));
    statuses_.push_back(std::move(status));
  }

  [[nodiscard]] bool ends_as_before() const {
    const bool is_bounded = !settings_.follow || settings_.stop.kind != FilePosition::Kind::kNone;
    return is_bounded && !has_other_end_;
  }

  static void go_on_behind(Split& split, const SplitPosition& position, const fs::path& folder) {
    std::string_view line;
    while (split.reader->line() < position.offset) {
      if (!split.reader->next(line)) {
        throw Error(ErrorCode::kRefused,
                    "the file log is shorter than what was read of it: " + folder.string() +
                        " has " + std::to_string(split.reader->line()) + " lines, line " +
                        std::to_string(position.offset) + " comes next; bring the files back");
      }
    }
    if (position.tail_offset >= 0 && position.tail_offset == position.offset - 1 &&
        hash_bytes(line) != position.tail_hash) {
      throw Error(
          ErrorCode::kRefused,
          "the file log is not the one that was read: line " +
              std::to_string(position.tail_offset) + " of " + folder.string() +
              " has changed; bring the files back, or start anew under another name (--as)");
    }
  }

  void resolve_start(Split& split, const fs::path& folder) const {
    switch (settings_.start.kind) {
      case FilePosition::Kind::kNone:
      case FilePosition::Kind::kEarliest: return;
      case FilePosition::Kind::kLatest: skip_to(split, folder, count_lines(folder)); return;
      case FilePosition::Kind::kTime:
        skip_to(split, folder, find_time(folder, settings_.start.time));
        return;
      case FilePosition::Kind::kOffsets: {
        const auto it = settings_.start.offsets.find(split.partition);
        if (it == settings_.start.offsets.end()) {
          throw Error(ErrorCode::kConfig, "--from-offsets names no offset for partition " +
                                              std::to_string(split.partition) + " of " +
                                              settings_.dir.string() +
                                              "; every partition needs one");
        }
        skip_to(split, folder, it->second);
        return;
      }
    }
  }

  // A stop that an earlier run resolved stays what it was, if it is asked for in the same words.
  void resolve_stop(Split& split, const fs::path& folder) const {
    if (const auto it = restored_stops_.find(split.partition);
        it != restored_stops_.end() && ends_as_before()) {
      split.stop = it->second;
      return;
    }
    switch (settings_.stop.kind) {
      case FilePosition::Kind::kNone:
      case FilePosition::Kind::kEarliest: return;
      case FilePosition::Kind::kLatest: split.stop = count_lines(folder); return;
      case FilePosition::Kind::kTime: split.stop = find_time(folder, settings_.stop.time); return;
      case FilePosition::Kind::kOffsets: {
        const auto it = settings_.stop.offsets.find(split.partition);
        if (it == settings_.stop.offsets.end()) {
          throw Error(ErrorCode::kConfig, "--until-offsets names no offset for partition " +
                                              std::to_string(split.partition) + " of " +
                                              settings_.dir.string() +
                                              "; every partition needs one");
        }
        split.stop = it->second;
        return;
      }
    }
  }

  static void skip_to(Split& split, const fs::path& folder, std::int64_t offset) {
    std::string_view line;
    while (split.reader->line() < offset) {
      if (!split.reader->next(line)) {
        throw Error(ErrorCode::kConfig,
                    "the start position is behind the end of the file log: line " +
                        std::to_string(offset) + " of " + folder.string() + ", which has " +
                        std::to_string(split.reader->line()));
      }
    }
  }

  [[nodiscard]] std::int64_t count_lines(const fs::path& folder) const {
    PartitionReader reader(folder, settings_.max_line_bytes);
    std::string_view line;
    while (reader.next(line)) {
    }
    return reader.line();
  }

  // The number of the first line at or after `time`; the end if there is none.
  [[nodiscard]] std::int64_t find_time(const fs::path& folder, EventTime time) const {
    PartitionReader reader(folder, settings_.max_line_bytes);
    std::string_view line;
    while (reader.next(line)) {
      const auto t = settings_.event_time_of ? settings_.event_time_of(line) : std::nullopt;
      if (t && *t >= time) return reader.line() - 1;
    }
    return reader.line();
  }

  void freeze(CheckpointId) override {}
  bool drain(StageSnapshot& out, std::size_t) override {
    Bytes stops;
    for (const Split& split : splits_) {
      if (!split.stop) continue;
      append_varint(stops, static_cast<std::uint64_t>(split.partition));
      append_varint(stops, static_cast<std::uint64_t>(*split.stop));
    }
    if (!stops.empty()) out.parts.push_back({kStopPart, std::move(stops)});
    const std::string end = end_of(settings_);
    out.parts.push_back({kEndPart, Bytes(end.begin(), end.end())});
    return true;
  }

  const FileSourceSettings settings_;
  const Clock& clock_;
  const int subtask_;
  const int parallelism_;
  const bool is_restored_;
  std::map<std::int32_t, std::int64_t> restored_stops_;
  std::chrono::nanoseconds estimate_at_{};
  bool has_other_end_ = false;  // than the run that wrote the checkpoint
  bool has_finished_ = false;   // at that end, in every partition
  std::vector<Split> splits_;
  std::vector<SplitStatus> statuses_;
  std::size_t first_ = 0;
  std::chrono::nanoseconds discover_at_{};
};

}  // namespace

std::string file_topic(const fs::path& dir) {
  const fs::path name = dir.filename().empty() ? dir.parent_path().filename() : dir.filename();
  return name.string();
}

std::vector<std::int32_t> list_file_partitions(const fs::path& dir) {
  constexpr std::string_view kPrefix = "partition-";
  std::vector<std::int32_t> found;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(dir, error)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with(kPrefix) || !entry.is_directory()) continue;
    std::int32_t number = 0;
    const char* end = name.data() + name.size();
    const auto [at, parse_error] = std::from_chars(name.data() + kPrefix.size(), end, number);
    if (parse_error == std::errc() && at == end && number >= 0) found.push_back(number);
  }
  if (error) {
    throw Error(ErrorCode::kConfig, "cannot read the file log: " + dir.string() + ": " +
                                        error.message() +
                                        "; it needs a directory with partition-0, partition-1, …");
  }
  std::sort(found.begin(), found.end());
  return found;
}

ReaderFactory<RawRecord> file_source(FileSourceSettings settings) {
  return [settings = std::move(settings)](OperatorContext& ctx,
                                          const std::vector<SplitPosition>& positions) {
    return std::make_unique<FileReader>(ctx, settings, positions);
  };
}

std::vector<std::string> file_source_parts() { return {kEndPart, kStopPart}; }

}  // namespace tidemill
