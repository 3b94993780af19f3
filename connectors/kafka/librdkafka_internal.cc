#include "connectors/kafka/librdkafka_internal.h"

#include <algorithm>
#include <array>
#include <utility>

#include "engine/base/log.h"

namespace tidemill::kafka {
namespace {

constexpr std::size_t kErrorText = 512;

void on_log(const rd_kafka_t* handle, int level, const char* facility, const char* text) {
  if (std::string_view(facility) == "ADDPARTS") {
    static_cast<ClientEvents*>(rd_kafka_opaque(handle))->note_refused(text);
  }
  // Broken connections are reported as errors by librdkafka; they are everyday to us.
  // One set of properties serves producers and consumers: that some do not apply is no news.
  const bool is_known = std::string_view(facility) == "CONFWARN";
  const LogLevel ours = level <= 4 && !is_known ? LogLevel::kWarn : LogLevel::kDebug;
  log(ours, std::string("kafka: ") + rd_kafka_name(handle) + ": " + facility + ": " + text);
}

void on_error(rd_kafka_t*, int error, const char* reason, void* opaque) {
  static_cast<ClientEvents*>(opaque)->note_error(static_cast<rd_kafka_resp_err_t>(error), reason);
}

}  // namespace

bool ClientEvents::is_login_refused() const {
  const std::lock_guard lock(mutex_);
  return error_ == RD_KAFKA_RESP_ERR__AUTHENTICATION ||
         (error_ == RD_KAFKA_RESP_ERR__SSL &&
          error_text_.find("certificate verify failed") != std::string::npos);
}

std::string ClientEvents::last_error_text() const {
  const std::lock_guard lock(mutex_);
  return error_text_.empty() ? "" : "; last connection error: " + error_text_;
}

void ClientEvents::note_error(rd_kafka_resp_err_t error, std::string text) {
  if (error == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN) all_down_ = true;
  const std::lock_guard lock(mutex_);
  // "All brokers are down" follows the reason and would hide it.
  if (error == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN && !error_text_.empty()) return;
  error_ = error;
  error_text_ = std::move(text);
}

std::string ClientEvents::refused_text() const {
  const std::lock_guard lock(mutex_);
  return refused_text_.empty() ? "" : ": " + refused_text_;
}

void ClientEvents::note_refused(std::string text) {
  const std::lock_guard lock(mutex_);
  refused_text_ = std::move(text);
}

ConfPtr make_conf(const Properties& properties, ClientEvents& events) {
  ConfPtr conf(rd_kafka_conf_new());
  std::array<char, kErrorText> text{};
  for (const auto& [name, value] : properties) {
    const rd_kafka_conf_res_t result =
        rd_kafka_conf_set(conf.get(), name.c_str(), value.c_str(), text.data(), text.size());
    if (result == RD_KAFKA_CONF_OK) continue;
    if (result == RD_KAFKA_CONF_UNKNOWN && is_optional_property(name)) continue;
    throw Error(ErrorCode::kConfig, "a Kafka property is refused by librdkafka " +
                                        std::string(rd_kafka_version_str()) + ": " + name + ": " +
                                        text.data());
  }
  rd_kafka_conf_set_opaque(conf.get(), &events);
  rd_kafka_conf_set_log_cb(conf.get(), on_log);
  rd_kafka_conf_set_error_cb(conf.get(), on_error);
  return conf;
}

HandlePtr make_handle(rd_kafka_type_t type, ConfPtr conf) {
  std::array<char, kErrorText> text{};
  HandlePtr handle(rd_kafka_new(type, conf.get(), text.data(), text.size()));
  if (!handle) {
    throw Error(ErrorCode::kConfig,
                std::string("a Kafka client cannot be made from these settings: ") + text.data());
  }
  static_cast<void>(conf.release());  // the handle owns it now
  return handle;
}

ErrorCode error_code_of(rd_kafka_resp_err_t error) {
  switch (error) {
    case RD_KAFKA_RESP_ERR__FENCED:
    case RD_KAFKA_RESP_ERR_PRODUCER_FENCED:
    case RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH:
    case RD_KAFKA_RESP_ERR_INVALID_TXN_STATE: return ErrorCode::kFenced;

    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED: return ErrorCode::kStop;

    case RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED:
    case RD_KAFKA_RESP_ERR_UNSUPPORTED_SASL_MECHANISM:
    case RD_KAFKA_RESP_ERR_INVALID_TRANSACTION_TIMEOUT:
    case RD_KAFKA_RESP_ERR_POLICY_VIOLATION:
    case RD_KAFKA_RESP_ERR_INVALID_REPLICATION_FACTOR:
    case RD_KAFKA_RESP_ERR_INVALID_CONFIG:
    case RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION:
    case RD_KAFKA_RESP_ERR__AUTHENTICATION: return ErrorCode::kConfig;

    case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
    case RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE:
    case RD_KAFKA_RESP_ERR_INVALID_MSG:
    case RD_KAFKA_RESP_ERR_INVALID_RECORD:
    case RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP:
    case RD_KAFKA_RESP_ERR__INVALID_ARG: return ErrorCode::kBadData;

    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
    case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
    case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION: return ErrorCode::kRefused;

    default: return ErrorCode::kIo;
  }
}

std::string describe(rd_kafka_resp_err_t error) {
  return std::string(rd_kafka_err2str(error)) + " (" + rd_kafka_err2name(error) + ")";
}

int Deadline::left_ms(Duration slice) const {
  const auto left = std::chrono::duration_cast<Duration>(at_ - std::chrono::steady_clock::now());
  return static_cast<int>(std::clamp<Duration::rep>(left.count(), 1, slice.count()));
}

}  // namespace tidemill::kafka
