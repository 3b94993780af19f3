#include "connectors/redis/sink.h"

#include <memory>
#include <utility>

#include "connectors/redis/client.h"
#include "engine/base/clock.h"
#include "engine/base/error.h"
#include "engine/operator/snapshot.h"

namespace tidemill {
namespace {

class RedisSink final : public Sink, private Snapshotable {
 public:
  RedisSink(OperatorContext& ctx, const RedisSinkSettings& settings, std::uint64_t epoch)
      : ttl_(settings.ttl),
        name_(ctx.name()),
        writer_(settings.writer, RedisWriterName{settings.job, ctx.name(), ctx.subtask(), epoch},
                ctx.clock(), &ctx.histogram("tidemill_redis_ack_latency_seconds")),
        written_(ctx.counter("tidemill_redis_rows_written_total")),
        stale_(ctx.counter("tidemill_redis_rows_stale_total")),
        refused_(ctx.counter("tidemill_redis_rows_refused_total")),
        resent_(ctx.counter("tidemill_redis_rows_resent_total")),
        reconnects_(ctx.counter("tidemill_redis_reconnects_total")),
        waiting_(ctx.gauge("tidemill_redis_rows_waiting")) {
    ctx.attach(*this);
  }

  void write(const OutputBatch& batch) override {
    for (std::size_t i = 0; i < batch.size(); ++i) {
      const OutputBatch::Row row = batch.row(i);
      if (!row.has_key)
        throw Error(ErrorCode::kUser, "row has no key, so it has no place in Redis: sink " + name_);
      if (row.is_delete) {
        writer_.del(row.key, row.time);
      } else {
        writer_.set(row.key, row.value, ttl_, row.time);
      }
    }
    poll();
  }

  void poll() override {
    writer_.poll();
    publish_counts();
  }

  [[nodiscard]] bool is_full() const override { return writer_.is_full(); }

 private:
  void freeze(CheckpointId) override { barrier_ = writer_.mark(); }

  // Adds nothing to the snapshot: Redis itself is the state, and it holds everything before the
  // barrier once this is true.
  bool drain(StageSnapshot&, std::size_t) override {
    poll();
    return writer_.flushed_up_to(barrier_);
  }

  void publish_counts() {
    const RedisWriter::Counts& now = writer_.counts();
    add_difference(written_, published_.written, now.written);
    add_difference(stale_, published_.stale, now.stale);
    add_difference(refused_, published_.refused, now.refused);
    add_difference(resent_, published_.resent, now.resent);
    add_difference(reconnects_, published_reconnects_, writer_.reconnects());
    waiting_.set(static_cast<double>(writer_.waiting()));
  }
  static void add_difference(Counter& counter, std::uint64_t& published, std::uint64_t now) {
    if (now == published) return;
    counter.add(now - published);
    published = now;
  }

  const Duration ttl_;
  const std::string name_;
  RedisWriter writer_;
  RedisWriter::Mark barrier_ = 0;
  RedisWriter::Counts published_;
  std::uint64_t published_reconnects_ = 0;
  Counter& written_;
  Counter& stale_;
  Counter& refused_;
  Counter& resent_;
  Counter& reconnects_;
  Gauge& waiting_;
};

}  // namespace

SinkSpec redis_sink(RedisSinkSettings settings) {
  static_cast<void>(
      redis_address(settings.writer.server));  // refuse a wrong URL now, not when the job runs
  // One epoch per process: of two processes the one that started later may write, however often
  // each restarts its job.
  const auto epoch = static_cast<std::uint64_t>(SystemClock().processing_time().ms);
  return {.kind = "redis sink",
          .make = [settings = std::move(settings),
                   epoch](OperatorContext& ctx) -> std::unique_ptr<Sink> {
            return std::make_unique<RedisSink>(ctx, settings, epoch);
          },
          .parts = std::vector<std::string>{}};
}

}  // namespace tidemill
