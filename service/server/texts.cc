#include "service/server/texts.h"

#include <boost/json.hpp>

#include "engine/base/error.h"

namespace tidemill::server {

std::string print_texts(const std::vector<std::string>& texts) {
  boost::json::array array;
  for (const std::string& text : texts) array.emplace_back(text);
  return boost::json::serialize(array);
}

std::vector<std::string> parse_texts(std::string_view text) {
  boost::json::error_code error;
  const boost::json::value value = boost::json::parse({text.data(), text.size()}, error);
  if (error || !value.is_array())
    throw Error(ErrorCode::kCorrupt, "not a list of texts: " + std::string(text.substr(0, 200)));
  std::vector<std::string> texts;
  for (const boost::json::value& item : value.get_array()) {
    if (!item.is_string())
      throw Error(ErrorCode::kCorrupt, "not a list of texts: " + std::string(text.substr(0, 200)));
    texts.emplace_back(item.get_string());
  }
  return texts;
}

}  // namespace tidemill::server
