#include "bench/nexmark/generator.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

namespace tidemill::nexmark {
namespace {

using std::string_view_literals::operator""sv;

constexpr std::int64_t kFirstId = 1000;  // of persons and auctions
constexpr std::int64_t kFirstCategory = 10;
constexpr std::int64_t kCategories = 5;
constexpr std::int64_t kPeriod = 50;  // 1 person, 3 auctions, 46 bids
constexpr std::int64_t kAuctions = 3;
constexpr std::int64_t kActivePeople = 1000;
constexpr std::int64_t kInFlightAuctions = 100;
constexpr std::int64_t kLead = 10;  // ids may be so far ahead of the stream
constexpr std::int64_t kHotPeriod = 100;
constexpr std::int64_t kAuctionLife = kInFlightAuctions * kPeriod / kAuctions;  // events
constexpr std::int64_t kGroupFactor = 953;
constexpr std::uint32_t kChannels = 10'000;

constexpr std::array kFirstNames{"peter"sv, "paul"sv,  "luke"sv,  "john"sv,   "saul"sv,  "vicky"sv,
                                 "kate"sv,  "julie"sv, "sarah"sv, "deiter"sv, "walter"sv};
constexpr std::array kLastNames{"shultz"sv, "abrams"sv, "spencer"sv, "white"sv, "bartels"sv,
                                "walton"sv, "smith"sv,  "jones"sv,   "noris"sv};
constexpr std::array kCities{"phoenix"sv,  "los angeles"sv, "san francisco"sv, "boise"sv,
                             "portland"sv, "bend"sv,        "redmond"sv,       "seattle"sv,
                             "kent"sv,     "cheyenne"sv};
constexpr std::array kStates{"az"sv, "ca"sv, "id"sv, "or"sv, "wa"sv, "wy"sv};
constexpr std::array kHotChannels{"Google"sv, "Facebook"sv, "Baidu"sv, "Apple"sv};

constexpr std::size_t kPersonSize = 200;
constexpr std::size_t kAuctionSize = 500;
constexpr std::size_t kBidSize = 100;

template <std::size_t N>
std::string_view choose(SmallRng& rng, const std::array<std::string_view, N>& from) {
  return from[rng.below32(static_cast<std::uint32_t>(N))];
}

std::int64_t last_person(std::int64_t id) { return id / kPeriod; }
std::int64_t last_auction(std::int64_t id) {
  return kAuctions * (id / kPeriod) + std::min(id % kPeriod, kAuctions) - 1;
}

std::int64_t below(SmallRng& rng, std::int64_t range) {
  return static_cast<std::int64_t>(rng.below64(static_cast<std::uint64_t>(range)));
}

std::int64_t any_person(SmallRng& rng, std::int64_t id) {
  const std::int64_t people = last_person(id) + 1;
  const std::int64_t active = std::min(people, kActivePeople);
  return people - active + below(rng, active + kLead);
}

std::int64_t any_auction(SmallRng& rng, std::int64_t id) {
  const std::int64_t last = last_auction(id);
  const std::int64_t first = std::max<std::int64_t>(last - kInFlightAuctions, 0);
  return first + below(rng, last - first + 1 + kLead);
}

// All but one of `ratio`.
bool is_hot(SmallRng& rng, std::uint64_t ratio) { return rng.below64(ratio) > 0; }

std::int64_t hot(std::int64_t last) { return last / kHotPeriod * kHotPeriod; }

// Log-uniform from a dollar to a million, in cents; in float, as the crate does.
std::int64_t price(SmallRng& rng) {
  return static_cast<std::int64_t>(std::round(std::pow(10.0F, rng.uniform() * 6.0F) * 100.0F));
}

void fill_letters(SmallRng& rng, char* out, std::size_t size) {
  std::generate_n(out, size, [&] { return rng.letter(); });
}

Text letters(SmallRng& rng, std::size_t size, TextStore& texts) {
  char* out = texts.take(size);
  fill_letters(rng, out, size);
  return {out, size};
}

Text joined(std::string_view a, char between, std::string_view b, TextStore& texts) {
  char* out = texts.take(a.size() + 1 + b.size());
  std::memcpy(out, a.data(), a.size());
  out[a.size()] = between;
  std::memcpy(out + a.size() + 1, b.data(), b.size());
  return {out, a.size() + 1 + b.size()};
}

// Fills the event up to about `wanted` bytes.
Text extra(SmallRng& rng, std::size_t size, std::size_t wanted, TextStore& texts) {
  if (size >= wanted) return {};
  const std::size_t missing = wanted - size;
  const std::size_t delta = (missing + 2) / 5;
  std::size_t length = missing - delta;
  if (delta > 0) length += static_cast<std::size_t>(rng.below64(2 * delta));
  return letters(rng, length, texts);
}

std::string url_of(std::uint64_t seed) {
  SmallRng rng(seed);
  std::string url = "https://www.nexmark.com/";
  for (int part = 0; part < 3; ++part) {
    const std::uint64_t length = 3 + rng.below64(2);
    for (std::uint64_t i = 0; i < length; ++i) url += rng.below32(13) == 0 ? '_' : rng.letter();
    url += '/';
  }
  return url + "item.htm?query=1";
}

std::uint32_t reversed(std::uint32_t bits) {
  std::uint32_t out = 0;
  for (int i = 0; i < 32; ++i) out |= ((bits >> i) & 1U) << (31 - i);
  return out;
}

}  // namespace

char* TextStore::take(std::size_t size) {
  if (size > left_) {
    left_ = std::max(kBlock, size);
    blocks_.push_back(std::make_unique_for_overwrite<char[]>(left_));
    bytes_ += left_;
  }
  left_ -= size;
  return blocks_.back().get() + left_;
}

Generator::Generator(const GeneratorSettings& settings)
    : settings_(settings), delay_us_(1e6F / static_cast<float>(settings.rate)) {
  channels_.reserve(kChannels);
  for (std::uint32_t i = 0; i < kChannels; ++i) {
    Channel channel{"channel-" + std::to_string(i), url_of(i)};
    if (SmallRng(i).below32(10) > 0) {
      const auto id = static_cast<std::int64_t>(static_cast<std::int32_t>(reversed(i)));
      channel.url += "&channel_id=" + std::to_string(std::abs(id));
    }
    channels_.push_back(std::move(channel));
  }
  for (std::size_t i = 0; i < kHotChannels.size(); ++i)
    hot_channels_[i] = {std::string(kHotChannels[i]), url_of(i)};
}

void Generator::make(std::int64_t k, const TextsByKind& texts, EventSink& out) const {
  const std::int64_t g = settings_.group;
  const std::int64_t id = k / g * g + k * kGroupFactor % g;
  const std::int64_t place = id % kPeriod;
  if (place == 0) {
    out.take(person(id, texts.persons));
  } else if (place <= kAuctions) {
    out.take(auction(id, texts.auctions));
  } else {
    out.take(bid(id, texts.bids));
  }
}

EventTime Generator::time_of(std::int64_t id) const {
  const float after_ms = std::round(static_cast<float>(id) * delay_us_ / 1000.0F);
  return {settings_.base_time.ms + static_cast<std::int64_t>(after_ms)};
}

Duration Generator::disorder(std::int64_t events) const {
  if (settings_.group == 1) return Duration::zero();
  const double group_ms = static_cast<double>(settings_.group - 1) * delay_us_ / 1000.0;
  // What a float cannot hold of the last event's time is rounded, and the rest to a millisecond.
  const double rounding_ms = static_cast<double>(events) * delay_us_ / 1000.0 * 0x1p-22;
  return Duration(static_cast<std::int64_t>(std::ceil(group_ms + rounding_ms)) + 1);
}

Person Generator::person(std::int64_t id, TextStore& texts) const {
  SmallRng rng(static_cast<std::uint64_t>(id));
  Person p{};
  p.id = last_person(id) + kFirstId;
  const std::string_view first = choose(rng, kFirstNames);
  p.name = joined(first, ' ', choose(rng, kLastNames), texts);
  constexpr std::size_t kEmail = 7 + 1 + 5 + 4;
  char* email = texts.take(kEmail);
  fill_letters(rng, email, 7);
  email[7] = '@';
  fill_letters(rng, email + 8, 5);
  std::memcpy(email + 13, ".com", 4);
  p.email = {email, kEmail};
  constexpr std::size_t kCard = 19;
  char* card = texts.take(kCard);
  for (std::size_t group = 0; group < 4; ++group) {
    std::uint32_t digits = rng.below32(10'000);
    for (std::size_t i = 4; i-- > 0; digits /= 10)
      card[group * 5 + i] = static_cast<char>('0' + digits % 10);
    if (group < 3) card[group * 5 + 4] = ' ';
  }
  p.credit_card = {card, kCard};
  p.city = Text(choose(rng, kCities));
  p.state = Text(choose(rng, kStates));
  p.at = time_of(id);
  p.extra = extra(rng, 8 + p.name.size() + kEmail + kCard + p.city.size() + p.state.size(),
                  kPersonSize, texts);
  return p;
}

Auction Generator::auction(std::int64_t id, TextStore& texts) const {
  SmallRng rng(static_cast<std::uint64_t>(id));
  Auction a{};
  a.id = last_auction(id) + kFirstId;
  a.item = letters(rng, 20, texts);
  a.description = letters(rng, 100, texts);
  a.initial_bid = price(rng);
  a.reserve = a.initial_bid + price(rng);
  a.at = time_of(id);
  const Duration life = time_of(id + kAuctionLife) - a.at;
  a.expires = a.at + Duration(1 + below(rng, std::max<std::int64_t>(2 * life.count(), 1)));
  a.seller = (is_hot(rng, 4) ? hot(last_person(id)) : any_person(rng, id)) + kFirstId;
  a.category = kFirstCategory + below(rng, kCategories);
  a.extra = extra(rng, 8 + 20 + 100 + 40, kAuctionSize, texts);
  return a;
}

Bid Generator::bid(std::int64_t id, TextStore& texts) const {
  SmallRng rng(static_cast<std::uint64_t>(id));
  Bid b{};
  b.auction = (is_hot(rng, 2) ? hot(last_auction(id)) : any_auction(rng, id)) + kFirstId;
  b.bidder = (is_hot(rng, 4) ? hot(last_person(id)) + 1 : any_person(rng, id)) + kFirstId;
  b.price = price(rng);
  const Channel& channel = is_hot(rng, 2) ? hot_channels_[static_cast<std::size_t>(rng.below64(4))]
                                          : channels_[rng.below32(kChannels)];
  b.channel = Text(channel.name);
  b.url = Text(channel.url);
  b.at = time_of(id);
  b.extra = extra(rng, 32, kBidSize, texts);
  return b;
}

}  // namespace tidemill::nexmark
