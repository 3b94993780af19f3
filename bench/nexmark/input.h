// The input of a run, made before the clock starts: a log of partitions in memory.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "bench/nexmark/event.h"
#include "bench/nexmark/generator.h"

namespace tidemill::nexmark {

// One partition in the order of arrival: rows by kind, and how many of a kind follow each other.
// What is read for a query is what the query asks for, as if each kind were a topic of its own.
struct EventLog final : public EventSink {
  struct Run {
    Kind kind;
    std::uint32_t count;
  };

  std::vector<Run> runs;
  std::vector<Person> persons;
  std::vector<Auction> auctions;
  std::vector<Bid> bids;

  void take(const Person& person) override { add(persons, Kind::kPerson, person); }
  void take(const Auction& auction) override { add(auctions, Kind::kAuction, auction); }
  void take(const Bid& bid) override { add(bids, Kind::kBid, bid); }

 private:
  template <class T>
  void add(std::vector<T>& rows, Kind kind, const T& row) {
    rows.push_back(row);
    if (runs.empty() || runs.back().kind != kind) runs.push_back({kind, 0});
    ++runs.back().count;
  }
};

// Holds the memory that the events view.
class Input {
 public:
  // Bids are in the partition of their auction, as in a topic keyed by it, so that what happens to
  // one auction keeps its order. Tells how far it is on stderr if it takes more than a second.
  Input(const GeneratorSettings& settings, std::int64_t events, int partitions);
  Input(const Input&) = delete;
  Input& operator=(const Input&) = delete;

  [[nodiscard]] const std::vector<EventLog>& partitions() const { return partitions_; }
  [[nodiscard]] std::int64_t events() const { return events_; }
  [[nodiscard]] Duration disorder() const { return generator_.disorder(events_); }

 private:
  const Generator generator_;
  const std::int64_t events_;
  // Texts lie by kind, as rows do.
  TextStore person_texts_;
  TextStore auction_texts_;
  TextStore bid_texts_;
  std::vector<EventLog> partitions_;
};

// Calls make(k) for k in [0, events), telling how far it is on stderr once a second.
void with_progress(const char* what, std::int64_t events,
                   const std::function<void(std::int64_t)>& make);

}  // namespace tidemill::nexmark
