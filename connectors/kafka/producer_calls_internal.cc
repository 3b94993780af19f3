#include "connectors/kafka/producer_calls_internal.h"

#include <array>
#include <string_view>

#include "engine/base/log.h"

namespace tidemill::kafka {
namespace {

constexpr Duration kGone = 5s;
// How often the idle thread serves callbacks.
constexpr Duration kServe = 50ms;

}  // namespace

TransactionalProducer::Calls::Calls(const ProducerSettings& settings, MetricRegistry& metrics)
    : name_(settings.client_id),
      grace_(settings.call_grace),
      num_disconnects_(metrics.counter("tidemill_kafka_producer_disconnects_total", {},
                                       "Connections the producer lost")),
      num_abandoned_(metrics.counter("tidemill_kafka_producer_abandoned_total", {},
                                     "Handles given up because a call did not return")),
      num_delivery_failures_(metrics.counter("tidemill_kafka_delivery_failures_total", {},
                                             "Records the brokers refused or never acknowledged")) {
  ConfPtr conf = make_conf(producer_properties(settings), *this);
  rd_kafka_conf_set_dr_msg_cb(conf.get(), on_delivery);
  rd_kafka_conf_interceptor_add_on_new(conf.get(), "tidemill", on_new, this);
  handle_ = make_handle(RD_KAFKA_PRODUCER, std::move(conf)).release();
}

void TransactionalProducer::Calls::start(const std::shared_ptr<Calls>& self) {
  thread_ = std::thread([self] { self->serve(); });
}

void TransactionalProducer::Calls::serve() {
  std::unique_lock lock(mutex_);
  while (!must_stop_ && !is_abandoned) {
    if (work_) {
      Work work = std::move(work_);
      work_ = nullptr;
      lock.unlock();
      std::optional<Error> outcome = work();
      lock.lock();
      outcome_ = std::move(outcome);
      is_done_ = true;
      changed_.notify_all();
      continue;
    }
    const bool is_flushing = is_flush_wanted_;
    lock.unlock();
    if (is_flushing) {
      const bool is_flushed = rd_kafka_flush(handle_, 5) == RD_KAFKA_RESP_ERR_NO_ERROR;
      lock.lock();
      if (is_flushed) is_flush_wanted_ = false;
      continue;
    }
    rd_kafka_poll(handle_, 0);
    lock.lock();
    changed_.wait_for(lock, kServe, [&] { return must_stop_ || work_ || is_flush_wanted_; });
  }
  // Also if this thread was given up and its call has come back after all: nobody waits then.
  lock.unlock();
  topics.clear();
  rd_kafka_destroy(handle_);
  lock.lock();
  is_gone_ = true;
  changed_.notify_all();
}

void TransactionalProducer::Calls::stop() {
  std::unique_lock lock(mutex_);
  if (is_abandoned) return;
  must_stop_ = true;
  changed_.notify_all();
  if (!changed_.wait_for(lock, kGone, [&] { return is_gone_; })) {
    abandon("destroy");
    return;
  }
  lock.unlock();
  thread_.join();
}

void TransactionalProducer::Calls::abandon(const char* what) {
  is_abandoned = true;
  is_dirty = true;
  num_abandoned_.add();
  // The one place where a thread is let go: it is inside a call that does not return, and it holds
  // everything it uses.
  thread_.detach();
  log(LogLevel::kError,
      "kafka: " + name_ + ": a call did not return, its producer is abandoned: " + what);
}

void TransactionalProducer::Calls::run(const char* what, Duration limit, Work work) {
  const std::lock_guard one(one_call_);
  std::unique_lock lock(mutex_);
  if (is_abandoned) {
    throw Error(ErrorCode::kIo, std::string("this Kafka producer was abandoned before: ") + what);
  }
  work_ = std::move(work);
  outcome_.reset();
  is_done_ = false;
  changed_.notify_all();
  if (!changed_.wait_for(lock, limit + grace_, [&] { return is_done_; })) {
    abandon(what);
    throw Error(ErrorCode::kIo, std::string("a Kafka call did not return and its producer is "
                                            "abandoned; its outcome is unknown: ") +
                                    what + last_error_text());
  }
  if (outcome_) throw Error(*outcome_);
}

std::optional<Error> TransactionalProducer::Calls::repeat(const char* what, Duration limit,
                                                          const Slice& slice) {
  const Deadline deadline(limit);
  while (true) {
    const Deadline pause(kServe);
    const ErrorPtr error(slice(deadline.left_ms(kCallSlice)));
    if (!error) return std::nullopt;
    rd_kafka_poll(handle_, 0);  // what the connections say belongs to the error
    const rd_kafka_resp_err_t code = rd_kafka_error_code(error.get());
    if (!rd_kafka_error_is_retriable(error.get())) {
      return error_of(what, code, rd_kafka_error_string(error.get()));
    }
    is_dirty = true;
    if (deadline.is_over()) {
      return Error(is_login_refused() ? ErrorCode::kConfig : ErrorCode::kIo,
                   std::string("a Kafka call did not succeed in time: ") + what + ", after " +
                       std::to_string(limit.count()) +
                       " ms: " + rd_kafka_error_string(error.get()) + last_error_text());
    }
    // A refusal that comes at once is not repeated at once.
    if (!pause.is_over()) rd_kafka_poll(handle_, pause.left_ms());
  }
}

std::optional<Error> TransactionalProducer::Calls::flush(Duration limit) {
  const Deadline deadline(limit);
  while (rd_kafka_flush(handle_, deadline.left_ms(kCallSlice)) != RD_KAFKA_RESP_ERR_NO_ERROR) {
    is_dirty = true;
    if (!deadline.is_over()) continue;
    return Error(ErrorCode::kIo, "records were not acknowledged in time: " +
                                     std::to_string(rd_kafka_outq_len(handle_)) + " after " +
                                     std::to_string(limit.count()) + " ms" + last_error_text());
  }
  if (const auto failure = delivery_failure()) {
    return error_of("flush", static_cast<rd_kafka_resp_err_t>(failure->error), failure->text);
  }
  return std::nullopt;
}

void TransactionalProducer::Calls::flush_soon() {
  const std::lock_guard lock(mutex_);
  is_flush_wanted_ = true;
  changed_.notify_all();
}

Error TransactionalProducer::Calls::error_of(const char* what, rd_kafka_resp_err_t error,
                                             std::string text) const {
  std::array<char, 512> fatal_text{};
  const rd_kafka_resp_err_t fatal =
      rd_kafka_fatal_error(handle_, fatal_text.data(), fatal_text.size());
  if (fatal != RD_KAFKA_RESP_ERR_NO_ERROR) {
    error = fatal;
    text = fatal_text.data();
  }
  const auto failure = delivery_failure();
  if (failure && fatal == RD_KAFKA_RESP_ERR_NO_ERROR) {
    error = static_cast<rd_kafka_resp_err_t>(failure->error);
    text += "; first record not taken: " + failure->text;
  }
  if (error_code_of(error) == ErrorCode::kStop) text += refused_text();
  if (error_code_of(error) == ErrorCode::kFenced) {
    return {ErrorCode::kFenced,
            "this Kafka producer was fenced: another instance took its transactional id, or the "
            "transaction outlived transaction.timeout.ms: " +
                name_ + ", " + what + ": " + text};
  }
  return {error_code_of(error),
          "a Kafka call failed: " + name_ + ", " + what + ": " + text + ": " + describe(error)};
}

std::optional<DeliveryFailure> TransactionalProducer::Calls::delivery_failure() const {
  const std::lock_guard lock(mutex_);
  return failure_;
}

rd_kafka_resp_err_t TransactionalProducer::Calls::on_new(rd_kafka_t* handle, const rd_kafka_conf_t*,
                                                         void* self, char*, std::size_t) {
  return rd_kafka_interceptor_add_on_broker_state_change(handle, "tidemill", on_broker_state, self);
}

// Runs on librdkafka's threads, before it retries anything that was on the connection.
rd_kafka_resp_err_t TransactionalProducer::Calls::on_broker_state(rd_kafka_t*, std::int32_t id,
                                                                  const char*, const char* name,
                                                                  int port, const char* state,
                                                                  void* self) {
  auto& calls = *static_cast<Calls*>(self);
  const std::string_view now(state);
  const std::lock_guard lock(calls.mutex_);
  std::string& before = calls.broker_states_[{id, name + (':' + std::to_string(port))}];
  // An attempt to connect that failed has carried no request; anything else may have.
  const bool was_trying = before == "TRY_CONNECT" || before == "CONNECT" || before == "DOWN";
  if (now == "DOWN" && !was_trying) {
    calls.is_dirty = true;
    calls.num_disconnects_.add();
  }
  before = now;
  return RD_KAFKA_RESP_ERR_NO_ERROR;
}

void TransactionalProducer::Calls::on_delivery(rd_kafka_t*, const rd_kafka_message_t* message,
                                               void* events) {
  if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) return;
  auto& calls = *static_cast<Calls*>(static_cast<ClientEvents*>(events));
  calls.num_delivery_failures_.add();
  // What follows the first failure is only swept out of the queues.
  if (message->err == RD_KAFKA_RESP_ERR__PURGE_QUEUE ||
      message->err == RD_KAFKA_RESP_ERR__PURGE_INFLIGHT) {
    return;
  }
  const std::lock_guard lock(calls.mutex_);
  if (calls.failure_) return;
  const char* topic = rd_kafka_topic_name(message->rkt);
  const std::size_t bytes = message->len + message->key_len;
  calls.failure_ = DeliveryFailure{topic,
                                   message->partition,
                                   bytes,
                                   message->err,
                                   error_code_of(message->err),
                                   to_string(TopicPartition(topic, message->partition)) + ", " +
                                       std::to_string(bytes) +
                                       " bytes of key and value: " + describe(message->err)};
}

}  // namespace tidemill::kafka
