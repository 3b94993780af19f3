#include "service/tools/output_rows.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <thread>
#include <vector>

#include <boost/json.hpp>

#include "connectors/kafka/admin.h"
#include "connectors/kafka/consumer.h"
#include "connectors/redis/key_scan.h"
#include "engine/base/clock.h"
#include "engine/base/error.h"
#include "engine/base/files.h"
#include "engine/base/metrics.h"
#include "service/tools/output_diff.h"

namespace tidemill::tools {
namespace fs = std::filesystem;
namespace json = boost::json;
namespace {

constexpr std::array<std::pair<const char*, const char*>, 3> kOutputs = {
    {{"kafka", "sinks.kafka.topic"}, {"file", "sinks.file.dir"}, {"redis", "sinks.redis.url"}}};
constexpr std::size_t kRecordsAtOnce = 1000;
constexpr auto kSilence = std::chrono::seconds(60);

void take_client(const Settings& settings, const std::string& section,
                 kafka::ClientSettings& client) {
  const auto take = [&](const char* name, std::string& into) {
    if (const std::string text = text_of(settings, section + name); !text.empty()) into = text;
  };
  take(".brokers", client.brokers);
  take(".password_file", client.password_file);
  take(".password_env", client.password_env);
  take(".key_password_file", client.key_password_file);
  take(".key_password_env", client.key_password_env);
  const std::string below = section + ".properties.";
  for (const auto& [key, value] : settings) {
    if (key.starts_with(below)) client.properties[key.substr(below.size())] = value;
  }
}

// As the job's own: the sink's on top of the source's, unless it has a cluster of its own.
kafka::ClientSettings client_of(const Settings& settings) {
  kafka::ClientSettings client;
  if (text_of(settings, "sinks.kafka.brokers").empty())
    take_client(settings, "source.kafka", client);
  take_client(settings, "sinks.kafka", client);
  return client;
}

std::string key_of(const std::string& row, const std::string& member) {
  json::error_code error;
  const json::value value = json::parse(row, error);
  if (error || !value.is_object() || value.get_object().empty()) return "";
  const json::object& object = value.get_object();
  const json::value* found = object.if_contains(member);
  if (found == nullptr) found = &object.begin()->value();
  return found->is_string() ? std::string(found->get_string()) : json::serialize(*found);
}

std::string suffixed(const std::string& name, const std::string& replay) {
  return replay.empty() ? name : name + "." + replay;
}

std::string folder_of(const Settings& settings, const std::string& replay) {
  const fs::path folder = text_of(settings, "sinks.file.dir");
  return suffixed((folder.filename().empty() ? folder.parent_path() : folder).string(), replay);
}

// When a file was written, by its file system.
std::int64_t written_ms(const fs::path& file) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::file_clock::to_sys(fs::last_write_time(file)).time_since_epoch())
      .count();
}

std::string compared(const std::string& file) {
  const json::object asked = question_in(file);
  const Settings live = settings_in(asked.at("live"));
  const Settings replay = settings_in(asked.at("replay"));
  const std::string name(asked.at("name").as_string());
  const std::string wanted(asked.at("output").as_string());
  const Output output = wanted.empty() ? output_of(replay) : output_named(wanted).value();
  OutputDiff diff;
  read_rows(replay, output, name, [&](const OutputRow& row) {
    if (row.row) diff.add_replay(row.key, *row.row);
  });
  read_rows(live, output, "", [&](const OutputRow& row) {
    if (row.row) diff.add_live(row.key, *row.row);
  });
  return diff.json(place_of(live, output, "") + " and " + place_of(replay, output, name),
                   asked.at("show").to_number<std::size_t>());
}

}  // namespace

std::string text_of(const Settings& settings, const std::string& key) {
  const auto found = settings.find(key);
  return found == settings.end() ? "" : found->second;
}

Settings settings_in(const json::value& value) {
  Settings settings;
  for (const auto& member : value.as_object())
    settings[std::string(member.key())] = std::string(member.value().as_string());
  return settings;
}

json::object question_in(const std::string& file) {
  const Bytes bytes = read_file(file);
  return json::parse({reinterpret_cast<const char*>(bytes.data()), bytes.size()}).as_object();
}

const char* name_of(Output output) { return kOutputs.at(static_cast<std::size_t>(output)).first; }

std::optional<Output> output_named(std::string_view name) {
  for (std::size_t i = 0; i < kOutputs.size(); ++i) {
    if (name == kOutputs[i].first) return static_cast<Output>(i);
  }
  return std::nullopt;
}

Output output_of(const Settings& settings) {
  for (std::size_t i = 0; i < kOutputs.size(); ++i) {
    if (!text_of(settings, kOutputs[i].second).empty()) return static_cast<Output>(i);
  }
  throw Error(ErrorCode::kConfig,
              "the job has none of the outputs that can be compared: sinks.kafka.topic, "
              "sinks.file.dir, sinks.redis.url");
}

std::string place_of(const Settings& settings, Output output, const std::string& replay) {
  switch (output) {
    case Output::kKafka: return "topic " + suffixed(text_of(settings, "sinks.kafka.topic"), replay);
    case Output::kFile: return "files of " + folder_of(settings, replay);
    case Output::kRedis: break;
  }
  return "Redis keys " + redis_prefix_of(settings, replay) + "*";
}

void read_rows(const Settings& settings, Output output, const std::string& replay,
               const TakeRow& take) {
  const std::string key = kOutputs.at(static_cast<std::size_t>(output)).second;
  if (text_of(settings, key).empty())
    throw Error(ErrorCode::kConfig, "there is no such output: " + key + " is not set");
  if (output != Output::kRedis) return CommittedRows(settings, output, replay).read(take);
  scan_redis_rows(
      redis_server_of(settings), redis_prefix_of(settings, replay),
      [&](std::string_view name, std::string_view row) {
        take({name, row});
      },
      SystemClock());
}

CommittedRows::CommittedRows(Settings settings, Output output, std::string replay)
    : settings_(std::move(settings)), output_(output), replay_(std::move(replay)) {}

void CommittedRows::read(const TakeRow& take) {
  if (output_ == Output::kKafka)
    return read_topic(suffixed(text_of(settings_, "sinks.kafka.topic"), replay_), take);
  read_files(folder_of(settings_, replay_), take);
}

void CommittedRows::read_topic(const std::string& topic, const TakeRow& take) {
  kafka::SourceSettings source;
  source.client = client_of(settings_);
  source.job = "tidemill-diff";
  kafka::Admin admin(source.client, source.job);
  const auto info = admin.topic(topic);
  if (!info)
    throw Error(ErrorCode::kRefused,
                "there is no topic " + topic + ": nothing has been put out there yet");
  std::vector<kafka::TopicPartition> partitions;
  for (std::int32_t p = 0; p < info->num_partitions; ++p) partitions.emplace_back(topic, p);
  auto begins = admin.offsets(partitions, kafka::LogPoint::kStart);
  const auto ends = admin.offsets(partitions, kafka::LogPoint::kLastStable);
  for (const auto& partition : partitions) {
    std::int64_t& next = next_[partition.second];
    begins[partition] = std::max(begins[partition], next);
    next = ends.at(partition);
  }
  source.partitions.insert(partitions.begin(), partitions.end());
  MetricRegistry metrics;
  kafka::Consumer consumer(source, partitions.size(), metrics);
  for (const auto& partition : partitions)
    consumer.add(partition, begins.at(partition), ends.at(partition));
  const SystemClock clock;
  auto heard_at = clock.monotonic();
  SourceBatch<RawRecord> batch;
  for (bool is_over = false; !is_over;) {
    is_over = true;
    bool has_moved = false;
    for (std::size_t i = 0; i < partitions.size(); ++i) {
      const std::int64_t before = consumer.positions()[i].next;
      consumer.poll(i, kRecordsAtOnce, batch);
      for (std::size_t r = 0; r < batch.size(); ++r) {
        const RawRecord& record = batch.values[r];
        take({record.key, record.has_value ? std::optional(record.value) : std::nullopt,
              batch.origins[r].timestamp.ms});
      }
      batch.clear();
      has_moved = has_moved || consumer.positions()[i].next != before;
      is_over = is_over && consumer.positions()[i].is_finished();
    }
    if (is_over) break;
    consumer.serve();
    if (has_moved) {
      heard_at = clock.monotonic();
    } else {
      if (clock.monotonic() - heard_at > kSilence)
        throw Error(ErrorCode::kIo, "the brokers bring no records of " + topic + "; try again");
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
  }
}

void CommittedRows::read_files(const std::string& folder, const TakeRow& take) {
  std::error_code error;
  if (!fs::is_directory(folder, error))
    throw Error(ErrorCode::kRefused,
                "there is no folder " + folder + ": nothing has been put out there yet");
  std::vector<fs::path> files;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.path().extension() == ".jsonl" && files_.insert(entry.path()).second)
      files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  const std::string member = text_of(settings_, "key");
  for (const fs::path& file : files) {
    std::ifstream in(file, std::ios::binary);
    const std::int64_t at_ms = written_ms(file);
    for (std::string line; std::getline(in, line);) take({key_of(line, member), line, at_ms});
    if (in.bad()) throw Error(ErrorCode::kIo, "cannot read " + file.string());
  }
}

RedisServerSettings redis_server_of(const Settings& settings) {
  RedisServerSettings server;
  server.url = text_of(settings, "sinks.redis.url");
  server.password_file = text_of(settings, "sinks.redis.password_file");
  server.password_env = text_of(settings, "sinks.redis.password_env");
  server.ca_file = text_of(settings, "sinks.redis.ca_file");
  return server;
}

std::string redis_prefix_of(const Settings& settings, const std::string& replay) {
  return (replay.empty() ? "" : replay + ":") + text_of(settings, "sinks.redis.key_prefix");
}

int compare_outputs_command(const std::string& file) {
  std::printf("%s\n", compared(file).c_str());
  return 0;
}

}  // namespace tidemill::tools
