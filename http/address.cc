#include <charconv>

#include "engine/base/error.h"
#include "http/address_internal.h"
#include "http/server.h"

namespace tidemill::http {

Address parse_address(const std::string& text) {
  Address address;
  if (text.starts_with("unix:")) {
    constexpr std::size_t kMaxPath = 107;  // sun_path, without its NUL
    address.is_unix = true;
    address.path = text.substr(5);
    if (address.path.empty() || address.path.size() > kMaxPath) {
      throw Error(ErrorCode::kConfig, "the path of a Unix socket has 1 to 107 bytes: " +
                                          address.path + "; choose a shorter folder");
    }
    return address;
  }
  const std::size_t colon = text.rfind(':');
  bool is_valid = colon != std::string::npos;
  if (is_valid) {
    const char* end = text.data() + text.size();
    const auto [at, error] = std::from_chars(text.data() + colon + 1, end, address.port);
    is_valid = error == std::errc() && at == end;
  }
  std::string host = is_valid ? text.substr(0, colon) : "";
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  if (host == "localhost") host = "127.0.0.1";
  boost::system::error_code error;
  address.ip = boost::asio::ip::make_address(host, error);
  if (!is_valid || error)
    throw Error(ErrorCode::kConfig,
                "an address is ADDR:PORT, with a number for ADDR, or unix:PATH: " + text);
  return address;
}

bool is_loopback(const std::string& address) {
  const Address parsed = parse_address(address);
  return parsed.is_unix || parsed.ip.is_loopback();
}

}  // namespace tidemill::http
