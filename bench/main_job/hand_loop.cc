// What the main job does from file log to file log, written by hand: one thread, no state beyond
// memory, no checkpoints, nothing general. The measure for feature_pipeline (bench/RESULTS.md).
//
//   hand_loop EVENTS_DIR ROWS_DIR on_record|on_watermark|coalesced
//
// Windows, disorder and lateness are those of run.py. It reads in the order of the job at
// parallelism 1: a quarter of 1,000 records of each of four partitions, then the watermark.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "bench/main_job/hand_features.h"

namespace tidemill::hand {
namespace {

constexpr std::int64_t kDisorder = 5'000;
constexpr std::int64_t kLateness = 60'000;
constexpr std::int64_t kInterval = 60'000;  // coalesced
constexpr std::size_t kPollRecords = 1000;

class RowFiles {
 public:
  RowFiles(const fs::path& dir, std::size_t partitions) {
    for (std::size_t p = 0; p < partitions; ++p)
      files_.push_back(std::make_unique<RowFile>(dir / ("partition-" + std::to_string(p))));
  }
  char* room(std::uint32_t partition, std::size_t size) { return files_[partition]->room(size); }
  void end(std::uint32_t partition, std::string_view, std::int64_t, char* at) {
    *at++ = '\n';
    files_[partition]->end(at);
  }

 private:
  std::vector<std::unique_ptr<RowFile>> files_;
};

int run(int argc, char** argv) {
  if (argc != 4) fail("usage", "hand_loop EVENTS_DIR ROWS_DIR on_record|on_watermark|coalesced");
  const Emit emit = emit_of(argv[3]);
  std::vector<Partition> partitions;
  for (int p = 0; fs::exists(fs::path(argv[1]) / ("partition-" + std::to_string(p))); ++p)
    partitions.emplace_back(fs::path(argv[1]) / ("partition-" + std::to_string(p)));
  if (partitions.empty()) fail("there are no partitions", argv[1]);

  RowFiles rows(argv[2], partitions.size());
  Features features(rows, partitions.size(), emit, kInterval);
  Decoder decoder;
  const std::size_t each = kPollRecords / partitions.size();
  std::uint64_t events = 0;
  std::uint64_t late = 0;
  std::uint64_t bad = 0;
  std::int64_t watermark = kMin;
  bool is_over = false;
  for (std::size_t first = 0; !is_over; first = (first + 1) % partitions.size()) {
    for (std::size_t n = 0; n < partitions.size(); ++n) {
      const std::size_t p = (first + n) % partitions.size();
      Partition& partition = partitions[p];
      for (std::size_t i = 0; i < each && !partition.is_finished; ++i) {
        std::string_view line;
        Event event;
        if (!partition.next(line)) {
          partition.is_finished = true;
          break;
        }
        ++events;
        if (!decoder.decode(line, event)) {
          ++bad;
          continue;
        }
        if (partition.greatest != kMin && event.time < partition.greatest - kDisorder - kLateness) {
          ++late;
          continue;
        }
        partition.greatest = std::max(partition.greatest, event.time);
        event.partition = static_cast<std::int32_t>(p);
        event.offset = partition.offset - 1;
        features.take(event);
      }
    }
    std::int64_t merged = kMax;
    std::int64_t greatest = kMin;
    is_over = true;
    for (const Partition& p : partitions) {
      greatest = std::max(greatest, p.greatest);
      if (p.is_finished) continue;
      is_over = false;
      merged = std::min(merged, p.greatest == kMin ? kMin : p.greatest - kDisorder);
    }
    if (is_over) merged = greatest + 1;
    if (merged <= watermark) continue;
    watermark = merged;
    std::int64_t settled = watermark;
    if (emit != Emit::kOnRecord) settled -= kLateness;
    if (emit == Emit::kCoalesced) settled = floor_to(settled, kInterval);
    features.fire(settled, settled, settled);
  }
  // The end: every record takes effect; nothing decays beyond the greatest time.
  if (emit != Emit::kOnRecord) features.fire(kMax, watermark, watermark);
  std::printf("events %llu rows %llu late %llu bad %llu\n", static_cast<unsigned long long>(events),
              static_cast<unsigned long long>(features.num_rows()),
              static_cast<unsigned long long>(late), static_cast<unsigned long long>(bad));
  return 0;
}

}  // namespace
}  // namespace tidemill::hand

int main(int argc, char** argv) { return tidemill::hand::run(argc, argv); }
