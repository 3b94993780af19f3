#include "connectors/kafka/commit_protocol.h"

#include <utility>

#include "connectors/kafka/admin.h"
#include "connectors/kafka/commit_record_json.h"
#include "connectors/kafka/control_topic.h"
#include "connectors/kafka/group_offsets.h"
#include "connectors/kafka/transaction.h"
#include "engine/base/error.h"
#include "engine/base/fault.h"
#include "engine/base/log.h"
#include "engine/checkpoint/refusal.h"

#ifdef TIDEMILL_TESTING
#include <chrono>
#include <cstdlib>
#include <random>
#include <string_view>
#include <thread>
#endif

namespace tidemill::kafka {
namespace {

ProducerSettings producer_settings(const CommitSettings& settings) {
  const std::string id = settings.job + "." + std::to_string(settings.slot);
  return {.client = settings.client,
          .client_id = id,
          .transactional_id = settings.guarantee == Guarantee::kExactlyOnce ? id : "",
          .checkpoint_interval = settings.checkpoint_interval,
          .transaction_timeout = settings.transaction_timeout};
}

#ifdef TIDEMILL_TESTING
// Kills the process up to two milliseconds into a commit, from another thread.
std::jthread crash_soon() {
  const char* point = std::getenv("TIDEMILL_CRASH_AT");
  if (point == nullptr || std::string_view(point).rfind("in_commit", 0) != 0) return {};
  const auto wait = std::chrono::microseconds{std::random_device{}() % 2000};
  return std::jthread([wait] {
    std::this_thread::sleep_for(wait);
    TM_CRASH_POINT("in_commit");
  });
}
#endif

class KafkaCommit final : public CommitProtocol {
 public:
  KafkaCommit(const CommitSettings& settings, Resources& resources, MetricRegistry& metrics,
              std::shared_ptr<CommitHistory> history, std::function<void(const std::string&)> audit)
      : settings_(settings),
        history_(std::move(history)),
        control_(settings.job, settings.slot),
        group_(settings.job, settings.sources),
        transaction_(producer_settings(settings), metrics, *history_, std::move(audit)) {
    resources.lend(transaction_);
  }

  ~KafkaCommit() override { transaction_.abort_quietly(); }

  std::optional<CommitRecord> acquire() override {
    Admin admin = make_admin();
    control_.ensure(admin);
    refuse_if_taken_over(admin);
    history_->start_attempt();
    std::optional<CommitRecord> record;
    if (TM_BROKEN("record_before_fence")) record = read(admin);
    transaction_.init();
    TM_CRASH_POINT("after_init");
    if (!TM_BROKEN("record_before_fence")) record = read(admin);
    control_index_ = transaction_.add_topic(control_.name(), {});
    return record;
  }

  std::optional<CommitRecord> look() override {
    transaction_.rehearse();
    Admin admin = make_admin();
    if (!admin.topic(control_.name())) return std::nullopt;
    return read(admin);
  }

  void begin(CheckpointId epoch) override { transaction_.begin(epoch); }

  // Half the transaction's life: the other half is for the commit. (Row N.)
  [[nodiscard]] Duration patience() const override {
    return transaction_timeout_of(producer_settings(settings_)) / 2;
  }

  void commit(const CommitRecord& record) override {
    if (settings_.guarantee == Guarantee::kAtLeastOnce) {
      transaction_.flush();
    }
    write(record);
    TM_CRASH_POINT("after_control_record");
#ifdef TIDEMILL_TESTING
    const std::jthread crash = crash_soon();
#endif
    transaction_.commit(record.checkpoint);
    group_.publish(record);
    transaction_.recycle_if_dirty();
  }

 private:
  // For the questions of a start: an idle client has four threads and connections.
  [[nodiscard]] Admin make_admin() const { return {settings_.client, settings_.job + ".control"}; }

  // A fenced instance must not fence its successor in turn. Whoever wrote the record that neither
  // this process nor a predecessor of it wrote is that successor.
  void refuse_if_taken_over(Admin& admin) {
    if (!history_->was_fenced()) return;
    const auto record = control_.read(admin);
    if (!record || history_->knows(record->checkpoint)) return;
    throw RefusedStart({"taken_over", "J", "let the other instance run, or stop it"},
                       "this instance was fenced: another instance of job " + settings_.job +
                           " has taken over and committed checkpoint " + record->checkpoint +
                           "; let that one run, or stop it before this one is started again");
  }

  std::optional<CommitRecord> read(Admin& admin) {
    const bool is_forced = settings_.accept_duplicates && !history_->has_committed();
    try {
      std::optional<CommitRecord> record = control_.read(admin);
      group_.check(record);
      if (record) history_->found(record->checkpoint);
      return record;
    } catch (const Error& e) {
      if (!is_forced || e.code() != ErrorCode::kRefused) throw;
      log(LogLevel::kWarn,
          std::string("kafka: going on by --accept-duplicates, although ") + e.what());
      return std::nullopt;
    }
  }

  void write(const CommitRecord& record) {
    const std::string json = to_json(record);
    const OutputRecord output{.topic = control_index_,
                              .partition = control_.partition(),
                              .key = control_.key(),
                              .has_key = true,
                              .value = json};
    ProduceResult result = transaction_.produce(output);
    if (result.status == ProduceStatus::kQueueFull) {
      transaction_.flush();
      result = transaction_.produce(output);
    }
    if (result.status != ProduceStatus::kAccepted) throw transaction_.refusal(output, result);
  }

  const CommitSettings settings_;
  const std::shared_ptr<CommitHistory> history_;
  ControlTopic control_;
  GroupOffsets group_;
  Transaction transaction_;
  std::size_t control_index_ = 0;
};

}  // namespace

std::function<std::unique_ptr<CommitProtocol>(Resources&, const CheckpointStorage&)>
commit_protocol(const CommitSettings& settings, MetricRegistry& metrics) {
  auto history = std::make_shared<CommitHistory>();
  return [settings, &metrics, history](Resources& resources, const CheckpointStorage& storage) {
    const auto audit = [folder = storage.folder()](const std::string& text) {
      CheckpointStorage(folder, CheckpointStorage::Access::kReadOnly).audit(text);
    };
    return std::make_unique<KafkaCommit>(settings, resources, metrics, history, audit);
  };
}

}  // namespace tidemill::kafka
