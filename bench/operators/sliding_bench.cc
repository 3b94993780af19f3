// What a record costs in sliding windows, by size / slide: an aggregate by key, uniform keys, one
// slide.
//
//   sliding_bench [RECORDS_A_SLIDE [AGGREGATE]]     10,000 by default, of 1,000 keys; count, max or
//                                                   top (the three greatest)
//
// Every window of the measured part is full: the slices before it are filled first. Prints CPU time
// of the thread and rows given out, both by record. Every run checks its rows.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <memory>
#include <optional>
#include <random>
#include <stdexcept>
#include <string_view>
#include <type_traits>
#include <vector>

#include "engine/runtime/stage.h"
#include "operators/aggregates.h"
#include "operators/aligned_window.h"
#include "operators/collections.h"
#include "operators/combined.h"
#include "state/backend.h"

namespace tidemill {
namespace {

struct Event {
  std::uint64_t key;
  std::int64_t value;  // of the slide; at least 1
};
constexpr std::uint64_t kKeys = 1000;
constexpr std::int64_t kSlide = 1000;  // ms
constexpr std::int64_t kSlides = 100;  // measured
constexpr std::uint64_t kBatch = 1000;

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

double cpu_nanoseconds() {
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) * 1e9 + static_cast<double>(t.tv_nsec);
}

template <class Kind>
void measure(std::int64_t ratio, std::uint64_t records_a_slide) {
  using Operation = AlignedWindow<Event, typename Kind::Aggregate, std::uint64_t Event::*>;
  const auto backend = make_backend("memory", {});
  backend->restore({}, {});
  Resources resources;
  resources.lend<Backend>(*backend);
  MetricRegistry metrics;
  const SystemClock clock;
  Stage stage(std::make_unique<OperatorContext>(
                  OperatorContext::Place{"bench", 0, 1, key_groups_of(0, 1, kDefaultKeyGroups)},
                  resources, metrics, clock, nullptr),
              [ratio](OperatorContext& ctx) {
                return std::make_unique<Operation>(
                    ctx, AlignedWindows(Sliding{Duration(kSlide * ratio), Duration(kSlide)}),
                    WindowOptions{}, &Event::key);
              });
  CountingOutlet<Kind> out;
  stage.context().ports().at(0)->connect(out);
  const auto watermark = [&](std::int64_t time) {
    stage.on_signal(Signal::watermark(EventTime{time}));
    while (stage.has_work()) stage.work();
  };

  // Each key once in each slice before the first measured one.
  watermark(0);
  for (std::int64_t slide = 1 - ratio; slide < 0; ++slide) {
    auto batch = std::make_unique<Batch<Event>>(kKeys);
    for (std::uint64_t key = 0; key < kKeys; ++key)
      batch->append({key, 1}, EventTime{slide * kSlide});
    stage.on_batch(0, std::move(batch));
  }

  std::mt19937_64 random(7);
  double spent = 0;
  std::uint64_t wanted_sum = 0;
  for (std::int64_t slide = 0; slide < kSlides; ++slide) {
    for (std::uint64_t i = 0; i < records_a_slide; i += kBatch) {
      const std::uint64_t end = std::min(records_a_slide, i + kBatch);
      auto batch = std::make_unique<Batch<Event>>(kBatch);
      // Falling values: the greatest of a window is in its oldest slice, which leaves next.
      for (std::uint64_t k = i; k < end; ++k)
        batch->append({k < kKeys ? k : random() % kKeys, kSlides - slide + 1},
                      EventTime{slide * kSlide});
      const double begin = cpu_nanoseconds();
      stage.on_batch(0, std::move(batch));
      spent += cpu_nanoseconds() - begin;
    }
    const double begin = cpu_nanoseconds();
    watermark((slide + 1) * kSlide);
    spent += cpu_nanoseconds() - begin;
    const std::int64_t measured = std::min(ratio, slide + 1);
    if constexpr (std::is_same_v<Kind, Counting>) {
      wanted_sum += static_cast<std::uint64_t>(measured) * records_a_slide +
                    static_cast<std::uint64_t>(ratio - measured) * kKeys;
    } else {
      wanted_sum += kKeys * static_cast<std::uint64_t>(kSlides - (slide + 1 - measured) + 1);
    }
  }
  if (out.sum != wanted_sum) throw std::runtime_error("the rows count other records");
  const double records = static_cast<double>(records_a_slide) * kSlides;
  std::printf("size/slide %4lld: %.1f ns CPU a record, %.2f rows a record, %.0f ns a row\n",
              static_cast<long long>(ratio), spent / records,
              static_cast<double>(out.rows) / records, spent / static_cast<double>(out.rows));
  std::fflush(stdout);
}

}  // namespace
}  // namespace tidemill

int main(int argc, char** argv) {
  const std::uint64_t records = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 10'000;
  const std::string_view aggregate = argc > 2 ? argv[2] : "count";
  try {
    for (const std::int64_t ratio : {1, 5, 10, 100, 1000}) {
      if (aggregate == "count") {
        tidemill::measure<tidemill::Counting>(ratio, records);
      } else if (aggregate == "max") {
        tidemill::measure<tidemill::Greatest>(ratio, records);
      } else if (aggregate == "top") {
        tidemill::measure<tidemill::Top>(ratio, records);
      } else {
        std::fprintf(stderr, "no such aggregate: %s; count, max or top\n", argv[2]);
        return 2;
      }
    }
  } catch (const std::exception& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return 1;
  }
  return 0;
}
