#include "connectors/kafka/sink.h"

#include <algorithm>
#include <deque>
#include <map>
#include <optional>
#include <utility>

#include "connectors/kafka/transaction.h"
#include "engine/base/error.h"
#include "engine/base/fault.h"

namespace tidemill::kafka {
namespace {

constexpr std::size_t kChunkBytes = 1u << 20;
// Rows given to the producer in one poll, so that barriers and batches come in between.
constexpr std::size_t kRowsPerPoll = 10'000;
// What may wait although the transaction is open: the producer's own queue is full then.
constexpr std::size_t kOpenBytes = 4u << 20;
// A refused value is usually too large; this much of it is kept in the dead letter.
constexpr std::size_t kDeadValueBytes = 64u << 10;

void copy_row(const OutputBatch::Row& row, OutputBatch& to) {
  to.begin_row();
  if (row.has_key) {
    to.buffer().append(row.key);
    to.end_key();
  }
  to.buffer().append(row.value);
  if (row.is_delete) to.set_delete();
  to.set_time(row.time);
  if (row.headers != nullptr) to.set_headers(*row.headers);
  if (row.topic != nullptr) to.set_topic(*row.topic);
  to.end_row();
}

class KafkaSink final : public Sink, private Snapshotable {
 public:
  KafkaSink(OperatorContext& ctx, const SinkSettings& settings)
      : settings_(settings),
        transaction_(ctx.resources().get<Transaction>()),
        num_written_(ctx.counter("tidemill_kafka_records_written_total")),
        num_refused_(ctx.counter("tidemill_kafka_records_refused_total")),
        staged_bytes_gauge_(ctx.gauge("tidemill_kafka_staged_bytes")) {
    own_topic_ = add_topic(settings.topic);
    for (const std::string& topic : settings.more_topics) add_topic(topic);
    if (settings.refused == RefusedPolicy::kDeadLetter) {
      dead_letters_ = add_topic(settings.dead_letter_topic);
    }
    ctx.attach(*this);
  }

  void write(const OutputBatch& batch) override {
    std::size_t i = 0;
    if (staged_.empty() && may_write()) {
      while (i < batch.size() && produce(batch.row(i))) ++i;
    }
    for (; i < batch.size(); ++i) stage(batch.row(i));
  }

  void poll() override {
    if (!staged_.empty() && may_write()) unstage(kRowsPerPoll);
  }

  [[nodiscard]] bool is_full() const override {
    return staged_bytes_ >=
           (may_write() ? std::min(kOpenBytes, settings_.staging_bytes) : settings_.staging_bytes);
  }

 private:
  struct Chunk {
    OutputBatch rows;
    std::size_t next = 0;
  };

  std::size_t add_topic(const std::string& name) {
    const std::size_t index = transaction_.add_topic(name, settings_.create);
    topics_[name] = index;
    return index;
  }

  // Before the first barrier the sink does not know its epoch: it is the one that gets opened.
  [[nodiscard]] bool may_write() const {
    if (TM_BROKEN("no_staging")) return true;
    return epoch_ ? transaction_.is_open(*epoch_) : transaction_.epoch() != Transaction::kClosed;
  }

  // False: no room just now.
  bool produce(const OutputBatch::Row& row) {
    const OutputRecord record = record_of(row);
    const ProduceResult result = transaction_.produce(record);
    TM_CRASH_POINT("mid_epoch");
    if (result.status == ProduceStatus::kAccepted || TM_BROKEN("ignore_produce_result")) {
      num_written_.add();
      return true;
    }
    if (result.status == ProduceStatus::kQueueFull || TM_BROKEN("no_staging")) return false;
    return refused(record, result);
  }

  OutputRecord record_of(const OutputBatch::Row& row) const {
    std::size_t topic = own_topic_;
    if (row.topic != nullptr) {
      const auto found = topics_.find(*row.topic);
      if (found == topics_.end()) {
        throw Error(ErrorCode::kBadData, "a row names a topic that its sink does not know: " +
                                             *row.topic + "; add it to the sink's topics");
      }
      topic = found->second;
    }
    // Kafka has no times before 1970, and librdkafka takes 0 for now.
    const bool has_time = row.time.is_finite() && !settings_.is_wall_clock;
    return {.topic = topic,
            .key = row.key,
            .has_key = row.has_key,
            .value = row.value,
            .has_value = !row.is_delete,
            .timestamp_ms = has_time ? std::max<std::int64_t>(1, row.time.ms) : 0,
            .headers = row.headers};
  }

  bool refused(const OutputRecord& record, ProduceResult result) {
    const Error error = transaction_.refusal(record, result);
    // Anything but the record itself is no matter of policy.
    if (error.code() != ErrorCode::kBadData || settings_.refused == RefusedPolicy::kFail) {
      throw Error(error);
    }
    if (settings_.refused == RefusedPolicy::kDeadLetter && !produce_dead_letter(record, error)) {
      return false;
    }
    num_refused_.add();
    return true;
  }

  // In the same transaction, with what is left of the value.
  bool produce_dead_letter(const OutputRecord& record, const Error& error) {
    const RecordHeaders headers{{"tidemill.stage", "sink"},
                                {"tidemill.reason", "refused"},
                                {"tidemill.detail", error.what()},
                                {"tidemill.value_bytes", std::to_string(record.value.size())}};
    OutputRecord letter = record;
    letter.topic = dead_letters_;
    letter.partition = kByKey;
    letter.key = record.key.substr(0, kDeadValueBytes);
    letter.value = record.value.substr(0, kDeadValueBytes);
    letter.headers = &headers;
    const ProduceResult result = transaction_.produce(letter);
    if (result.status == ProduceStatus::kRefused) throw transaction_.refusal(letter, result);
    return result.status == ProduceStatus::kAccepted;
  }

  void stage(const OutputBatch::Row& row) {
    if (staged_.empty() || staged_.back().rows.bytes() >= kChunkBytes) staged_.emplace_back();
    copy_row(row, staged_.back().rows);
    staged_bytes_ += row.key.size() + row.value.size();
    ++num_staged_;
    staged_bytes_gauge_.set(static_cast<double>(staged_bytes_));
  }

  // Oldest first, at most `max_rows`.
  void unstage(std::size_t max_rows) {
    for (; max_rows > 0 && !staged_.empty(); --max_rows) {
      Chunk& chunk = staged_.front();
      const OutputBatch::Row row = chunk.rows.row(chunk.next);
      if (!produce(row)) break;
      staged_bytes_ -= row.key.size() + row.value.size();
      --num_staged_;
      if (num_before_barrier_ > 0) --num_before_barrier_;
      if (++chunk.next == chunk.rows.size()) staged_.pop_front();
    }
    staged_bytes_gauge_.set(static_cast<double>(staged_bytes_));
  }

  void freeze(CheckpointId id) override {
    TM_CRASH_POINT("at_barrier");
    num_before_barrier_ = num_staged_;
    epoch_ = id + 1;
  }

  // Rows of before the barrier that still wait belong to the transaction that is open now; it
  // stays open until every sink has said that it is done here.
  bool drain(StageSnapshot&, std::size_t max_entries) override {
    if (num_before_barrier_ > 0) unstage(std::min(num_before_barrier_, max_entries));
    if (num_before_barrier_ > 0) return false;
    transaction_.flush_soon();
    return true;
  }

  const SinkSettings settings_;
  Transaction& transaction_;
  Counter& num_written_;
  Counter& num_refused_;
  Gauge& staged_bytes_gauge_;
  std::size_t own_topic_ = 0;
  std::size_t dead_letters_ = 0;
  std::map<std::string, std::size_t, std::less<>> topics_;
  std::optional<CheckpointId> epoch_;
  std::deque<Chunk> staged_;
  std::size_t staged_bytes_ = 0;
  std::size_t num_staged_ = 0;
  std::size_t num_before_barrier_ = 0;
};

}  // namespace

SinkSpec sink(const SinkSettings& settings) {
  return {.kind = "Kafka sink",
          .make = [settings](
                      OperatorContext& ctx) { return std::make_unique<KafkaSink>(ctx, settings); },
          .parts = std::vector<std::string>{}};
}

}  // namespace tidemill::kafka
