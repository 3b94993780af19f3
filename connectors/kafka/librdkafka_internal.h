// librdkafka's C objects with owners, one way to make a client handle, and what its errors mean to
// us. Included by this folder's sources only: rdkafka.h stays out of what others include.
#pragma once

#include <atomic>
#include <chrono>
#include <librdkafka/rdkafka.h>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "connectors/kafka/settings.h"
#include "engine/base/error.h"

namespace tidemill::kafka {

// The longest that one call of librdkafka may block; longer waits ask again.
inline constexpr std::chrono::seconds kCallSlice{2};

template <auto kDestroy>
struct Destroy {
  template <class T>
  void operator()(T* object) const {
    kDestroy(object);
  }
};

using ConfPtr = std::unique_ptr<rd_kafka_conf_t, Destroy<rd_kafka_conf_destroy>>;
using TopicConfPtr = std::unique_ptr<rd_kafka_topic_conf_t, Destroy<rd_kafka_topic_conf_destroy>>;
// Without the consumer's good-bye to its group: it joins none, and that may hang.
inline void destroy_handle(rd_kafka_t* handle) {
  rd_kafka_destroy_flags(handle, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
}
using HandlePtr = std::unique_ptr<rd_kafka_t, Destroy<destroy_handle>>;
using TopicPtr = std::unique_ptr<rd_kafka_topic_t, Destroy<rd_kafka_topic_destroy>>;
using QueuePtr = std::unique_ptr<rd_kafka_queue_t, Destroy<rd_kafka_queue_destroy>>;
using EventPtr = std::unique_ptr<rd_kafka_event_t, Destroy<rd_kafka_event_destroy>>;
using ErrorPtr = std::unique_ptr<rd_kafka_error_t, Destroy<rd_kafka_error_destroy>>;
using MessagePtr = std::unique_ptr<rd_kafka_message_t, Destroy<rd_kafka_message_destroy>>;
using PartitionsPtr = std::unique_ptr<rd_kafka_topic_partition_list_t,
                                      Destroy<rd_kafka_topic_partition_list_destroy>>;
using OptionsPtr = std::unique_ptr<rd_kafka_AdminOptions_t, Destroy<rd_kafka_AdminOptions_destroy>>;

// What every handle's callbacks find behind its opaque pointer. Outlives the handle.
struct ClientEvents {
  ClientEvents() = default;
  virtual ~ClientEvents() = default;
  ClientEvents(const ClientEvents&) = delete;
  ClientEvents& operator=(const ClientEvents&) = delete;

  // The last error of the connections (unreachable, refused, not authorised): why a call timed out.
  // With a leading separator; empty if none.
  [[nodiscard]] std::string last_error_text() const;
  // It says that waiting will not help: a login refused, or a certificate not trusted.
  [[nodiscard]] bool is_login_refused() const;
  void note_error(rd_kafka_resp_err_t error, std::string text);
  // True if all brokers went away since the last call.
  [[nodiscard]] bool take_all_down() { return all_down_.exchange(false); }
  // Which topic the coordinator has refused: only the log says so.
  [[nodiscard]] std::string refused_text() const;
  void note_refused(std::string text);

 private:
  mutable std::mutex mutex_;
  rd_kafka_resp_err_t error_ = RD_KAFKA_RESP_ERR_NO_ERROR;
  std::string error_text_;
  std::string refused_text_;
  std::atomic<bool> all_down_{false};
};

// Throws Error(kConfig) for a value that librdkafka refuses or a name it does not know.
ConfPtr make_conf(const Properties& properties, ClientEvents& events);

// Throws Error(kConfig) with librdkafka's reason.
HandlePtr make_handle(rd_kafka_type_t type, ConfPtr conf);

// Which of our errors this is; kIo for everything that may pass by itself.
ErrorCode error_code_of(rd_kafka_resp_err_t error);

// "Broker: Unknown topic or partition (UNKNOWN_TOPIC_OR_PART)".
std::string describe(rd_kafka_resp_err_t error);

// A deadline of ours over librdkafka's calls, which take milliseconds.
class Deadline {
 public:
  explicit Deadline(Duration after) : at_(std::chrono::steady_clock::now() + after) {}
  [[nodiscard]] bool is_over() const { return std::chrono::steady_clock::now() >= at_; }
  // What is left, at most `slice` and at least 1 ms.
  [[nodiscard]] int left_ms(Duration slice = 1h) const;

 private:
  std::chrono::steady_clock::time_point at_;
};

}  // namespace tidemill::kafka
