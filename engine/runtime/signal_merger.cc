#include "engine/runtime/signal_merger.h"

#include <algorithm>

#include "engine/base/error.h"
#include "engine/base/fault.h"

namespace tidemill {
namespace {

std::size_t num_edges(const std::vector<std::size_t>& edges) {
  std::size_t count = 0;
  for (const std::size_t edge : edges) count = std::max(count, edge + 1);
  return count;
}

}  // namespace

SignalMerger::SignalMerger(const std::vector<std::size_t>& edges, EventTime restored_watermark)
    : merger_(num_edges(edges), restored_watermark) {
  for (const std::size_t edge : edges) inlets_.push_back({edge, restored_watermark});
}

std::optional<Signal> SignalMerger::next() {
  if (ready_.empty()) return std::nullopt;
  const Signal signal = ready_.front();
  ready_.pop_front();
  return signal;
}

void SignalMerger::take(std::size_t inlet, const Signal& signal) {
  Inlet& in = inlets_[inlet];
  switch (signal.kind) {
    case SignalKind::kWatermark:
      in.watermark = std::max(in.watermark, signal.time);
      queue_watermark(merger_.advance(in.edge, watermark_of(in.edge)));
      return;
    case SignalKind::kIdle:
      in.is_idle = true;
      handle_idle(in.edge);
      return;
    case SignalKind::kActive:
      in.is_idle = false;
      merger_.activate(in.edge);
      if (!is_idle_) return;
      is_idle_ = false;
      ready_.push_back(Signal::active());
      return;
    case SignalKind::kBarrier: handle_barrier(inlet, signal.checkpoint); return;
    case SignalKind::kEnd: handle_end(inlet); return;
  }
}

template <class Predicate>
bool SignalMerger::all_of(std::size_t edge, Predicate predicate) const {
  return std::all_of(inlets_.begin(), inlets_.end(),
                     [&](const Inlet& in) { return in.edge != edge || predicate(in); });
}

// Of the inlets that have not ended; of all if all have.
EventTime SignalMerger::watermark_of(std::size_t edge) const {
  EventTime least = EventTime::max();
  EventTime greatest = EventTime::min();
  bool is_open = false;
  for (const Inlet& in : inlets_) {
    if (in.edge != edge) continue;
    greatest = std::max(greatest, in.watermark);
    if (in.is_ended) continue;
    is_open = true;
    least = std::min(least, in.watermark);
  }
  return is_open ? least : greatest;
}

void SignalMerger::handle_idle(std::size_t edge) {
  if (!all_of(edge, [](const Inlet& in) { return in.is_idle || in.is_ended; })) return;
  queue_watermark(merger_.set_idle(edge));
  if (is_idle_ || !merger_.is_idle()) return;
  is_idle_ = true;
  ready_.push_back(Signal::idle());
}

void SignalMerger::handle_end(std::size_t inlet) {
  const std::size_t edge = inlets_[inlet].edge;
  inlets_[inlet].is_ended = true;
  if (!all_of(edge, [](const Inlet& in) { return in.is_ended; })) {
    queue_watermark(merger_.advance(edge, watermark_of(edge)));
    return;
  }
  queue_watermark(merger_.finish(edge, watermark_of(edge)));
  if (merger_.all_finished() && !end_sent_) {
    end_sent_ = true;
    ready_.push_back(Signal::end());
  } else if (!is_idle_ && merger_.is_idle()) {
    is_idle_ = true;
    ready_.push_back(Signal::idle());
  }
}

void SignalMerger::queue_watermark(std::optional<EventTime> advanced) {
  if (advanced) ready_.push_back(Signal::watermark(*advanced));
}

void SignalMerger::handle_barrier(std::size_t inlet, CheckpointId id) {
  if (TM_BROKEN("no_alignment")) {
    if (aligning_ == id) {
      if (++arrived_ == inlets_.size()) aligning_.reset();
      return;
    }
    aligning_ = inlets_.size() > 1 ? std::optional(id) : std::nullopt;
    arrived_ = 1;
    ready_.push_back(Signal::barrier(id));
    return;
  }
  TM_CHECK(!aligning_ || *aligning_ == id);
  aligning_ = id;
  inlets_[inlet].is_blocked = true;
  if (++arrived_ < inlets_.size()) return;
  for (Inlet& in : inlets_) in.is_blocked = false;
  arrived_ = 0;
  aligning_.reset();
  ready_.push_back(Signal::barrier(id));
}

}  // namespace tidemill
