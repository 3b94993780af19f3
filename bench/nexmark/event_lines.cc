#include "bench/nexmark/event_lines.h"

#include <charconv>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "app/source_rate.h"
#include "bench/nexmark/event_text.h"
#include "bench/nexmark/input.h"
#include "engine/operator/snapshot.h"

namespace tidemill::nexmark {
namespace {

class ToKeyedLine final : public EventSink {
 public:
  explicit ToKeyedLine(const std::function<void(const KeyedLine&)>& take) : take_(take) {}
  void take(const Person& person) override { pass_on(person.id, person); }
  void take(const Auction& auction) override { pass_on(auction.id, auction); }
  void take(const Bid& bid) override { pass_on(bid.auction, bid); }

 private:
  template <class Event>
  void pass_on(std::int64_t key, const Event& event) {
    line_.clear();
    append_event(line_, event);
    take_({key, event.at, line_});
  }

  const std::function<void(const KeyedLine&)>& take_;
  std::string line_;
};

using Event = std::variant<Person, Auction, Bid>;

// Fields between `|`.
class LineReader {
 public:
  explicit LineReader(std::string_view rest) : rest_(rest) {}

  std::string_view next() {
    ++fields_;
    const std::size_t end = rest_.find('|');
    const std::string_view field = rest_.substr(0, end);
    rest_ = end == std::string_view::npos ? std::string_view{} : rest_.substr(end + 1);
    is_wrong_ = is_wrong_ || (was_last_ && fields_ > 1);
    was_last_ = end == std::string_view::npos;
    return field;
  }
  Text text() {
    const std::string_view field = next();
    if (field.size() > Text::kMaxSize) {
      is_wrong_ = true;
      return {};
    }
    return Text(field);
  }
  std::int64_t number() {
    const std::string_view field = next();
    std::int64_t value = 0;
    const auto [end, error] = std::from_chars(field.data(), field.data() + field.size(), value);
    if (error != std::errc{} || end != field.data() + field.size()) is_wrong_ = true;
    return value;
  }
  EventTime time() { return {number()}; }
  // Every field was there, none was left over, each was what it should be.
  [[nodiscard]] bool is_whole() const { return was_last_ && !is_wrong_; }

 private:
  std::string_view rest_;
  int fields_ = 0;
  bool was_last_ = false;
  bool is_wrong_ = false;
};

struct DecodeLine {
  bool operator()(const RawRecord& raw, const Origin&, Event& out, Rejection& why) const {
    LineReader line(raw.value);
    const std::string_view kind = line.next();
    // Braces evaluate left to right.
    if (kind == "B") {
      out = Bid{line.number(), line.number(), line.number(), line.text(),
                line.text(),   line.time(),   line.text()};
    } else if (kind == "A") {
      out = Auction{line.number(), line.text(), line.text(),   line.number(), line.number(),
                    line.time(),   line.time(), line.number(), line.number(), line.text()};
    } else if (kind == "P") {
      out = Person{line.number(), line.text(), line.text(), line.text(),
                   line.text(),   line.text(), line.time(), line.text()};
    }
    if (line.is_whole()) return true;
    why = {"malformed", "no line of an event: " + std::string(raw.value.substr(0, 80))};
    return false;
  }
};

// Keeps what events view: they are passed on between tasks, and a batch owns none of its texts. At
// the barrier of a checkpoint every task has passed the barrier of the one before, because only
// then the next begins, so nothing views what was read before that one.
class TextsInUse final : public SourceReader<RawRecord>, private Snapshotable {
 public:
  TextsInUse(OperatorContext& ctx, std::unique_ptr<SourceReader<RawRecord>> lines,
             std::atomic<std::int64_t>& num_read)
      : lines_(std::move(lines)), num_read_(num_read) {
    ctx.attach(*this);
  }

  void poll(SourceBatch<RawRecord>& out, std::size_t max_records) override {
    const std::size_t records = out.size();
    const std::size_t owners = out.keep_alive.size();
    lines_->poll(out, max_records);
    num_read_ += static_cast<std::int64_t>(out.size() - records);
    for (std::size_t i = owners; i < out.keep_alive.size(); ++i) {
      // A chunk of a file comes with one poll after the other.
      if (now_.empty() || now_.back() != out.keep_alive[i]) now_.push_back(out.keep_alive[i]);
    }
  }
  std::vector<SplitStatus>& splits() override { return lines_->splits(); }

 private:
  void freeze(CheckpointId) override { before_ = std::exchange(now_, {}); }
  bool drain(StageSnapshot&, std::size_t) override { return true; }

  const std::unique_ptr<SourceReader<RawRecord>> lines_;
  std::atomic<std::int64_t>& num_read_;
  std::vector<std::shared_ptr<const void>> now_;     // read since the last barrier
  std::vector<std::shared_ptr<const void>> before_;  // between the two last ones
};

EventTime time_of(const Event& event) {
  return std::visit([](const auto& e) { return e.at; }, event);
}

template <class T>
Stream<T> only(const Stream<Event>& events) {
  return events.flat_map<T>([](const Event& event, auto emit) {
    if (const T* wanted = std::get_if<T>(&event)) emit(*wanted);
  });
}

}  // namespace

void for_each_keyed_line(const GeneratorSettings& settings, std::int64_t events,
                         const std::function<void(const KeyedLine&)>& take) {
  constexpr std::int64_t kTextsOf = 10'000;  // events, before their memory is given back
  const Generator generator(settings);
  ToKeyedLine out(take);
  auto texts = std::make_unique<TextStore>();
  with_progress("events written", events, [&](std::int64_t k) {
    if (k % kTextsOf == 0) texts = std::make_unique<TextStore>();
    generator.make(k, *texts, out);
  });
}

std::optional<EventTime> time_of_line(std::string_view line) {
  RawRecord raw;
  raw.value = line;
  Event event;
  Rejection why;
  if (!DecodeLine{}(raw, {}, event, why)) return std::nullopt;
  return time_of(event);
}

Events read_lines(Environment& env, const SourceSpec<RawRecord>& lines, Duration disorder,
                  std::atomic<std::int64_t>& num_read) {
  SourceSettings settings;
  limit_rate(env.config(), settings);
  EventTimeSettings<BoundedDisorder> event_time;
  event_time.generator.disorder = disorder;
  const SourceSpec<RawRecord> kept{
      lines.kind, [make = lines.make, &num_read](OperatorContext& ctx,
                                                 const std::vector<SplitPosition>& positions) {
        return std::make_unique<TextsInUse>(ctx, make(ctx, positions), num_read);
      }};
  const auto [events, late, bad] = add_source<Event>(env.graph(), kLinesOperator, kept, settings,
                                                     DecodeLine{}, time_of, event_time);
  return {only<Person>(events), only<Auction>(events), only<Bid>(events)};
}

}  // namespace tidemill::nexmark
