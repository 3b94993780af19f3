#include "connectors/kafka/admin.h"

#include <algorithm>
#include <array>
#include <utility>

#include "connectors/kafka/admin_client_internal.h"
#include "connectors/kafka/librdkafka_internal.h"
#include "engine/base/log.h"

namespace tidemill::kafka {
namespace {

using NewTopicPtr = std::unique_ptr<rd_kafka_NewTopic_t, Destroy<rd_kafka_NewTopic_destroy>>;
using ConfigResourcePtr =
    std::unique_ptr<rd_kafka_ConfigResource_t, Destroy<rd_kafka_ConfigResource_destroy>>;

constexpr int kPauseMs = 20;
constexpr int kAlterMs = 10'000;

TopicInfo info_of(const rd_kafka_metadata_topic_t& topic) {
  return {topic.topic, topic.partition_cnt,
          topic.partition_cnt > 0 ? topic.partitions[0].replica_cnt : 0};
}

FoundRecord found(const rd_kafka_message_t& message) {
  FoundRecord record{.offset = message.offset};
  rd_kafka_timestamp_type_t type{};
  record.timestamp_ms = rd_kafka_message_timestamp(&message, &type);
  record.has_key = message.key != nullptr;
  if (record.has_key) record.key.assign(static_cast<const char*>(message.key), message.key_len);
  record.has_value = message.payload != nullptr;
  if (record.has_value) record.value.assign(static_cast<const char*>(message.payload), message.len);
  return record;
}

Properties config_of(const rd_kafka_event_t& event, bool is_own_only = false) {
  std::size_t count = 0;
  const rd_kafka_ConfigResource_t** resources = rd_kafka_DescribeConfigs_result_resources(
      rd_kafka_event_DescribeConfigs_result(const_cast<rd_kafka_event_t*>(&event)), &count);
  Properties config;
  for (std::size_t r = 0; r < count; ++r) {
    const rd_kafka_resp_err_t error = rd_kafka_ConfigResource_error(resources[r]);
    if (error != RD_KAFKA_RESP_ERR_NO_ERROR) {
      throw Error(error_code_of(error), std::string("a Kafka configuration cannot be read: ") +
                                            rd_kafka_ConfigResource_name(resources[r]) + ": " +
                                            describe(error));
    }
    std::size_t num_entries = 0;
    const rd_kafka_ConfigEntry_t** entries =
        rd_kafka_ConfigResource_configs(resources[r], &num_entries);
    for (std::size_t i = 0; i < num_entries; ++i) {
      const bool is_own =
          rd_kafka_ConfigEntry_source(entries[i]) == RD_KAFKA_CONFIG_SOURCE_DYNAMIC_TOPIC_CONFIG;
      if (is_own_only && !is_own) continue;
      const char* value = rd_kafka_ConfigEntry_value(entries[i]);
      config[rd_kafka_ConfigEntry_name(entries[i])] = value == nullptr ? "" : value;
    }
  }
  return config;
}

}  // namespace

Admin::Admin(const ClientSettings& settings, const std::string& client_id, Duration timeout)
    : client_(std::make_unique<Client>(settings, client_id, timeout)) {}
Admin::~Admin() = default;

std::optional<TopicInfo> Admin::topic(const std::string& name) {
  const TopicPtr topic(rd_kafka_topic_new(client_->handle(), name.c_str(), nullptr));
  if (!topic) throw client_->failed("topic " + name, rd_kafka_last_error());
  const Deadline deadline(client_->timeout);
  while (true) {
    const MetadataPtr metadata = client_->metadata(topic.get());
    const rd_kafka_metadata_topic_t& found = metadata->topics[0];
    if (found.err == RD_KAFKA_RESP_ERR_NO_ERROR) return info_of(found);
    if (error_code_of(found.err) == ErrorCode::kRefused) return std::nullopt;
    if (!may_pass(found.err) || deadline.is_over())
      throw client_->failed("topic " + name, found.err);
    rd_kafka_poll(client_->handle(), kPauseMs);
  }
}

std::vector<TopicInfo> Admin::topics() {
  const MetadataPtr metadata = client_->metadata(nullptr);
  std::vector<TopicInfo> topics;
  for (int i = 0; i < metadata->topic_cnt; ++i) {
    const rd_kafka_metadata_topic_t& topic = metadata->topics[i];
    if (topic.err == RD_KAFKA_RESP_ERR_NO_ERROR) {
      topics.push_back(info_of(topic));
    }
  }
  std::sort(topics.begin(), topics.end(),
            [](const TopicInfo& a, const TopicInfo& b) { return a.name < b.name; });
  return topics;
}

std::size_t Admin::num_brokers() {
  return static_cast<std::size_t>(client_->metadata(nullptr)->broker_cnt);
}

bool Admin::create_topic(const NewTopic& topic) {
  std::array<char, 512> text{};
  const NewTopicPtr wanted(rd_kafka_NewTopic_new(topic.name.c_str(), topic.num_partitions,
                                                 topic.replication, text.data(), text.size()));
  if (!wanted) {
    throw Error(ErrorCode::kConfig,
                "a Kafka topic cannot be made: " + topic.name + ": " + text.data());
  }
  for (const auto& [name, value] : topic.config) {
    rd_kafka_NewTopic_set_config(wanted.get(), name.c_str(), value.c_str());
  }
  const EventPtr event =
      client_->request("create topic " + topic.name, RD_KAFKA_ADMIN_OP_CREATETOPICS,
                       [&](const rd_kafka_AdminOptions_t* options, rd_kafka_queue_t* queue) {
                         rd_kafka_NewTopic_t* topics[] = {wanted.get()};
                         rd_kafka_CreateTopics(client_->handle(), topics, 1, options, queue);
                       });
  std::size_t count = 0;
  const rd_kafka_topic_result_t** results =
      rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event.get()), &count);
  const rd_kafka_resp_err_t error =
      count == 1 ? rd_kafka_topic_result_error(results[0]) : RD_KAFKA_RESP_ERR__FAIL;
  if (error == RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS) return false;
  if (error != RD_KAFKA_RESP_ERR_NO_ERROR) {
    const char* reason = count == 1 ? rd_kafka_topic_result_error_string(results[0]) : nullptr;
    throw Error(error_code_of(error), "a Kafka topic cannot be made: " + topic.name + ": " +
                                          (reason == nullptr ? describe(error) : reason));
  }
  // Created is not yet known everywhere, nor led.
  const Deadline deadline(kTopicAppears);
  while (!deadline.is_over()) {
    if (const auto info = this->topic(topic.name); info && info->num_partitions > 0) return true;
    rd_kafka_poll(client_->handle(), kPauseMs);
  }
  throw client_->failed("a new topic does not appear: " + topic.name, RD_KAFKA_RESP_ERR__TIMED_OUT);
}

Properties Admin::topic_config(const std::string& topic) {
  return topic_settings(topic, Settings::kInForce);
}

Properties Admin::own_topic_config(const std::string& topic) {
  return topic_settings(topic, Settings::kOwn);
}

Properties Admin::topic_settings(const std::string& topic, Settings which) {
  const ConfigResourcePtr resource(
      rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topic.c_str()));
  return config_of(
      *client_->request("configuration of " + topic, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS,
                        [&](const rd_kafka_AdminOptions_t* options, rd_kafka_queue_t* queue) {
                          rd_kafka_ConfigResource_t* resources[] = {resource.get()};
                          rd_kafka_DescribeConfigs(client_->handle(), resources, 1, options, queue);
                        }),
      which == Settings::kOwn);
}

Properties Admin::broker_config() {
  const MetadataPtr metadata = client_->metadata(nullptr);
  if (metadata->broker_cnt == 0) {
    throw client_->failed("brokers", RD_KAFKA_RESP_ERR_BROKER_NOT_AVAILABLE);
  }
  const std::string id = std::to_string(metadata->brokers[0].id);
  const ConfigResourcePtr resource(
      rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_BROKER, id.c_str()));
  return config_of(
      *client_->request("configuration of broker " + id, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS,
                        [&](const rd_kafka_AdminOptions_t* options, rd_kafka_queue_t* queue) {
                          rd_kafka_ConfigResource_t* resources[] = {resource.get()};
                          rd_kafka_DescribeConfigs(client_->handle(), resources, 1, options, queue);
                        }));
}

std::map<TopicPartition, std::int64_t> Admin::offsets(const std::vector<TopicPartition>& partitions,
                                                      LogPoint point) {
  // ListOffsets takes these two names in place of a timestamp, for all partitions of a broker in
  // one request.
  const std::int64_t end = RD_KAFKA_OFFSET_END;
  switch (point) {
    case LogPoint::kStart:
      return client_->list_offsets(client_->handle(), partitions, RD_KAFKA_OFFSET_BEGINNING);
    case LogPoint::kLastStable: return client_->list_offsets(client_->handle(), partitions, end);
    case LogPoint::kHighWatermark: break;
  }
  return client_->list_offsets(client_->uncommitted(), partitions, end);
}

std::map<TopicPartition, std::int64_t> Admin::offsets_at(
    const std::vector<TopicPartition>& partitions, EventTime time) {
  std::map<TopicPartition, std::int64_t> found =
      client_->list_offsets(client_->handle(), partitions, std::max<std::int64_t>(0, time.ms));
  std::vector<TopicPartition> later;
  for (const auto& [partition, offset] : found) {
    if (offset < 0) later.push_back(partition);
  }
  for (const auto& [partition, offset] : offsets(later, LogPoint::kLastStable)) {
    found[partition] = offset;
  }
  return found;
}

std::map<TopicPartition, FoundRecord> Admin::records_at(
    const std::map<TopicPartition, std::int64_t>& places) {
  std::vector<TopicPartition> partitions;
  for (const auto& [partition, offset] : places) partitions.push_back(partition);
  const auto start = offsets(partitions, LogPoint::kStart);
  const auto end = offsets(partitions, LogPoint::kLastStable);
  std::map<TopicPartition, std::int64_t> present;
  for (const auto& [partition, offset] : places) {
    if (offset >= start.at(partition) && offset < end.at(partition)) present[partition] = offset;
  }
  std::map<TopicPartition, FoundRecord> records;
  client_->read(present, [&](const TopicPartition& partition, const rd_kafka_message_t& message) {
    const std::int64_t wanted = present.at(partition);
    if (message.offset == wanted) records.emplace(partition, found(message));
    return message.offset < wanted;
  });
  return records;
}

std::optional<FoundRecord> Admin::last_record(const TopicPartition& partition,
                                              std::string_view key) {
  const std::int64_t start = offsets({partition}, LogPoint::kStart).at(partition);
  const std::int64_t end = offsets({partition}, LogPoint::kLastStable).at(partition);
  // It is usually among the last few; looking for it from ever further back costs little more.
  for (std::int64_t back = 16; start < end; back *= 16) {
    const std::int64_t from = std::max(start, end - back);
    std::optional<FoundRecord> record;
    client_->read(
        {{partition, from}}, [&](const TopicPartition&, const rd_kafka_message_t& message) {
          const std::string_view its_key(static_cast<const char*>(message.key), message.key_len);
          if (message.key != nullptr && its_key == key) record = found(message);
          return true;
        });
    if (record || from == start) return record;
  }
  return std::nullopt;
}

std::string Admin::group_state(const std::string& group) {
  const EventPtr event = client_->request(
      "group " + group, RD_KAFKA_ADMIN_OP_DESCRIBECONSUMERGROUPS,
      [&](const rd_kafka_AdminOptions_t* options, rd_kafka_queue_t* queue) {
        const char* groups[] = {group.c_str()};
        rd_kafka_DescribeConsumerGroups(client_->handle(), groups, 1, options, queue);
      });
  std::size_t count = 0;
  const rd_kafka_ConsumerGroupDescription_t** groups =
      rd_kafka_DescribeConsumerGroups_result_groups(
          rd_kafka_event_DescribeConsumerGroups_result(event.get()), &count);
  if (count != 1) throw client_->failed("group " + group, RD_KAFKA_RESP_ERR__FAIL);
  if (const rd_kafka_error_t* error = rd_kafka_ConsumerGroupDescription_error(groups[0])) {
    throw client_->failed("group " + group, rd_kafka_error_code(error));
  }
  return rd_kafka_consumer_group_state_name(rd_kafka_ConsumerGroupDescription_state(groups[0]));
}

std::map<TopicPartition, GroupOffset> Admin::group_offsets(
    const std::string& group, const std::vector<TopicPartition>& partitions) {
  std::map<TopicPartition, GroupOffset> offsets;
  if (partitions.empty()) return offsets;
  const PartitionsPtr list = list_of(partitions);
  rd_kafka_ListConsumerGroupOffsets_t* wanted =
      rd_kafka_ListConsumerGroupOffsets_new(group.c_str(), list.get());
  const std::unique_ptr<rd_kafka_ListConsumerGroupOffsets_t,
                        Destroy<rd_kafka_ListConsumerGroupOffsets_destroy>>
      owner(wanted);
  const EventPtr event = client_->request(
      "offsets of group " + group, RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPOFFSETS,
      [&](const rd_kafka_AdminOptions_t* options, rd_kafka_queue_t* queue) {
        rd_kafka_ListConsumerGroupOffsets(client_->handle(), &wanted, 1, options, queue);
      });
  std::size_t count = 0;
  const rd_kafka_group_result_t** groups = rd_kafka_ListConsumerGroupOffsets_result_groups(
      rd_kafka_event_ListConsumerGroupOffsets_result(event.get()), &count);
  for (std::size_t g = 0; g < count; ++g) {
    if (const rd_kafka_error_t* error = rd_kafka_group_result_error(groups[g])) {
      throw client_->failed("offsets of group " + group, rd_kafka_error_code(error));
    }
    const rd_kafka_topic_partition_list_t* found = rd_kafka_group_result_partitions(groups[g]);
    for (int i = 0; found != nullptr && i < found->cnt; ++i) {
      const rd_kafka_topic_partition_t& element = found->elems[i];
      if (element.offset < 0) continue;
      offsets[name_of(element)] = {
          element.offset,
          std::string(static_cast<const char*>(element.metadata), element.metadata_size)};
    }
  }
  return offsets;
}

void Admin::set_group_offsets(const std::string& group,
                              const std::map<TopicPartition, GroupOffset>& offsets) {
  client_->waiting = {group, offsets};
  client_->alter(0);
}

void Admin::finish_group_offsets(Duration patience) {
  const Deadline deadline(patience);
  while (!client_->alter(deadline.left_ms()) && !deadline.is_over()) {
  }
}

// True when nothing is under way or waiting any more.
bool Admin::Client::alter(int wait_ms) {
  if (!alter_queue_) alter_queue_.reset(rd_kafka_queue_new(handle()));
  rd_kafka_poll(handle(), 0);
  if (is_altering_) {
    const EventPtr before(rd_kafka_queue_poll(alter_queue_.get(), wait_ms));
    if (!before) return false;
    is_altering_ = false;
    if (const rd_kafka_resp_err_t error = rd_kafka_event_error(before.get())) {
      log(LogLevel::kWarn,
          "kafka: the group's offsets, which only lag tools read, were not "
          "written: " +
              describe(error));
    }
  }
  if (!waiting) return true;
  const auto [group, offsets] = *std::exchange(waiting, std::nullopt);
  if (offsets.empty()) return true;
  const PartitionsPtr list(rd_kafka_topic_partition_list_new(static_cast<int>(offsets.size())));
  for (const auto& [partition, offset] : offsets) {
    rd_kafka_topic_partition_t* element =
        rd_kafka_topic_partition_list_add(list.get(), partition.first.c_str(), partition.second);
    element->offset = offset.offset;
    // librdkafka frees it with the list.
    element->metadata = rd_kafka_mem_malloc(handle(), offset.metadata.size() + 1);
    std::copy_n(offset.metadata.c_str(), offset.metadata.size() + 1,
                static_cast<char*>(element->metadata));
    element->metadata_size = offset.metadata.size();
  }
  rd_kafka_AlterConsumerGroupOffsets_t* wanted =
      rd_kafka_AlterConsumerGroupOffsets_new(group.c_str(), list.get());
  const OptionsPtr options(
      rd_kafka_AdminOptions_new(handle(), RD_KAFKA_ADMIN_OP_ALTERCONSUMERGROUPOFFSETS));
  std::array<char, 256> text{};
  rd_kafka_AdminOptions_set_request_timeout(options.get(), kAlterMs, text.data(), text.size());
  rd_kafka_AlterConsumerGroupOffsets(handle(), &wanted, 1, options.get(), alter_queue_.get());
  rd_kafka_AlterConsumerGroupOffsets_destroy(wanted);
  is_altering_ = true;
  return false;
}

}  // namespace tidemill::kafka
