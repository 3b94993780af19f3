#include "bench/nexmark/input.h"

#include <chrono>
#include <cstdio>
#include <unistd.h>

namespace tidemill::nexmark {
namespace {

// Sends each event to the partition of its key.
class ByKey final : public EventSink {
 public:
  explicit ByKey(std::vector<EventLog>& partitions) : partitions_(partitions) {}
  void take(const Person& person) override { of(person.id).take(person); }
  void take(const Auction& auction) override { of(auction.id).take(auction); }
  void take(const Bid& bid) override { of(bid.auction).take(bid); }

 private:
  EventLog& of(std::int64_t key) {
    return partitions_[static_cast<std::size_t>(key) % partitions_.size()];
  }
  std::vector<EventLog>& partitions_;
};

}  // namespace

Input::Input(const GeneratorSettings& settings, std::int64_t events, int partitions)
    : generator_(settings), events_(events), partitions_(static_cast<std::size_t>(partitions)) {
  if (partitions == 1) {
    partitions_[0].bids.reserve(static_cast<std::size_t>(events / 50 * 46 + 50));
    partitions_[0].runs.reserve(static_cast<std::size_t>(events / 50 * 3 + 50));
  }
  ByKey out(partitions_);
  const TextsByKind texts{person_texts_, auction_texts_, bid_texts_};
  with_progress("events made", events, [&](std::int64_t k) { generator_.make(k, texts, out); });
}

void with_progress(const char* what, std::int64_t events,
                   const std::function<void(std::int64_t)>& make) {
  constexpr std::int64_t kLookEvery = 4096;
  using std::chrono::steady_clock;
  const bool is_terminal = isatty(STDERR_FILENO) == 1;
  auto told = steady_clock::now();
  bool has_told = false;
  const auto tell = [&](std::int64_t done) {
    std::fprintf(stderr, "%s%lld of %lld %s%s", is_terminal ? "\r" : "",
                 static_cast<long long>(done), static_cast<long long>(events), what,
                 is_terminal ? "" : "\n");
    has_told = true;
  };
  for (std::int64_t k = 0; k < events; ++k) {
    if (k % kLookEvery == 0 && steady_clock::now() - told >= std::chrono::seconds(1)) {
      told = steady_clock::now();
      tell(k);
    }
    make(k);
  }
  if (!has_told) return;
  tell(events);
  if (is_terminal) std::fputc('\n', stderr);
}

}  // namespace tidemill::nexmark
