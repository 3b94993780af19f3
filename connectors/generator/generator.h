// A source that makes its records: record i of a split is a function of i, so that it can be read
// again from any position. For examples, tests and benchmarks.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/operator/source.h"

namespace tidemill {

template <class T>
struct GeneratorSettings {
  std::int64_t count = 0;  // records of each split; the input ends behind them
  std::int32_t splits = 1;
  std::function<T(std::int32_t split, std::int64_t i)> make;
};

// One subtask's share: split s belongs to subtask s mod parallelism.
template <class T>
class GeneratorReader final : public SourceReader<T> {
 public:
  GeneratorReader(OperatorContext& ctx, const GeneratorSettings<T>& settings,
                  const std::vector<SplitPosition>& positions)
      : settings_(settings) {
    for (std::int32_t s = ctx.subtask(); s < settings.splits; s += ctx.parallelism()) {
      SplitStatus split;
      split.name = "generator:" + std::to_string(s);
      split.source = "generator";
      split.partition = s;
      for (const SplitPosition& p : positions) {
        if (p.split == split.name) split.next_offset = p.offset;
      }
      splits_.push_back(std::move(split));
    }
  }

  void poll(SourceBatch<T>& out, std::size_t max_records) override {
    const auto each = static_cast<std::int64_t>(
        std::max<std::size_t>(1, max_records / std::max<std::size_t>(1, splits_.size())));
    for (std::size_t i = 0; i < splits_.size(); ++i) {
      SplitStatus& split = splits_[i];
      if (split.is_paused) continue;
      const std::int64_t end = std::min({settings_.count, split.next_offset + each, split.hold});
      for (; split.next_offset < end; ++split.next_offset) {
        out.append(
            settings_.make(split.partition, split.next_offset),
            {static_cast<std::uint32_t>(i), split.partition, split.next_offset, EventTime::min()});
      }
      if (split.next_offset >= settings_.count) split.state = SplitState::kFinished;
    }
  }

  [[nodiscard]] std::vector<SplitStatus>& splits() override { return splits_; }

 private:
  const GeneratorSettings<T> settings_;
  std::vector<SplitStatus> splits_;
};

template <class T>
ReaderFactory<T> generator(GeneratorSettings<T> settings) {
  return [settings = std::move(settings)](OperatorContext& ctx,
                                          const std::vector<SplitPosition>& positions) {
    return std::make_unique<GeneratorReader<T>>(ctx, settings, positions);
  };
}

}  // namespace tidemill
