#include "service/cli/answer.h"

#include <charconv>

#include <boost/json.hpp>

namespace tidemill::cli {

namespace json = boost::json;
namespace {

// Numbers as people write them: boost::json::serialize says 1.5E0.
void append(std::string& out, const json::value& value) {
  if (const json::array* array = value.if_array()) {
    out += '[';
    for (const json::value& one : *array) {
      if (&one != array->data()) out += ',';
      append(out, one);
    }
    out += ']';
  } else if (const json::object* object = value.if_object()) {
    out += '{';
    for (const auto& member : *object) {
      if (&member != object->begin()) out += ',';
      out += json::serialize(member.key()) + ':';
      append(out, member.value());
    }
    out += '}';
  } else if (const double* number = value.if_double()) {
    char text[32];
    out.append(text, std::to_chars(text, text + sizeof text, *number).ptr);
  } else {
    out += json::serialize(value);
  }
}

}  // namespace

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

std::string Answer::json() const {
  std::string out;
  if (value_ == nullptr) return "null";
  append(out, *value_);
  return out;
}

std::string json_or_dash(const Answer& value) { return value.is_null() ? "-" : value.json(); }

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
