#include "bench/nexmark/committed_rows.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <fstream>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include "bench/nexmark/fnv.h"
#include "connectors/kafka/admin.h"
#include "connectors/kafka/consumer.h"
#include "engine/base/error.h"
#include "engine/base/metrics.h"

namespace tidemill::nexmark {
namespace {

namespace fs = std::filesystem;

constexpr const char* kClientId = "nexmark-rows";

std::int64_t number_in(std::string_view row, int column) {
  for (; column > 0; --column) row.remove_prefix(std::min(row.find('|') + 1, row.size()));
  const std::string_view field = row.substr(0, row.find('|'));
  std::int64_t value = 0;
  (void)std::from_chars(field.data(), field.data() + field.size(), value);
  return value;
}

}  // namespace

void CommittedRows::take(std::string_view line) {
  const std::size_t tab = line.find('\t');
  if (tab == std::string_view::npos) {
    rows_.add(Fnv::of(line));
    if (weight_column_) weight_ += number_in(line, *weight_column_);
    return;
  }
  const std::string_view row = line.substr(line.find('\t', tab + 1) + 1);
  const std::string identity(
      line.substr(tab + 1, static_cast<std::size_t>(row.data() - line.data()) - tab - 2));
  if (const auto former = table_.find(identity); former != table_.end()) {
    rows_.remove(former->second);
    table_.erase(former);
  }
  if (line.front() == '-') return;
  rows_.add(table_.emplace(identity, Fnv::of(row)).first->second);
}

void CommittedRows::read_files(const fs::path& dir) {
  std::set<fs::path> files;
  for (const auto& file : fs::recursive_directory_iterator(dir)) {
    const std::string name = file.path().filename().string();
    if (name.ends_with(".jsonl") && !name.starts_with(".")) files.insert(file.path());
  }
  for (const fs::path& file : files) {
    std::ifstream in(file, std::ios::binary);
    for (std::string line; std::getline(in, line);) take(line);
    if (in.bad()) throw Error(ErrorCode::kIo, "rows could not be read: " + file.string());
  }
}

void CommittedRows::read_topic(const kafka::ClientSettings& client, const std::string& topic) {
  constexpr auto kPatience = std::chrono::seconds(60);  // without a single row
  constexpr std::size_t kPoll = 10'000;
  kafka::Admin admin(client, kClientId);
  const auto info = admin.topic(topic);
  if (!info) throw Error(ErrorCode::kRefused, "the topic of the rows does not exist: " + topic);
  std::vector<kafka::TopicPartition> partitions;
  for (std::int32_t p = 0; p < info->num_partitions; ++p) partitions.emplace_back(topic, p);
  const auto starts = admin.offsets(partitions, kafka::LogPoint::kStart);
  const auto ends = admin.offsets(partitions, kafka::LogPoint::kLastStable);
  MetricRegistry metrics;
  kafka::Consumer consumer({.client = client, .job = kClientId}, partitions.size(), metrics);
  for (const auto& partition : partitions)
    consumer.add(partition, starts.at(partition), ends.at(partition));
  SourceBatch<RawRecord> batch;
  auto last = std::chrono::steady_clock::now();
  const auto is_finished = [](const auto& position) { return position.is_finished(); };
  while (!std::all_of(consumer.positions().begin(), consumer.positions().end(), is_finished)) {
    std::size_t found = 0;
    for (std::size_t i = 0; i < partitions.size(); ++i) {
      if (is_finished(consumer.positions()[i])) continue;
      batch.clear();
      found += consumer.poll(i, kPoll, batch);
      for (const RawRecord& record : batch.values) take(record.value);
    }
    consumer.serve();
    const auto now = std::chrono::steady_clock::now();
    if (found > 0) {
      last = now;
    } else if (now - last > kPatience) {
      throw Error(ErrorCode::kIo, "the rows could not be read to their end: " + topic);
    } else {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }
}

}  // namespace tidemill::nexmark
