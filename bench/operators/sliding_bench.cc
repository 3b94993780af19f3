// What a record costs in sliding windows, by size / slide and by the number of keys: an aggregate
// by key. Every window of the measured part is full: the slices before it are filled first. Prints
// CPU time of the thread. Every run checks its rows.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <fstream>
#include <functional>
#include <malloc.h>
#include <memory>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include <boost/unordered/unordered_flat_map.hpp>

#include "bench/cpu_time.h"
#include "bench/flags.h"
#include "bench/zipf.h"
#include "engine/runtime/stage.h"
#include "operators/aggregates.h"
#include "operators/aligned_window.h"
#include "operators/collections.h"
#include "operators/combined.h"
#include "state/backend.h"

namespace tidemill {
namespace {

constexpr const char* kUsage = R"(usage: sliding_bench [FLAGS]
  --ratios LIST        size / slide (1,5,10,100,1000)
  --aggregate KIND     count, max or top, the three greatest (count)
  --keys N             (1000)
  --keys-by KIND       uniform or zipf, of exponent 0.99 (uniform)
  --records N          a slide, of which the first have each key once (10000)
  --late N             of a thousand records that are not the first, too late for every window (0)
  --slides N           measured, after one to warm up (100)
  --by-hand WHAT       none, or windows: the same counts in one map for each open window (none)
  --format KIND        text or json (text)
)";

struct Event {
  std::uint64_t key;
  std::int64_t value;  // of the slide; at least 1
};
constexpr std::int64_t kSlide = 1000;  // ms
constexpr std::uint64_t kBatch = 1000;

struct Setting {
  std::uint64_t keys;
  bool is_zipf;
  std::uint64_t records;
  std::uint64_t late;
  std::int64_t slides;
  std::int64_t ratio;
};

// An aggregate, and what its rows add up to.
struct Counting {
  using Aggregate = Count;
  static std::uint64_t of(std::int64_t row) { return static_cast<std::uint64_t>(row); }
};
struct Greatest {
  using Aggregate = Of<&Event::value, Max<std::int64_t>>;
  static std::uint64_t of(const std::optional<std::int64_t>& row) {
    return static_cast<std::uint64_t>(*row);
  }
};
struct Top {
  using Aggregate = Of<&Event::value, TopN<std::int64_t, 3>>;
  static std::uint64_t of(const std::vector<std::int64_t>& row) {
    return static_cast<std::uint64_t>(row.front());
  }
};

template <class Kind>
class CountingOutlet final : public Outlet {
 public:
  void push(AnyBatch batch) override {
    rows += batch->size();
    using Row =
        typename AlignedWindow<Event, typename Kind::Aggregate, std::uint64_t Event::*>::Out;
    for (const auto& [row, _] : static_cast<Batch<Row>&>(*batch)) sum += Kind::of(row.value);
  }
  void push(const Signal& /*signal*/) override {}
  [[nodiscard]] bool is_blocked() const override { return false; }
  std::uint64_t rows = 0;
  std::uint64_t sum = 0;
};

// The operator in its stage, on the memory backend.
template <class Kind>
class Windows {
 public:
  explicit Windows(std::int64_t ratio) : backend_(make_backend("memory", {})) {
    backend_->restore({}, {});
    resources_.lend<Backend>(*backend_);
    using Operation = AlignedWindow<Event, typename Kind::Aggregate, std::uint64_t Event::*>;
    stage_ = std::make_unique<Stage>(
        std::make_unique<OperatorContext>(
            OperatorContext::Place{"bench", 0, 1, key_groups_of(0, 1, kDefaultKeyGroups)},
            resources_, metrics_, clock_, nullptr),
        [ratio](OperatorContext& ctx) {
          return std::make_unique<Operation>(
              ctx, AlignedWindows(Sliding{Duration(kSlide * ratio), Duration(kSlide)}),
              WindowOptions{}, &Event::key);
        });
    stage_->context().ports().at(0)->connect(out_);
    close(0);
  }
  void add(std::unique_ptr<Batch<Event>> batch) { stage_->on_batch(0, std::move(batch)); }
  void close(std::int64_t until) {
    stage_->on_signal(Signal::watermark(EventTime{until * kSlide}));
    while (stage_->has_work()) stage_->work();
  }
  [[nodiscard]] std::uint64_t rows() const { return out_.rows; }
  [[nodiscard]] std::uint64_t sum() const { return out_.sum; }

 private:
  const std::unique_ptr<Backend> backend_;
  Resources resources_;
  MetricRegistry metrics_;
  const SystemClock clock_;
  CountingOutlet<Kind> out_;
  std::unique_ptr<Stage> stage_;
};

// The loop one would write for a tumbling window; for sliding ones, a map for each window that is
// open, as engines without slices have.
class ByHand {
 public:
  explicit ByHand(std::int64_t ratio) : ratio_(ratio), open_(static_cast<std::size_t>(ratio)) {}
  // Into the windows that end with its slide and with the next ones.
  void add(std::unique_ptr<Batch<Event>> batch) {
    for (const auto& [event, time] : *batch) {
      const std::int64_t end = time.ms / kSlide - first_ + ratio_;
      for (std::int64_t w = std::max<std::int64_t>(0, end - ratio_); w < end; ++w)
        open_[static_cast<std::size_t>(w)][event.key] += 1;
    }
  }
  // The windows that end by the end of slide `until` - 1.
  void close(std::int64_t until) {
    for (; first_ < until; ++first_) {
      rows_ += open_.front().size();
      for (const auto& [_, count] : open_.front()) sum_ += static_cast<std::uint64_t>(count);
      Counts counts = std::move(open_.front());
      counts.clear();
      open_.pop_front();
      open_.push_back(std::move(counts));
    }
  }
  [[nodiscard]] std::uint64_t rows() const { return rows_; }
  [[nodiscard]] std::uint64_t sum() const { return sum_; }

 private:
  using Counts = boost::unordered_flat_map<std::uint64_t, std::int64_t>;

  const std::int64_t ratio_;
  std::int64_t first_ = 0;  // the slide with which the first open window ends
  std::deque<Counts> open_;
  std::uint64_t rows_ = 0;
  std::uint64_t sum_ = 0;
};

double resident_bytes() {
  ::malloc_trim(0);
  std::ifstream file("/proc/self/statm");
  double pages = 0;
  file >> pages >> pages;
  return pages * 4096;
}

// ns of all records, by what they are.
struct Spent {
  double first = 0;   // records that are the first of their key in a slide
  double update = 0;  // the others
  double close = 0;
  double bytes = 0;  // resident, of the first slide's keys

  [[nodiscard]] double all() const { return first + update + close; }
};

template <class Kind>
std::uint64_t wanted_sum(const Setting& s) {
  std::uint64_t sum = 0;
  for (std::int64_t slide = 0; slide <= s.slides; ++slide) {
    const std::int64_t measured = std::min(s.ratio, slide + 1);
    if constexpr (std::is_same_v<Kind, Counting>) {
      sum += static_cast<std::uint64_t>(measured) * s.records +
             static_cast<std::uint64_t>(s.ratio - measured) * s.keys;
    } else {
      sum += s.keys * static_cast<std::uint64_t>(s.slides - (slide + 1 - measured) + 1);
    }
  }
  return sum;
}

template <class Kind, class Counter>
Spent measure(const Setting& s) {
  const double before = resident_bytes();
  Counter counter(s.ratio);
  std::mt19937_64 random(7);
  Zipf zipf(s.keys, 0.99);
  std::uint64_t lost = 0;  // counts of late records, in the windows of the slide they came in
  const auto batch_of = [&](std::int64_t slide, std::uint64_t begin, std::uint64_t end) {
    auto batch = std::make_unique<Batch<Event>>(kBatch);
    // Falling values: the greatest of a window is in its oldest slice, which leaves next.
    const std::int64_t value = slide < 0 ? 1 : s.slides - slide + 1;
    for (std::uint64_t k = begin; k < end; ++k) {
      const std::uint64_t key = k < s.keys  ? k
                                : s.is_zipf ? zipf(random) * 7'368'787 % s.keys
                                            : random() % s.keys;
      const bool is_late = s.late > 0 && k >= s.keys && random() % 1000 < s.late;
      batch->append({key, value}, EventTime{(is_late ? slide - s.ratio : slide) * kSlide});
      if (is_late) lost += static_cast<std::uint64_t>(std::min(s.ratio, s.slides - slide + 1));
    }
    return batch;
  };
  const auto timed = [](double& total, const auto& work) {
    const double begin = thread_cpu_seconds();
    work();
    total += (thread_cpu_seconds() - begin) * 1e9;
  };

  for (std::int64_t slide = 1 - s.ratio; slide < 0; ++slide) {
    for (std::uint64_t i = 0; i < s.keys; i += kBatch)
      counter.add(batch_of(slide, i, std::min(s.keys, i + kBatch)));
  }
  Spent spent;
  for (std::int64_t slide = 0; slide <= s.slides; ++slide) {
    if (slide == 1) spent = {.bytes = spent.bytes};  // the one before was to warm up
    for (std::uint64_t i = 0; i < s.records;) {
      const std::uint64_t end = std::min(i < s.keys ? s.keys : s.records, i + kBatch);
      auto batch = batch_of(slide, i, end);
      timed(i < s.keys ? spent.first : spent.update, [&] { counter.add(std::move(batch)); });
      i = end;
      if (slide == 0 && i == s.keys) spent.bytes = resident_bytes() - before;
    }
    timed(spent.close, [&] { counter.close(slide + 1); });
  }
  if (counter.rows() != s.keys * static_cast<std::uint64_t>(s.slides + 1) ||
      counter.sum() + (std::is_same_v<Kind, Counting> ? lost : 0) != wanted_sum<Kind>(s))
    throw std::runtime_error("the rows count other records");
  return spent;
}

void print(const Setting& s, const Spent& spent, const std::optional<Spent>& hand, bool as_json) {
  const double slides = static_cast<double>(s.slides);
  const double records = static_cast<double>(s.records) * slides;
  const double rows = static_cast<double>(s.keys) * slides;
  const double updates = std::max(1.0, records - rows);
  if (as_json) {
    const auto object = [&](const Spent& of) {
      char text[300];
      std::snprintf(text, sizeof text,
                    "{\"ns_a_record\": %.2f, \"ns_a_first\": %.2f, \"ns_an_update\": %.2f, "
                    "\"ns_a_row\": %.2f, \"bytes_a_key\": %.1f}",
                    of.all() / records, of.first / rows, of.update / updates, of.close / rows,
                    of.bytes / static_cast<double>(s.keys));
      return std::string(text);
    };
    std::printf(
        "{\"ratio\": %lld, \"keys\": %llu, \"keys_by\": \"%s\", \"records\": %.0f, "
        "\"late\": %llu, \"ours\": %s%s%s}\n",
        static_cast<long long>(s.ratio), static_cast<unsigned long long>(s.keys),
        s.is_zipf ? "zipf" : "uniform", records, static_cast<unsigned long long>(s.late),
        object(spent).c_str(), hand ? ", \"by_hand\": " : "", hand ? object(*hand).c_str() : "");
  } else {
    std::printf("size/slide %4lld: %.1f ns CPU a record, %.2f rows a record, %.0f ns a row",
                static_cast<long long>(s.ratio), spent.all() / records, rows / records,
                spent.all() / rows);
    if (hand) std::printf("; a map for each open window: %.1f ns", hand->all() / records);
    std::printf("\n");
  }
  std::fflush(stdout);
}

template <class Kind>
void run(const Setting& s, bool by_hand, bool as_json) {
  const Spent spent = measure<Kind, Windows<Kind>>(s);
  std::optional<Spent> hand;
  if constexpr (std::is_same_v<Kind, Counting>) {
    if (by_hand) hand = measure<Kind, ByHand>(s);
  } else if (by_hand) {
    throw std::invalid_argument("--by-hand counts only: --aggregate count");
  }
  print(s, spent, hand, as_json);
}

void run_all(const Flags& flags) {
  Setting s{flags.number<std::uint64_t>("--keys", 1),
            flags.choice("--keys-by", {"uniform", "zipf"}) == "zipf",
            flags.number<std::uint64_t>("--records", 1),
            flags.number<std::uint64_t>("--late", 0),
            flags.number<std::int64_t>("--slides", 1),
            1};
  if (s.records < s.keys)
    throw std::invalid_argument("--records must be at least --keys: each key occurs in each slide");
  const std::string& aggregate = flags.choice("--aggregate", {"count", "max", "top"});
  const bool by_hand = flags.choice("--by-hand", {"none", "windows"}) == "windows";
  const bool as_json = flags.choice("--format", {"text", "json"}) == "json";
  for (const std::int64_t ratio : flags.numbers<std::int64_t>("--ratios", 1)) {
    s.ratio = ratio;
    if (aggregate == "count") run<Counting>(s, by_hand, as_json);
    if (aggregate == "max") run<Greatest>(s, by_hand, as_json);
    if (aggregate == "top") run<Top>(s, by_hand, as_json);
  }
}

}  // namespace
}  // namespace tidemill

int main(int argc, char** argv) {
  try {
    tidemill::run_all(tidemill::Flags(argc, argv, tidemill::kUsage,
                                      {{"--ratios", "1,5,10,100,1000"},
                                       {"--aggregate", "count"},
                                       {"--keys", "1000"},
                                       {"--keys-by", "uniform"},
                                       {"--records", "10000"},
                                       {"--late", "0"},
                                       {"--slides", "100"},
                                       {"--by-hand", "none"},
                                       {"--format", "text"}}));
  } catch (const std::invalid_argument& e) {
    std::fprintf(stderr, "sliding_bench: %s; --help lists the flags\n", e.what());
    return 2;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "sliding_bench: %s\n", e.what());
    return 1;
  }
  return 0;
}
