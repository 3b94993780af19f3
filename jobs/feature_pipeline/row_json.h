// The output row, byte for byte (docs/feature_pipeline.md): JSON, fields in this order: user_id,
// then per window event_count_W, unique_actions_W, avg_value_W, then last_action, event_time,
// computed_at.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "engine/operator/sink.h"
#include "jobs/feature_pipeline/pipeline.h"

namespace tidemill::features {

// Encodes rows for any sink: message key `user_id`, time = computed_at. Copyable; one thread.
class RowJson {
 public:
  // `key_prefix` goes before the user in the message key (Redis). A user who has become empty is
  // deleted if `deletes_empty`.
  RowJson(const FeatureWindows& windows, std::string key_prefix, bool deletes_empty);
  void operator()(const FeatureRow& row, EventTime time, OutputBatch& out) const;

 private:
  // Text that is copied in one piece of a fixed size, if it is short.
  class Label {
   public:
    explicit Label(std::string text) : text_(std::move(text)), size_(text_.size()) {
      text_.resize(std::max(size_, kPiece));
    }
    [[nodiscard]] std::size_t room() const { return text_.size(); }
    char* put(char* out) const {
      if (size_ <= kPiece) {
        std::memcpy(out, text_.data(), kPiece);
      } else {
        std::memcpy(out, text_.data(), size_);
      }
      return out + size_;
    }

   private:
    static constexpr std::size_t kPiece = 32;
    std::string text_;
    std::size_t size_;
  };
  struct Names {
    Label count, unique, average;  // with quotes, comma and colon
  };
  std::vector<Names> names_;
  std::size_t room_ = 0;  // for a row but its texts
  std::size_t largest_;
  std::string key_prefix_;
  bool deletes_empty_;
};

}  // namespace tidemill::features
