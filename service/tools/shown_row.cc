#include "service/tools/shown_row.h"

#include <boost/json.hpp>

namespace tidemill::tools {
namespace json = boost::json;

std::string shown_text(const std::string& text, std::size_t most) {
  return json::serialize(json::string(text.size() > most ? text.substr(0, most) + "…" : text));
}

std::string shown_row(const std::optional<std::string>& row, std::size_t most) {
  if (!row) return "null";
  if (row->size() > most) return shown_text(*row, most);
  json::error_code error;
  (void)json::parse(*row, error);
  return error ? shown_text(*row) : *row;
}

}  // namespace tidemill::tools
