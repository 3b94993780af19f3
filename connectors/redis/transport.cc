#include "connectors/redis/transport.h"

#include <array>
#include <optional>
#include <utility>

#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/ssl/host_name_verification.hpp>
#include <boost/asio/write.hpp>

#include "engine/base/error.h"

namespace tidemill {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

constexpr std::size_t kReadBytes = 64 * 1024;

bool is_ip_address(const std::string& host) {
  error_code failed;
  asio::ip::make_address(host, failed);
  return !failed;
}

asio::ssl::context make_tls(const RedisServerSettings& settings) {
  asio::ssl::context tls(asio::ssl::context::tls_client);
  error_code failed;
  const auto require = [&](const char* what, const std::string& file) {
    if (failed)
      throw Error(ErrorCode::kConfig, std::string("cannot use the Redis ") + what + ": " + file +
                                          ": " + failed.message());
  };
  tls.set_options(asio::ssl::context::default_workarounds | asio::ssl::context::no_tlsv1 |
                      asio::ssl::context::no_tlsv1_1,
                  failed);
  if (settings.ca_file.empty()) {
    tls.set_default_verify_paths(failed);
    require("system's certificate authorities", "default paths");
  } else {
    tls.load_verify_file(settings.ca_file, failed);
    require("ca_file", settings.ca_file);
  }
  if (!settings.certificate_file.empty()) {
    tls.use_certificate_chain_file(settings.certificate_file, failed);
    require("certificate_file", settings.certificate_file);
    tls.use_private_key_file(
        settings.key_file.empty() ? settings.certificate_file : settings.key_file,
        asio::ssl::context::pem, failed);
    require("key_file", settings.key_file);
  }
  return tls;
}

}  // namespace

// Handlers capture `this` and need no further care: they live in io_, which is destroyed with the
// connection.
class RedisTransport::Connection {
 public:
  Connection(const RedisAddress& address, const RedisServerSettings& settings)
      : io_(1), resolver_(io_), socket_(io_), host_(address.host), incoming_(kReadBytes, '\0') {
    if (address.is_tls) {
      tls_.emplace(make_tls(settings));
      stream_.emplace(socket_, *tls_);
      stream_->set_verify_mode(asio::ssl::verify_peer);
      stream_->set_verify_callback(asio::ssl::host_name_verification(host_));
      // Servers behind one address choose the certificate by this name.
      if (!is_ip_address(host_)) SSL_set_tlsext_host_name(stream_->native_handle(), host_.c_str());
    }
    resolve(address.port);
  }

  void poll() {
    start_write();
    io_.restart();
    io_.poll();
    start_write();
  }
  void wait(std::chrono::milliseconds limit) {
    start_write();
    io_.restart();
    io_.run_one_for(limit);
    poll();
  }

  State state = State::kConnecting;
  std::string error;
  bool is_untrusted = false;
  std::string outgoing;

  [[nodiscard]] std::string_view incoming() const { return {incoming_.data(), received_}; }
  void clear_incoming() {
    if (received_ == 0) return;
    received_ = 0;
    start_read();
  }

 private:
  void resolve(std::uint16_t port) {
    error_code not_an_address;
    const asio::ip::address ip = asio::ip::make_address(host_, not_an_address);
    if (!not_an_address) {
      socket_.async_connect(tcp::endpoint(ip, port),
                            [this](error_code failed) { on_connected(failed); });
      return;
    }
    resolver_.async_resolve(
        host_, std::to_string(port),
        [this](error_code failed, const tcp::resolver::results_type& found) {
          if (failed) return close("cannot resolve host " + host_ + ": " + failed.message());
          asio::async_connect(socket_, found, [this](error_code refused, const tcp::endpoint&) {
            on_connected(refused);
          });
        });
  }

  void on_connected(error_code failed) {
    if (failed) return close("cannot connect: " + failed.message());
    socket_.set_option(tcp::no_delay(true), failed);
    socket_.set_option(asio::socket_base::keep_alive(true), failed);
    if (!stream_) return open();
    stream_->async_handshake(asio::ssl::stream_base::client, [this](error_code refused) {
      if (!refused) return open();
      close("TLS handshake failed: " + tls_reason(refused));
    });
  }

  // OpenSSL's verdict on the certificate says more than "certificate verify failed".
  std::string tls_reason(error_code failed) {
    const long verdict = SSL_get_verify_result(stream_->native_handle());
    const bool is_certificate = failed.category() == asio::error::get_ssl_category() &&
                                ERR_GET_REASON(static_cast<unsigned long>(failed.value())) ==
                                    SSL_R_CERTIFICATE_VERIFY_FAILED;
    if (!is_certificate) return failed.message() + " (is this a TLS port?)";
    is_untrusted = true;
    // The host is checked by Asio's callback, which gives OpenSSL no reason.
    const bool is_host = verdict == X509_V_OK || verdict == X509_V_ERR_UNSPECIFIED;
    return is_host ? "the certificate is not for host " + host_
                   : X509_verify_cert_error_string(verdict);
  }

  void open() {
    state = State::kOpen;
    start_read();
    start_write();
  }

  void start_read() {
    if (state != State::kOpen) return;
    const auto on_read = [this](error_code failed, std::size_t size) {
      if (failed)
        return close(failed == asio::error::eof ? "the server closed the connection"
                                                : "cannot read: " + failed.message());
      received_ = size;
    };
    const auto buffer = asio::buffer(incoming_);
    stream_ ? stream_->async_read_some(buffer, on_read) : socket_.async_read_some(buffer, on_read);
  }

  void start_write() {
    if (state != State::kOpen || is_writing_ || outgoing.empty()) return;
    is_writing_ = true;
    writing_.clear();
    std::swap(writing_, outgoing);
    const auto on_written = [this](error_code failed, std::size_t) {
      is_writing_ = false;
      if (failed) return close("cannot write: " + failed.message());
      start_write();
    };
    const auto buffer = asio::buffer(writing_);
    stream_ ? asio::async_write(*stream_, buffer, on_written)
            : asio::async_write(socket_, buffer, on_written);
  }

  void close(std::string why) {
    if (state == State::kClosed) return;
    state = State::kClosed;
    error = std::move(why);
    error_code ignored;
    socket_.close(ignored);
  }

  asio::io_context io_;
  tcp::resolver resolver_;
  std::optional<asio::ssl::context> tls_;
  tcp::socket socket_;
  std::optional<asio::ssl::stream<tcp::socket&>> stream_;
  const std::string host_;
  std::string incoming_;
  std::size_t received_ = 0;
  std::string writing_;
  bool is_writing_ = false;
};

RedisTransport::RedisTransport(const RedisAddress& address, const RedisServerSettings& settings)
    : connection_(std::make_unique<Connection>(address, settings)) {}
RedisTransport::~RedisTransport() = default;

void RedisTransport::poll() { connection_->poll(); }
void RedisTransport::wait(std::chrono::milliseconds limit) { connection_->wait(limit); }
RedisTransport::State RedisTransport::state() const { return connection_->state; }
const std::string& RedisTransport::error() const { return connection_->error; }
bool RedisTransport::is_untrusted() const { return connection_->is_untrusted; }
std::string& RedisTransport::outgoing() { return connection_->outgoing; }
std::string_view RedisTransport::incoming() const { return connection_->incoming(); }
void RedisTransport::clear_incoming() { connection_->clear_incoming(); }

}  // namespace tidemill
