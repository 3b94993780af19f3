#include "state/sorted_run.h"

#include <algorithm>
#include <queue>
#include <string>

namespace tidemill {

void SortedRun::sort_rows() {
  const ByteView all(bytes_);
  std::ranges::sort(places_, {},
                    [all](const Place& p) { return all.substr(p.at, p.key_size & kSizeMask); });
}

void merge_rows(std::span<const SortedRun> runs,
                const std::function<void(const SortedRun::Row&)>& visit) {
  struct Head {
    ByteView key;
    const SortedRun* run;
    std::size_t at;
    bool operator<(const Head& other) const {
      return key > other.key;
    }  // the queue's top is the smallest
  };
  std::priority_queue<Head> heads;
  for (const SortedRun& run : runs) {
    if (run.size() > 0) heads.push({run.row(0).key, &run, 0});
  }
  while (!heads.empty()) {
    Head head = heads.top();
    heads.pop();
    const ByteView limit = heads.empty() ? ByteView() : heads.top().key;
    // Runs seldom interleave row by row: stay with one as long as it is in front.
    do {
      visit(head.run->row(head.at));
      if (++head.at == head.run->size()) break;
      head.key = head.run->row(head.at).key;
    } while (heads.empty() || head.key < limit);
    if (head.at < head.run->size()) heads.push(head);
  }
}

std::vector<KeyRange> merge_ranges(std::span<const SortedRun> runs) {
  std::vector<KeyRange> all;
  for (const SortedRun& run : runs) all.insert(all.end(), run.ranges().begin(), run.ranges().end());
  std::ranges::sort(all, [](const KeyRange& a, const KeyRange& b) { return a.begin < b.begin; });
  std::vector<KeyRange> merged;
  for (KeyRange& range : all) {
    if (!range.end.empty() && range.end <= range.begin) continue;
    if (!merged.empty() && (merged.back().end.empty() || range.begin <= merged.back().end)) {
      if (!merged.back().end.empty() && (range.end.empty() || range.end > merged.back().end))
        merged.back().end = std::move(range.end);
    } else {
      merged.push_back(std::move(range));
    }
  }
  return merged;
}

}  // namespace tidemill
