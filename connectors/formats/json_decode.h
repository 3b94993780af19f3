// A source's decode step for JSON records: copyable, so that every subtask gets a parser of its
// own.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "connectors/formats/json_reader.h"
#include "engine/data/raw_record.h"

namespace tidemill {

// Calls as bool(const RawRecord&, origin, T&, rejection&); `Rejection` is any struct with `reason`
// and `detail`.
template <class T>
class JsonDecode {
 public:
  explicit JsonDecode(const JsonFields<T>& fields, JsonLimits limits = {})
      : fields_(std::make_shared<const JsonFields<T>>(fields)), limits_(limits) {}
  JsonDecode(const JsonDecode& other) : fields_(other.fields_), limits_(other.limits_) {}
  JsonDecode& operator=(const JsonDecode&) = delete;
  JsonDecode(JsonDecode&&) noexcept = default;
  ~JsonDecode() = default;

  template <class Origin, class Rejection>
  bool operator()(const RawRecord& raw, const Origin& origin, T& out, Rejection& why) {
    if (!decoder_) decoder_ = std::make_unique<JsonDecoder<T>>(*fields_, limits_);
    if (!raw.has_value) {
      why.reason = "no_value";
      return false;
    }
    const Decoded decoded = decoder_->decode(raw.value, out);
    if (!decoded) {
      why.reason = name_of(decoded.fault);
      why.detail = decoded.text();
      return false;
    }
    if constexpr (requires {
                    out.partition;
                    out.offset;
                  }) {
      out.partition = origin.partition;
      out.offset = origin.offset;
    }
    return true;
  }

 private:
  std::shared_ptr<const JsonFields<T>> fields_;
  JsonLimits limits_;
  std::unique_ptr<JsonDecoder<T>> decoder_;
};

}  // namespace tidemill
