#include "bench/nexmark/file_log.h"

#include <array>
#include <charconv>
#include <cstring>
#include <fstream>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "bench/nexmark/event_text.h"
#include "bench/nexmark/input.h"
#include "connectors/file/file_source.h"
#include "engine/base/error.h"
#include "engine/base/files.h"
#include "jobs/feature_pipeline/positions.h"
#include "operators/source.h"

namespace tidemill::nexmark {
namespace {

namespace fs = std::filesystem;

class LogWriter final : public EventSink {
 public:
  explicit LogWriter(const fs::path& dir) {
    for (int p = 0; p < kLogPartitions; ++p) {
      const fs::path folder = dir / ("partition-" + std::to_string(p));
      fs::create_directories(folder);
      paths_.push_back(folder / "00000000000000000000.jsonl");
      files_.emplace_back(paths_.back(), std::ios::binary | std::ios::trunc);
    }
  }
  void take(const Person& person) override { write(person.id, person); }
  void take(const Auction& auction) override { write(auction.id, auction); }
  void take(const Bid& bid) override { write(bid.auction, bid); }
  void finish() {
    for (std::size_t p = 0; p < files_.size(); ++p) {
      files_[p].close();
      if (!files_[p])
        throw Error(ErrorCode::kIo, "the events could not be written: " + paths_[p].string());
      sync_file(paths_[p]);
    }
  }

 private:
  template <class Event>
  void write(std::int64_t key, const Event& event) {
    line_.clear();
    append_event(line_, event);
    line_ += '\n';
    files_[static_cast<std::size_t>(key % kLogPartitions)] << line_;
  }

  std::vector<fs::path> paths_;
  std::vector<std::ofstream> files_;
  std::string line_;
};

using Event = std::variant<Person, Auction, Bid>;

// Fields between `|`.
class LineReader {
 public:
  LineReader(std::string_view rest, TextStore& texts) : rest_(rest), texts_(texts) {}

  std::string_view next() {
    ++fields_;
    const std::size_t end = rest_.find('|');
    const std::string_view field = rest_.substr(0, end);
    rest_ = end == std::string_view::npos ? std::string_view{} : rest_.substr(end + 1);
    is_over_ = is_over_ || (was_last_ && fields_ > 1);
    was_last_ = end == std::string_view::npos;
    return field;
  }
  Text text() {
    const std::string_view field = next();
    char* copy = texts_.take(field.size());
    std::memcpy(copy, field.data(), field.size());
    return {copy, field.size()};
  }
  std::int64_t number() {
    const std::string_view field = next();
    std::int64_t value = 0;
    const auto [end, error] = std::from_chars(field.data(), field.data() + field.size(), value);
    if (error != std::errc{} || end != field.data() + field.size()) is_over_ = true;
    return value;
  }
  EventTime time() { return {number()}; }
  // Every field was there, none was left over, numbers were numbers.
  [[nodiscard]] bool is_whole() const { return was_last_ && !is_over_; }

 private:
  std::string_view rest_;
  TextStore& texts_;
  int fields_ = 0;
  bool was_last_ = false;
  bool is_over_ = false;
};

// A decoder of its own for each subtask: its texts live as long as it does, which is as long as the
// job.
class DecodeLine {
 public:
  DecodeLine() = default;
  DecodeLine(const DecodeLine&) {}
  DecodeLine(DecodeLine&&) noexcept = default;
  DecodeLine& operator=(const DecodeLine&) = delete;
  ~DecodeLine() = default;

  bool operator()(const RawRecord& raw, const Origin&, Event& out, Rejection& why) {
    if (!texts_) texts_ = std::make_unique<TextStore>();
    LineReader line(raw.value, *texts_);
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

 private:
  std::unique_ptr<TextStore> texts_;
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

std::optional<EventTime> time_of_line(std::string_view line) {
  DecodeLine decode;
  RawRecord raw;
  raw.value = line;
  Event event;
  Rejection why;
  if (!decode(raw, {}, event, why)) return std::nullopt;
  return time_of(event);
}

}  // namespace

void make_file_log(const fs::path& dir, const GeneratorSettings& settings, std::int64_t events) {
  if (fs::exists(dir)) return;
  const fs::path unfinished = dir.string() + ".tmp";
  fs::remove_all(unfinished);
  LogWriter out(unfinished);
  const Generator generator(settings);
  auto texts = std::make_unique<TextStore>();
  with_progress("events written", events, [&](std::int64_t k) {
    if (k % 10'000 == 0) texts = std::make_unique<TextStore>();
    generator.make(k, *texts, out);
  });
  out.finish();
  fs::rename(unfinished, dir);
}

Events read_file_log(Environment& env, const fs::path& dir, Duration disorder) {
  env.claim_folder(dir, Environment::Use::kRead);
  FileSourceSettings settings;
  settings.dir = dir;
  const std::string topic = file_topic(dir);
  settings.start =
      features::file_position(features::start_position(env.config()), topic, "--from-offsets");
  settings.stop =
      features::file_position(features::stop_position(env.config()), topic, "--until-offsets");
  settings.event_time_of = time_of_line;
  EventTimeSettings<BoundedDisorder> event_time;
  event_time.generator.disorder = disorder;
  const auto [events, late, bad] = add_source<Event>(
      env.graph(), "events", SourceSpec<RawRecord>{"file source", file_source(settings)},
      SourceSettings{}, DecodeLine{}, time_of, event_time);
  return {only<Person>(events), only<Auction>(events), only<Bid>(events)};
}

}  // namespace tidemill::nexmark
