// The librdkafka handle of a TransactionalProducer and the one thread that makes its blocking
// calls. Both may outlive the producer: a call that does not return keeps them until it does
// (docs/exactly-once.md 1.2, the watchdog).
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "connectors/kafka/librdkafka_internal.h"
#include "connectors/kafka/transactional_producer.h"

namespace tidemill::kafka {

class TransactionalProducer::Calls final : public ClientEvents {
 public:
  // One call of librdkafka that takes at most so many milliseconds, if all is well.
  using Slice = std::function<rd_kafka_error_t*(int ms)>;
  using Work = std::function<std::optional<Error>()>;

  struct Topic {
    std::string name;
    TopicPtr handle;
    std::int32_t num_partitions = 0;
  };

  Calls(const ProducerSettings& settings, MetricRegistry& metrics);
  // `self` is held by the thread.
  void start(const std::shared_ptr<Calls>& self);
  // Ends the thread and destroys the handle; gives both up if that does not work out.
  void stop();

  // Runs `work` on the thread and throws what it returns; one caller at a time. Abandons the handle
  // if the thread has not answered within the settings' grace after `limit`.
  void run(const char* what, Duration limit, Work work);
  // On the thread: repeats `slice` while librdkafka says it may be repeated, up to `limit`.
  std::optional<Error> repeat(const char* what, Duration limit, const Slice& slice);
  // On the thread: waits until every record is acknowledged.
  std::optional<Error> flush(Duration limit);
  void flush_soon();

  // The handle's fatal error, or `error` as librdkafka left it.
  [[nodiscard]] Error error_of(const char* what, rd_kafka_resp_err_t error, std::string text) const;
  [[nodiscard]] std::optional<DeliveryFailure> delivery_failure() const;

  [[nodiscard]] rd_kafka_t* handle() const { return handle_; }

  std::vector<Topic> topics;  // fixed while others produce
  std::atomic<bool> is_dirty{false};
  std::atomic<bool> is_abandoned{false};
  std::atomic<std::uint32_t> next_partition{0};  // for records without a key

 private:
  static rd_kafka_resp_err_t on_new(rd_kafka_t* handle, const rd_kafka_conf_t*, void* self, char*,
                                    std::size_t);
  static rd_kafka_resp_err_t on_broker_state(rd_kafka_t*, std::int32_t id, const char*,
                                             const char* name, int port, const char* state,
                                             void* self);
  static void on_delivery(rd_kafka_t*, const rd_kafka_message_t* message, void* events);
  void serve();
  void abandon(const char* what);

  const std::string name_;
  const Duration grace_;
  Counter& num_disconnects_;
  Counter& num_abandoned_;
  Counter& num_delivery_failures_;
  rd_kafka_t* handle_ = nullptr;  // destroyed by the thread, or never
  std::thread thread_;

  std::mutex one_call_;  // held by whoever waits for `run`
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  Work work_;
  std::optional<Error> outcome_;
  bool is_done_ = false;
  bool is_flush_wanted_ = false;
  bool must_stop_ = false;
  bool is_gone_ = false;
  std::optional<DeliveryFailure> failure_;
  std::map<std::pair<std::int32_t, std::string>, std::string> broker_states_;
};

}  // namespace tidemill::kafka
