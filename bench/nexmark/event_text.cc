#include "bench/nexmark/event_text.h"

#include <memory>

#include "bench/nexmark/fnv.h"
#include "bench/nexmark/input.h"
#include "bench/nexmark/row_text.h"

namespace tidemill::nexmark {
namespace {

class ToLine final : public EventSink {
 public:
  void take(const Person& person) override { append_event(line, person); }
  void take(const Auction& auction) override { append_event(line, auction); }
  void take(const Bid& bid) override { append_event(line, bid); }
  std::string line;
};

}  // namespace

void append_event(std::string& out, const Person& p) {
  RowText(out).fields("P", p.id, p.name, p.email, p.credit_card, p.city, p.state, p.at, p.extra);
}
void append_event(std::string& out, const Auction& a) {
  RowText(out).fields("A", a.id, a.item, a.description, a.initial_bid, a.reserve, a.at, a.expires,
                      a.seller, a.category, a.extra);
}
void append_event(std::string& out, const Bid& b) {
  RowText(out).fields("B", b.auction, b.bidder, b.price, b.channel, b.url, b.at, b.extra);
}

void for_each_line(const GeneratorSettings& settings, std::int64_t events,
                   const std::function<void(std::string_view)>& take) {
  constexpr std::int64_t kTextsOf = 10'000;  // events, before their memory is given back
  const Generator generator(settings);
  auto texts = std::make_unique<TextStore>();
  ToLine to_line;
  with_progress("events made", events, [&](std::int64_t k) {
    if (k % kTextsOf == 0) texts = std::make_unique<TextStore>();
    to_line.line.clear();
    generator.make(k, *texts, to_line);
    take(to_line.line);
  });
}

std::uint64_t hash_events(const GeneratorSettings& settings, std::int64_t events) {
  Fnv hash;
  for_each_line(settings, events, [&](std::string_view line) {
    hash.add(line);
    hash.add("\n");
  });
  return hash.value();
}

}  // namespace tidemill::nexmark
