// Where an operator puts records that come too late: on a port of their own, counted, and some of
// them kept to be looked at (`/late` of the job's HTTP port).
#pragma once

#include <string>
#include <utility>

#include "engine/base/key_text.h"
#include "engine/base/late_sample.h"
#include "engine/operator/context.h"
#include "state/key_encoding.h"

namespace tidemill {

// `side`: of a join, else empty. One thread; lives no longer than what the context lends.
template <class T>
class LateRecords {
 public:
  LateRecords(OperatorContext& ctx, OutputPort<T> port, const std::string& side = "")
      : out_(ctx.output(port)),
        count_(ctx.counter("tidemill_late_records_total", labels(side))),
        sample_(ctx.late_sample(labels(side))),
        clock_(ctx.clock()) {}

  // `keys`: the BatchKeys that knows the key of a T.
  template <class Keys>
  void give(T&& value, EventTime time, EventTime watermark, const Keys& keys) {
    count_.add();
    sample_.offer(clock_.monotonic(), [&] {
      const typename Keys::Key key = keys.extract(value);
      return LateRecord{time, watermark, key_text(key, key_hash(key)), {}};
    });
    out_.emit(std::move(value), time);
  }

 private:
  static Labels labels(const std::string& side) {
    Labels labels{{"reason", "late"}};
    if (!side.empty()) labels.emplace_back("side", side);
    return labels;
  }

  Emitter<T>& out_;
  Counter& count_;
  LateSample& sample_;
  const Clock& clock_;
};

}  // namespace tidemill
