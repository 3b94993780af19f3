// The hottest keys of an exchange: which of them makes one subtask work more than the others.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "engine/base/key_text.h"
#include "engine/base/metrics.h"

namespace tidemill {

// Looks at every kSampleOf-th record, of fast streams at fewer: it takes as long as sending some
// tens of records. SpaceSaving (Metwally, Agrawal, El Abbadi, ICDT 2005): a key with more than 1 /
// kPlaces of the sampled records is among the places, its share at most 1 / kPlaces too great. What
// was seen counts half as much after each publication, so the shares are those of late. One thread,
// but for the Ranking.
template <class K>
class HotKeys {
 public:
  static constexpr std::size_t kSampleOf = 32;
  static constexpr std::size_t kSampleOfAtMost = 256;
  static constexpr std::size_t kPlaces = 32;
  static constexpr std::size_t kShown = 5;
  static constexpr std::uint64_t kPublishAfter = 1024;  // samples
  // … and of a slow stream as soon as there are so many, after so long.
  static constexpr std::uint64_t kLeastSamples = 64;
  static constexpr std::chrono::seconds kApart{5};
  // Samples come faster than anybody looks at what they show.
  static constexpr std::chrono::seconds kFast{1};
  static constexpr double kLeastShare = 0.02;  // less is not hot

  explicit HotKeys(Ranking& shown) : shown_(shown) { places_.reserve(kPlaces); }

  // How many records to pass over before the next one that is looked at.
  [[nodiscard]] std::size_t next() const { return next_; }
  // `records` have been passed over.
  void skip(std::size_t records) { next_ -= records; }
  void look_at(const K& key, std::uint64_t hash) {
    next_ = sample_of_ - 1;
    count(key, hash);
    ++fresh_;
    if (++total_ >= kPublishAfter ||
        (fresh_ % kLeastSamples == 0 && std::chrono::steady_clock::now() - published_ >= kApart))
      publish();
  }

 private:
  struct Place {
    K key;
    std::uint64_t hash;
    std::uint64_t count;  // at most
    std::uint64_t error;  // by which it may be too great
  };

  void count(const K& key, std::uint64_t hash) {
    const auto known = std::find_if(places_.begin(), places_.end(),
                                    [&](const Place& p) { return p.hash == hash && p.key == key; });
    if (known != places_.end()) {
      ++known->count;
    } else if (places_.size() < kPlaces) {
      places_.push_back({key, hash, 1, 0});
    } else {
      const auto less = [](const Place& a, const Place& b) { return a.count < b.count; };
      Place& least = *std::min_element(places_.begin(), places_.end(), less);
      least.key = key;
      least.hash = hash;
      least.error = least.count;
      ++least.count;
    }
  }

  void publish() {
    const auto certain = [](const Place& p) { return p.count - p.error; };
    std::sort(places_.begin(), places_.end(),
              [&](const Place& a, const Place& b) { return certain(a) > certain(b); });
    std::vector<Ranking::Entry> ranking;
    for (const Place& p : places_) {
      const double share = static_cast<double>(certain(p)) / static_cast<double>(total_);
      if (ranking.size() == kShown || share < kLeastShare) break;
      ranking.push_back({key_text(p.key, p.hash), share});
    }
    shown_.set(std::move(ranking));
    fresh_ = 0;
    const auto now = std::chrono::steady_clock::now();
    const bool is_fast = now - published_ < kFast;
    sample_of_ =
        is_fast ? std::min(sample_of_ * 2, kSampleOfAtMost) : std::max(sample_of_ / 2, kSampleOf);
    published_ = now;
    total_ /= 2;
    for (Place& p : places_) {
      p.count /= 2;
      p.error /= 2;
    }
    std::erase_if(places_, [](const Place& p) { return p.count == 0; });
  }

  Ranking& shown_;
  std::size_t sample_of_ = kSampleOf;
  std::size_t next_ = 0;
  std::uint64_t total_ = 0;
  std::uint64_t fresh_ = 0;  // samples since the last publication
  std::chrono::steady_clock::time_point published_ = std::chrono::steady_clock::now();
  std::vector<Place> places_;
};

}  // namespace tidemill
