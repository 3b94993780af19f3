// What a job has put out for good, added up again: lines as RowLine (outputs.h) makes them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "bench/nexmark/row_text.h"
#include "connectors/kafka/settings.h"

namespace tidemill::nexmark {

// The final table where rows revise each other. Lines of one identity come in order.
class CommittedRows {
 public:
  // `weight`: the column whose sum is of interest, from 0.
  explicit CommittedRows(std::optional<int> weight = std::nullopt) : weight_column_(weight) {}

  // All that can be seen in the files of a sink, in folders of any depth. Throws Error(kIo).
  void read_files(const std::filesystem::path& dir);
  // All that a read_committed consumer sees now. Throws Error: kIo, kRefused without the topic.
  void read_topic(const kafka::ClientSettings& client, const std::string& topic);

  [[nodiscard]] std::int64_t rows() const { return rows_.rows(); }
  [[nodiscard]] std::uint64_t checksum() const { return rows_.sum(); }
  [[nodiscard]] std::int64_t weight() const { return weight_; }

 private:
  void take(std::string_view line);

  const std::optional<int> weight_column_;
  RowChecksum rows_;
  std::int64_t weight_ = 0;
  std::unordered_map<std::string, std::uint64_t> table_;
};

}  // namespace tidemill::nexmark
