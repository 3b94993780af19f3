#include "service/server/call.h"

#include <algorithm>
#include <charconv>

#include <boost/nowide/utf/convert.hpp>

#include "app/config.h"

namespace tidemill::server {
namespace json = boost::json;
namespace {

constexpr std::size_t kMaxText = 256 * 1024;
constexpr std::size_t kMaxTexts = 1000;

CallError wrong(std::string_view name, const std::string& what) {
  return {422, "in the body, " + std::string(name) + " " + what,
          "see /openapi.json for the body of this call"};
}

}  // namespace

std::int64_t Call::query_number(const std::string& name, std::int64_t fallback, std::int64_t min,
                                std::int64_t max) const {
  const auto found = request.query.find(name);
  if (found == request.query.end()) return fallback;
  const std::string& text = found->second;
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < min || value > max)
    throw CallError(422,
                    "in the query, " + name + " is no number from " + std::to_string(min) + " to " +
                        std::to_string(max),
                    "give one within, or leave it out");
  return value;
}

http::Response json_answer(const json::value& value, int status) {
  http::Response response;
  response.status = status;
  response.content_type = "application/json";
  // Names and paths that somebody sent, perhaps cut, need not be UTF-8; an answer is.
  const std::string text = json::serialize(value);
  response.body = boost::nowide::utf::convert_string<char>(text.data(), text.data() + text.size());
  response.headers.emplace_back("Cache-Control", "no-store");
  response.headers.emplace_back("X-Content-Type-Options", "nosniff");
  return response;
}

Body::Body(const http::Request& request) {
  if (request.body.empty()) return;
  json::error_code error;
  json::parse_options options;
  options.max_depth = 16;
  json::value value = json::parse(request.body, error, {}, options);
  if (error || !value.is_object())
    throw CallError(400, "the body is no JSON object" + (error ? ": " + error.message() : ""),
                    "send an object as /openapi.json describes it, or nothing");
  object_ = std::move(value.get_object());
}

const json::value* Body::member(std::string_view name) {
  asked_.emplace_back(name);
  const json::value* found = object_.if_contains({name.data(), name.size()});
  return found == nullptr || found->is_null() ? nullptr : found;
}

std::optional<std::string> Body::maybe_text(std::string_view name) {
  const json::value* value = member(name);
  if (value == nullptr) return std::nullopt;
  if (!value->is_string()) throw wrong(name, "is no text");
  std::string text(value->get_string());
  if (text.size() > kMaxText) throw wrong(name, "is longer than 256 KiB");
  if (text.find('\0') != std::string::npos) throw wrong(name, "holds a zero byte");
  return text;
}

std::string Body::text(std::string_view name) {
  auto text = maybe_text(name);
  if (!text) throw wrong(name, "is missing");
  return *text;
}

bool Body::boolean(std::string_view name, bool fallback) {
  const json::value* value = member(name);
  if (value == nullptr) return fallback;
  if (!value->is_bool()) throw wrong(name, "is neither true nor false");
  return value->get_bool();
}

std::optional<std::int64_t> Body::maybe_integer(std::string_view name, std::int64_t min,
                                                std::int64_t max) {
  const json::value* value = member(name);
  if (value == nullptr) return std::nullopt;
  json::error_code error;
  const auto number = value->is_number() ? value->to_number<std::int64_t>(error) : 0;
  if (!value->is_number() || error || number < min || number > max)
    throw wrong(name,
                "is no whole number from " + std::to_string(min) + " to " + std::to_string(max));
  return number;
}

std::optional<std::int64_t> Body::maybe_bytes(std::string_view name) {
  constexpr std::int64_t kMost = std::int64_t{1} << 50;
  const json::value* value = member(name);
  if (value == nullptr) return std::nullopt;
  if (!value->is_string()) return maybe_integer(name, 0, kMost);
  const auto bytes =
      parse_bytes(std::string_view(value->get_string().data(), value->get_string().size()));
  if (!bytes || *bytes > static_cast<std::uint64_t>(kMost))
    throw wrong(name, "is no size, e.g. 2GiB");
  return static_cast<std::int64_t>(*bytes);
}

std::optional<std::vector<std::string>> Body::maybe_texts(std::string_view name) {
  const json::value* value = member(name);
  if (value == nullptr) return std::nullopt;
  if (!value->is_array() || value->get_array().size() > kMaxTexts)
    throw wrong(name, "is no list of at most 1000 texts");
  std::vector<std::string> texts;
  for (const json::value& item : value->get_array()) {
    if (!item.is_string() || item.get_string().size() > kMaxText ||
        item.get_string().find('\0') != json::string::npos)
      throw wrong(name, "holds something else than texts");
    texts.emplace_back(item.get_string());
  }
  return texts;
}

void Body::finish() const {
  for (const auto& member : object_) {
    const std::string name(member.key());
    if (std::find(asked_.begin(), asked_.end(), name) == asked_.end()) {
      throw CallError(
          422, "the body has a member that this call does not know: " + name.substr(0, 200),
          asked_.empty() ? "leave it out"
                         : "did you mean " + nearest(name.substr(0, 200), asked_) + "?");
    }
  }
}

}  // namespace tidemill::server
