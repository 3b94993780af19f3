// "ADDR:PORT", "unix:/path" taken apart.
#pragma once

#include <cstdint>
#include <string>

#include <boost/asio/ip/address.hpp>

namespace tidemill::http {

struct Address {
  bool is_unix = false;
  std::string path;  // of a Unix socket
  boost::asio::ip::address ip;
  std::uint16_t port = 0;
};

// Throws Error(kConfig).
Address parse_address(const std::string& text);

}  // namespace tidemill::http
