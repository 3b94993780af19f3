#include "http/server.h"

#include <sys/stat.h>
#include <thread>
#include <unistd.h>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/ssl/context.hpp>

#include "engine/base/error.h"
#include "http/address_internal.h"
#include "http/session_internal.h"

namespace tidemill::http {
namespace {

using Tcp = asio::ip::tcp;
using Unix = asio::local::stream_protocol;
// One type for both kinds of sockets: half as much to compile.
using Plain = beast::basic_stream<asio::generic::stream_protocol, asio::any_io_executor>;
using Socket = Plain::socket_type;

// What is being answered when the server stops is still sent.
constexpr auto kAnswerTime = std::chrono::seconds(2);

std::string text_of(const Tcp::endpoint& endpoint) {
  const std::string host = endpoint.address().to_string();
  return (endpoint.address().is_v6() ? "[" + host + "]" : host) + ":" +
         std::to_string(endpoint.port());
}

}  // namespace

bool is_local_host(const std::string& host) {
  if (host.empty()) return true;  // no browser
  const std::string name =
      host.starts_with('[') ? host.substr(1, host.find(']') - 1) : host.substr(0, host.rfind(':'));
  if (name == "localhost") return true;
  beast::error_code error;
  (void)asio::ip::make_address(name, error);
  return !error;
}

namespace {

class BeastServer final : public Server {
 public:
  BeastServer(ServerSettings settings, Callbacks callbacks)
      : workers_(static_cast<std::size_t>(std::max(1, settings.threads))),
        shared_(std::make_shared<Shared>(std::move(settings), std::move(callbacks), workers_)),
        tcp_(context_),
        unix_(context_) {
    const ServerSettings& s = shared_->settings;
    const Address address = parse_address(s.address);
    if (!s.certificate.empty() || !s.key.empty()) load_certificate();
    if (address.is_unix) {
      listen_unix(address.path);
      accept_unix();
    } else {
      shared_->only_local_hosts = address.ip.is_loopback() && !tls_;
      listen_tcp(address);
      accept_tcp();
    }
    thread_ = std::thread([this] { context_.run(); });
  }

  ~BeastServer() override {
    asio::post(context_, [this] {
      beast::error_code ignored;
      tcp_.close(ignored);
      unix_.close(ignored);
    });
    shared_->wait_for_answers(kAnswerTime);
    context_.stop();
    thread_.join();
    workers_.stop();
    workers_.join();
    if (!path_.empty()) ::unlink(path_.c_str());
  }
  BeastServer(const BeastServer&) = delete;
  BeastServer& operator=(const BeastServer&) = delete;

  [[nodiscard]] std::string address() const override {
    return path_.empty() ? text_of(tcp_.local_endpoint()) : "unix:" + path_;
  }

 private:
  void load_certificate() {
    const ServerSettings& s = shared_->settings;
    tls_.emplace(asio::ssl::context::tls_server);
    tls_->set_options(asio::ssl::context::default_workarounds | asio::ssl::context::no_sslv2 |
                      asio::ssl::context::no_sslv3 | asio::ssl::context::no_tlsv1 |
                      asio::ssl::context::no_tlsv1_1);
    beast::error_code error;
    tls_->use_certificate_chain_file(s.certificate.string(), error);
    if (error)
      throw Error(ErrorCode::kConfig, "the TLS certificate cannot be used: " +
                                          s.certificate.string() + ": " + error.message());
    tls_->use_private_key_file(s.key.string(), asio::ssl::context::pem, error);
    if (error)
      throw Error(ErrorCode::kConfig, "the TLS key cannot be used, or is not the certificate's: " +
                                          s.key.string() + ": " + error.message());
  }

  void listen_tcp(const Address& address) {
    beast::error_code error;
    for (int i = 0; i < std::max(1, shared_->settings.ports_tried); ++i) {
      const Tcp::endpoint endpoint(address.ip, static_cast<std::uint16_t>(address.port + i));
      beast::error_code ignored;
      tcp_.open(endpoint.protocol(), error);
      tcp_.set_option(asio::socket_base::reuse_address(true), ignored);
      if (!error) tcp_.bind(endpoint, error);
      if (!error) tcp_.listen(asio::socket_base::max_listen_connections, error);
      if (!error) return;
      tcp_.close(ignored);
    }
    throw Error(ErrorCode::kConfig, "no free port from " + text_of({address.ip, address.port}) +
                                        " on: " + error.message() + "; give another address");
  }

  void listen_unix(const std::string& path) {
    asio::io_context probe_context;
    Unix::socket probe(probe_context);
    beast::error_code error;
    probe.connect(Unix::endpoint(path), error);
    if (!error)
      throw Error(ErrorCode::kConfig,
                  "another process answers on the socket " + path + "; stop it first");
    // Only a socket is removed: a path by mistake may be somebody's file.
    struct stat status {};
    if (::lstat(path.c_str(), &status) == 0) {
      if (!S_ISSOCK(status.st_mode))
        throw Error(ErrorCode::kConfig, "there is a file where the socket is to be: " + path);
      ::unlink(path.c_str());
    }
    unix_.open();
    const mode_t before = ::umask(0177);
    unix_.bind(Unix::endpoint(path), error);
    ::umask(before);
    if (!error) unix_.listen(asio::socket_base::max_listen_connections, error);
    if (error)
      throw Error(ErrorCode::kConfig,
                  "the socket cannot be made: " + path + ": " + error.message());
    path_ = path;
  }

  template <class Stream>
  void begin(Stream stream, std::string peer) {
    if (shared_->connections >= shared_->settings.max_connections) return;  // closes it
    std::make_shared<Session<Stream>>(std::move(stream), shared_, std::move(peer))->start();
  }

  void accept_tcp() {
    tcp_.async_accept(asio::make_strand(context_), [this](beast::error_code error, auto socket) {
      if (!error) {
        beast::error_code unknown;
        const auto remote = socket.remote_endpoint(unknown);
        const std::string peer = unknown ? "unknown" : remote.address().to_string();
        Plain stream(Socket(std::move(socket)));
        if (tls_) {
          begin(beast::ssl_stream<Plain>(std::move(stream), *tls_), peer);
        } else {
          begin(std::move(stream), peer);
        }
      }
      again(error, [this] { accept_tcp(); });
    });
  }

  void accept_unix() {
    unix_.async_accept(asio::make_strand(context_), [this](beast::error_code error, auto socket) {
      if (!error) begin(Plain(Socket(std::move(socket))), "unix");
      again(error, [this] { accept_unix(); });
    });
  }

  // Out of descriptors: the connections that end give some back; asking at once would only burn.
  template <class Accept>
  void again(beast::error_code error, Accept accept) {
    if (error == asio::error::operation_aborted) return;
    if (!error || error == asio::error::connection_aborted) return accept();
    pause_.expires_after(std::chrono::milliseconds(100));
    pause_.async_wait([accept](beast::error_code stopped) {
      if (!stopped) accept();
    });
  }

  asio::thread_pool workers_;
  asio::io_context context_{1};
  // Runs on while all that is left to do is with the workers.
  asio::executor_work_guard<asio::io_context::executor_type> work_{context_.get_executor()};
  std::shared_ptr<Shared> shared_;
  std::optional<asio::ssl::context> tls_;
  Tcp::acceptor tcp_;
  Unix::acceptor unix_;
  asio::steady_timer pause_{context_};
  std::string path_;
  std::thread thread_;
};

}  // namespace

std::unique_ptr<Server> serve(ServerSettings settings, Callbacks callbacks) {
  return std::make_unique<BeastServer>(std::move(settings), std::move(callbacks));
}

}  // namespace tidemill::http
