#include "app/source_rate.h"

#include <memory>
#include <string>

#include "engine/base/error.h"

namespace tidemill {

void limit_rate(const Config& config, SourceSettings& settings) {
  const std::string text = config.text("rate");
  if (text.empty()) return;
  const bool has_unit = text.ends_with("/s");
  const std::string number = has_unit ? text.substr(0, text.size() - 2) : text;
  const auto amount = parse_bytes(number);
  if (!has_unit || !amount || *amount == 0)
    throw Error(ErrorCode::kConfig,
                "--rate is neither bytes such as 50MB/s nor records such as 20000/s: " + text);
  const bool is_plain = number.find_first_not_of("0123456789.") == std::string::npos;
  (is_plain ? settings.records_limit : settings.bytes_limit) =
      std::make_shared<RateLimit>(static_cast<double>(*amount));
}

}  // namespace tidemill
