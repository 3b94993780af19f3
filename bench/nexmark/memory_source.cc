#include "bench/nexmark/memory_source.h"

#include <algorithm>
#include <array>
#include <span>
#include <utility>

#include "engine/runtime/source_settings.h"

namespace tidemill::nexmark {
namespace {

constexpr std::size_t kPoll = 2048;  // rows before the next watermark, or a few more
constexpr std::size_t kPiece = 256;  // rows that stay near while they are read twice

class LogDriver final : public SourceDriver {
 public:
  LogDriver(OperatorContext& ctx, const EventLog& log, Duration disorder)
      : log_(log),
        disorder_(disorder),
        control_(ctx.resources().get<SourceControl>()),
        persons_(ctx.output<Person>(0)),
        auctions_(ctx.output<Auction>(1)),
        bids_(ctx.output<Bid>(2)) {}

  bool step() override {
    if (has_ended_ || !control_.released) return false;
    std::array<std::size_t, 3> counts{};
    for (std::size_t n = 0; n < kPoll && next_run_ < log_.runs.size(); ++next_run_) {
      const EventLog::Run run = log_.runs[next_run_];
      counts[static_cast<std::size_t>(run.kind)] += run.count;
      if (is_read(run.kind)) n += run.count;
    }
    // What others refer to comes first.
    read(log_.persons, persons_at_, counts[0], persons_);
    read(log_.auctions, auctions_at_, counts[1], auctions_);
    read(log_.bids, bids_at_, counts[2], bids_);
    if (next_run_ == log_.runs.size()) {
      has_ended_ = true;
      signal(Signal::watermark(greatest_ + Duration(1)));
      signal(Signal::end());
    } else {
      signal(Signal::watermark(greatest_ - disorder_));
    }
    return true;
  }
  void on_blocked() override {}
  [[nodiscard]] bool has_ended() const override { return has_ended_; }

 private:
  [[nodiscard]] bool is_read(Kind kind) const {
    switch (kind) {
      case Kind::kPerson: return persons_.is_connected();
      case Kind::kAuction: return auctions_.is_connected();
      case Kind::kBid: return bids_.is_connected();
    }
    return false;
  }
  template <class T>
  void read(const std::vector<T>& rows, std::size_t& at, std::size_t count, Emitter<T>& out) {
    const T* const begin = rows.data() + std::exchange(at, at + count);
    const T* const end = begin + count;
    if (!out.is_connected()) return;
    if (out.all_take_views()) {
      for (const T* row = begin; row != end;) {
        const T* const last = row + std::min(kPiece, static_cast<std::size_t>(end - row));
        note_times(row, last);
        out.emit(RowsView<T>(std::span(row, last), &T::at, last != end));
        row = last;
      }
    } else {
      // All are looked at before they are copied: memory is read in one go, and not once more from
      // the start after each batch.
      note_times(begin, end);
      out.emit_all(begin, count, [](const T& row) { return Record<T>{row, row.at}; });
    }
    out.flush();
  }
  template <class T>
  void note_times(const T* begin, const T* end) {
    EventTime greatest = greatest_;
    for (const T* row = begin; row != end; ++row) greatest = std::max(greatest, row->at);
    greatest_ = greatest;
  }
  void signal(const Signal& s) {
    persons_.signal(s);
    auctions_.signal(s);
    bids_.signal(s);
  }

  const EventLog& log_;
  const Duration disorder_;
  const SourceControl& control_;
  Emitter<Person>& persons_;
  Emitter<Auction>& auctions_;
  Emitter<Bid>& bids_;
  std::size_t next_run_ = 0;
  std::size_t persons_at_ = 0;
  std::size_t auctions_at_ = 0;
  std::size_t bids_at_ = 0;
  EventTime greatest_ = EventTime::min();
  bool has_ended_ = false;
};

}  // namespace

Events read_memory(const std::shared_ptr<GraphBuilder>& graph, const Input& input,
                   Duration disorder) {
  Node node;
  node.name = "events";
  node.kind = "events in memory";
  node.make_source = [&input, disorder](OperatorContext& ctx) {
    const EventLog& log = input.partitions().at(static_cast<std::size_t>(ctx.subtask()));
    return std::make_unique<LogDriver>(ctx, log, disorder);
  };
  const NodeId id = graph->add(std::move(node));
  return {{graph, {{id, 0}}}, {graph, {{id, 1}}}, {graph, {{id, 2}}}};
}

}  // namespace tidemill::nexmark
