#include "service/cli/answer.h"

#include <charconv>

#include <boost/json.hpp>

namespace tidemill::cli {

namespace json = boost::json;

std::optional<Answer> Answer::parse(std::string_view text) {
  json::error_code error;
  auto value = std::make_shared<const json::value>(
      json::parse(json::string_view(text.data(), text.size()), error));
  if (error) return std::nullopt;
  Answer answer;
  answer.document_ = std::move(value);
  answer.value_ = answer.document_->is_null() ? nullptr : answer.document_.get();
  return answer;
}

Answer Answer::operator[](std::string_view member) const {
  Answer found;
  if (value_ == nullptr || !value_->is_object()) return found;
  const json::value* at =
      value_->get_object().if_contains(json::string_view(member.data(), member.size()));
  if (at == nullptr || at->is_null()) return found;
  found.document_ = document_;
  found.value_ = at;
  return found;
}

std::vector<Answer> Answer::list() const {
  std::vector<Answer> all;
  if (value_ == nullptr || !value_->is_array()) return all;
  for (const json::value& one : value_->get_array()) {
    all.emplace_back();
    all.back().document_ = document_;
    all.back().value_ = one.is_null() ? nullptr : &one;
  }
  return all;
}

std::string Answer::text() const {
  if (value_ == nullptr || value_->is_object() || value_->is_array()) return "";
  if (value_->is_string()) return {value_->get_string().data(), value_->get_string().size()};
  return json::serialize(*value_);
}

std::optional<double> Answer::number() const {
  if (value_ == nullptr) return std::nullopt;
  if (value_->is_int64()) return static_cast<double>(value_->get_int64());
  if (value_->is_uint64()) return static_cast<double>(value_->get_uint64());
  if (value_->is_double()) return value_->get_double();
  if (!value_->is_string()) return std::nullopt;
  const json::string& text = value_->get_string();
  double number = 0;
  const char* end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, number);
  return error == std::errc() && at == end ? std::optional(number) : std::nullopt;
}

bool Answer::is_true() const {
  return value_ != nullptr && value_->is_bool() && value_->get_bool();
}

}  // namespace tidemill::cli
