#include "connectors/kafka/transaction.h"

#include <algorithm>
#include <thread>
#include <utility>

#include "connectors/kafka/admin.h"
#include "engine/base/fault.h"
#include "engine/base/log.h"

namespace tidemill::kafka {
namespace {

// Three in a row say that the next would not be the last.
constexpr int kTooMany = 3;
// Markers of the committed transaction are written in this time; an init before would be put off by
// ten times as much.
constexpr Duration kMarkers = 50ms;

// Exit code 1, and no restart: it would meet the same again.
Error stop(const std::string& message) { return {ErrorCode::kStop, message}; }

}  // namespace

void CommitHistory::found(const std::string& checkpoint) {
  const std::lock_guard lock(mutex_);
  last_ = checkpoint;
}

void CommitHistory::committed(const std::string& checkpoint) {
  const std::lock_guard lock(mutex_);
  last_ = checkpoint;
  has_committed_ = true;
  failure_.reset();
  num_fenced_ = 0;
  num_given_up_ = 0;
}

void CommitHistory::attempted(const std::string& checkpoint) {
  const std::lock_guard lock(mutex_);
  attempted_ = checkpoint;
}

bool CommitHistory::knows(const std::string& checkpoint) const {
  const std::lock_guard lock(mutex_);
  return checkpoint == last_ || checkpoint == attempted_;
}

bool CommitHistory::has_committed() const {
  const std::lock_guard lock(mutex_);
  return has_committed_;
}

bool CommitHistory::was_fenced() const {
  const std::lock_guard lock(mutex_);
  return was_fenced_;
}

void CommitHistory::start_attempt() {
  const std::lock_guard lock(mutex_);
  is_judged_ = false;
  was_fenced_ = false;
}

Error CommitHistory::judge(const Error& error, const TransactionalProducer& producer,
                           Duration transaction_timeout) {
  const std::lock_guard lock(mutex_);
  if (is_judged_) return error;  // the sinks and the protocol meet the same failure
  is_judged_ = true;
  if ((producer.is_abandoned() || producer.is_unanswered()) && ++num_given_up_ >= kTooMany) {
    return stop(std::to_string(kTooMany) +
                " Kafka transactions in a row were given up without an answer; look at the brokers "
                "and the network, then start the job again: " +
                error.what());
  }
  if (error.code() == ErrorCode::kFenced) {
    was_fenced_ = true;
    if (++num_fenced_ >= kTooMany) {
      return stop(
          "the transaction was fenced " + std::to_string(kTooMany) +
          " times without a commit in between: the epoch does not fit transaction.timeout, " +
          std::to_string(transaction_timeout.count()) +
          " ms, or another instance runs under the same name; raise transaction_timeout, "
          "or make checkpoints smaller or rarer: " +
          error.what());
    }
  }
  const auto failure = producer.delivery_failure();
  // Only a refusal says something about the record: without an answer it is the brokers' matter.
  if (!failure || failure->code == ErrorCode::kIo) return error;
  const bool is_repeated = failure_ == failure;
  failure_ = failure;
  if (is_repeated) {
    return stop("a record is refused by Kafka again after a restart, so another would not help: " +
                failure->text + "; raise the limit it names, or take the record out of the input");
  }
  // Once may have been an accident.
  return {ErrorCode::kIo, error.what()};
}

Transaction::Transaction(const ProducerSettings& settings, MetricRegistry& metrics,
                         CommitHistory& history, std::function<void(const std::string&)> audit)
    : settings_(settings),
      is_at_least_once_(settings.transactional_id.empty()),
      metrics_(metrics),
      history_(history),
      audit_(std::move(audit)),
      num_recycles_(metrics.counter("tidemill_kafka_producer_recycles_total", {},
                                    "Producers replaced between two transactions (rule R)")),
      producer_(make_producer()) {}

Transaction::~Transaction() = default;

std::unique_ptr<TransactionalProducer> Transaction::make_producer() const {
  return std::make_unique<TransactionalProducer>(settings_, metrics_);
}

void Transaction::create_topic(Admin& admin, const std::string& name, const TopicModel& model) {
  NewTopic topic{
      .name = name,
      .num_partitions = model.partitions.value_or(1),
      .replication = std::min(kReplicationOfOurs, static_cast<std::int32_t>(admin.num_brokers()))};
  // Rows carry event times, which may be older than any retention by time.
  topic.config["retention.ms"] = "-1";
  const auto find = [&](const std::string& wanted) {
    return wanted.empty() ? std::nullopt : admin.topic(wanted);
  };
  std::optional<TopicInfo> original = find(model.like);
  if (original) {
    topic.config = admin.own_topic_config(model.like);
  } else {
    original = find(model.as_wide);
  }
  if (original) {
    topic.num_partitions = original->num_partitions;
    topic.replication = original->replication;
  }
  admin.create_topic(topic);
  log(LogLevel::kInfo, "kafka: created the output topic " + name + " with " +
                           std::to_string(topic.num_partitions) + " partitions");
}

std::size_t Transaction::add_topic(const std::string& name, const TopicModel& model) {
  if (model.is_set()) {
    Admin admin(settings_.client, settings_.client_id + ".create");
    if (!admin.topic(name)) {
      if (is_rehearsal_) return 0;
      create_topic(admin, name, model);
    }
  }
  const std::size_t index = producer_->add_topic(name);
  if (index == topics_.size()) topics_.push_back(name);
  return index;
}

Error Transaction::refusal(const OutputRecord& record, ProduceResult result) {
  return history_.judge(producer_->refusal(record, result), *producer_,
                        transaction_timeout_of(settings_));
}

template <class Call>
void Transaction::judged(Call call) {
  try {
    call();
  } catch (const Error& e) {
    has_failed_ = true;
    epoch_.store(kClosed, std::memory_order_release);
    throw history_.judge(e, *producer_, transaction_timeout_of(settings_));
  }
}

void Transaction::init() {
  judged([this] { producer_->init(); });
}

void Transaction::begin(CheckpointId epoch) {
  // A checkpoint that was declined leaves its transaction open for the next one.
  if (!is_begun_) judged([this] { producer_->begin(); });
  is_begun_ = true;
  epoch_.store(epoch, std::memory_order_release);
}

void Transaction::flush() {
  judged([this] { producer_->flush(); });
}

void Transaction::commit(const std::string& checkpoint) {
  history_.attempted(checkpoint);
  epoch_.store(kClosed, std::memory_order_release);
  judged([this] { producer_->commit(); });
  is_begun_ = false;
  history_.committed(checkpoint);
}

void Transaction::recycle_if_dirty() {
  if (is_at_least_once_ || !producer_->is_dirty() || TM_BROKEN("no_recycle")) return;
  num_recycles_.add();
  judged([this] {
    std::this_thread::sleep_for(kMarkers);
    producer_.reset();
    TM_CRASH_POINT("in_recycle");
    producer_ = make_producer();
    producer_->init();
    for (const std::string& topic : topics_) producer_->add_topic(topic);
  });
}

void Transaction::abort_quietly() {
  if (!is_begun_ || has_failed_ || is_at_least_once_ || producer_->is_dirty()) return;
  epoch_.store(kClosed, std::memory_order_release);
  try {
    producer_->abort();
  } catch (const Error& e) {
    log(LogLevel::kInfo,
        std::string("kafka: the open transaction is left to time out: ") + e.what());
  }
}

}  // namespace tidemill::kafka
