#include "connectors/redis/address.h"

#include <charconv>
#include <optional>

#include "engine/base/error.h"

namespace tidemill {
namespace {

constexpr std::string_view kForm = "; wanted redis://host:port/database, or rediss:// for TLS";

[[noreturn]] void refuse(const std::string& what) {
  throw Error(ErrorCode::kConfig, "Redis URL is wrong: " + what + std::string(kForm));
}

std::optional<int> hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return std::nullopt;
}

std::string percent_decoded(std::string_view text) {
  std::string decoded;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      decoded += text[i];
      continue;
    }
    const auto high = i + 2 < text.size() ? hex_digit(text[i + 1]) : std::nullopt;
    const auto low = high ? hex_digit(text[i + 2]) : std::nullopt;
    if (!low) refuse("`%` in user or password is not followed by two hexadecimal digits");
    decoded += static_cast<char>(*high * 16 + *low);
    i += 2;
  }
  return decoded;
}

template <class N>
N number(std::string_view text, N smallest, N largest, const char* what) {
  N value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < smallest ||
      value > largest) {
    refuse(std::string(what) + " is not a number from " + std::to_string(smallest) + " to " +
           std::to_string(largest) + ": " + std::string(text));
  }
  return value;
}

void take_login(std::string_view login, RedisAddress& address) {
  const std::size_t colon = login.find(':');
  // redis-cli's rule: without a colon it is the password.
  if (colon == std::string_view::npos) {
    address.password = percent_decoded(login);
    return;
  }
  address.user = percent_decoded(login.substr(0, colon));
  address.password = percent_decoded(login.substr(colon + 1));
  if (!address.user.empty() && address.password.empty())
    refuse("it names a user without a password");
}

void take_host(std::string_view place, RedisAddress& address) {
  if (place.find_first_of(" \t\r\n,") != std::string_view::npos) {
    refuse("the host has a blank or a comma; one server only");
  }
  std::string_view port;
  if (place.starts_with('[')) {
    const std::size_t close = place.find(']');
    if (close == std::string_view::npos) refuse("`[` of an IPv6 address is not closed");
    address.host = place.substr(1, close - 1);
    place.remove_prefix(close + 1);
    if (!place.empty() && place[0] != ':') refuse("there is text behind the IPv6 address");
    if (!place.empty()) port = place.substr(1);
    if (!place.empty() && port.empty()) refuse("the port is empty");
  } else {
    const std::size_t colon = place.find(':');
    address.host = place.substr(0, colon);
    if (colon != std::string_view::npos) {
      port = place.substr(colon + 1);
      if (port.empty()) refuse("the port is empty");
      if (port.find(':') != std::string_view::npos)
        refuse("an IPv6 address must stand in brackets");
    }
  }
  if (address.host.empty()) refuse("it names no host");
  if (!port.empty()) address.port = number<std::uint16_t>(port, 1, 65535, "the port");
}

}  // namespace

std::string RedisAddress::text() const {
  const bool is_ipv6 = host.find(':') != std::string::npos;
  return (is_tls ? "rediss://" : "redis://") + (is_ipv6 ? '[' + host + ']' : host) + ':' +
         std::to_string(port) + '/' + std::to_string(database);
}

RedisAddress parse_redis_url(std::string_view url) {
  RedisAddress address;
  if (url.starts_with("rediss://")) {
    address.is_tls = true;
    url.remove_prefix(9);
  } else if (url.starts_with("redis://")) {
    url.remove_prefix(8);
  } else {
    // What stands before `://` cannot hold a password; anything else might.
    const std::size_t scheme = url.find("://");
    refuse(scheme == std::string_view::npos
               ? "it has no scheme"
               : "unknown scheme " + std::string(url.substr(0, scheme)));
  }
  if (url.find_first_of("?#") != std::string_view::npos)
    refuse("it has a query; settings have keys of their own");
  // A password may hold anything but `@` and `/` unescaped, so the last `@` before the path ends
  // the login.
  const std::size_t slash =
      url.find('/', url.rfind('@') == std::string_view::npos ? 0 : url.rfind('@'));
  std::string_view place = url.substr(0, slash);
  const std::string_view path = slash == std::string_view::npos ? "" : url.substr(slash + 1);
  if (const std::size_t at = place.rfind('@'); at != std::string_view::npos) {
    take_login(place.substr(0, at), address);
    place.remove_prefix(at + 1);
  }
  take_host(place, address);
  if (!path.empty()) address.database = number<std::int32_t>(path, 0, 1'000'000, "the database");
  return address;
}

}  // namespace tidemill
