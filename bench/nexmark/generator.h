// The events of the Rust crate `nexmark` 0.2.0, byte for byte: every event follows from its number
// alone, so any part can be made by itself. Costs about 300 ns an event: make the input ahead.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "bench/nexmark/event.h"
#include "bench/nexmark/small_rng.h"

namespace tidemill::nexmark {

struct GeneratorSettings {
  static constexpr std::int64_t kBeamsBaseTime = 1436918400000;  // 2015-07-15T00:00Z

  std::int64_t rate = 10'000;  // events a second of event time
  std::int64_t group = 1;      // so many events are out of order among themselves
  EventTime base_time{kBeamsBaseTime};
};

// Takes the bytes of texts; what it returns stays where it is.
class TextStore {
 public:
  // Room for `size` bytes.
  char* take(std::size_t size);
  [[nodiscard]] std::size_t bytes() const { return bytes_; }

 private:
  static constexpr std::size_t kBlock = std::size_t{1} << 20;

  std::vector<std::unique_ptr<char[]>> blocks_;
  std::size_t left_ = 0;
  std::size_t bytes_ = 0;
};

// Where the texts of each kind go.
struct TextsByKind {
  TextStore& persons;
  TextStore& auctions;
  TextStore& bids;
};

// Where an event goes.
class EventSink {
 public:
  virtual ~EventSink() = default;
  virtual void take(const Person& person) = 0;
  virtual void take(const Auction& auction) = 0;
  virtual void take(const Bid& bid) = 0;
};

// One thread. Texts of channels and urls belong to the generator, others to `texts`: both outlive
// the events.
class Generator {
 public:
  explicit Generator(const GeneratorSettings& settings);

  // The event that is emitted as number `k`, from 0.
  void make(std::int64_t k, const TextsByKind& texts, EventSink& out) const;
  void make(std::int64_t k, TextStore& texts, EventSink& out) const {
    make(k, {texts, texts, texts}, out);
  }
  // How far behind the greatest time before it one of the first `events` events may be.
  [[nodiscard]] Duration disorder(std::int64_t events) const;

 private:
  struct Channel {
    std::string name;
    std::string url;
  };

  [[nodiscard]] Person person(std::int64_t id, TextStore& texts) const;
  [[nodiscard]] Auction auction(std::int64_t id, TextStore& texts) const;
  [[nodiscard]] Bid bid(std::int64_t id, TextStore& texts) const;
  [[nodiscard]] EventTime time_of(std::int64_t id) const;

  const GeneratorSettings settings_;
  const float delay_us_;
  std::vector<Channel> channels_;
  std::array<Channel, 4> hot_channels_;
};

}  // namespace tidemill::nexmark
