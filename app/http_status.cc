#include "app/http_status.h"

#include <atomic>
#include <charconv>
#include <chrono>
#include <optional>
#include <thread>
#include <utility>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/strand.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>

#include "app/page.h"
#include "engine/base/error.h"

namespace tidemill {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using asio::ip::tcp;

constexpr std::size_t kMaxRequestBytes = 16 * 1024;
constexpr auto kRequestTime = std::chrono::seconds(10);
constexpr std::size_t kMaxConnections = 64;
constexpr int kPortsTried = 10;

struct Answers {
  Answers(std::string name, const Supervisor& s, const MetricRegistry& m)
      : job(std::move(name)), supervisor(s), metrics(m) {}

  std::string job;
  const Supervisor& supervisor;
  const MetricRegistry& metrics;
  std::atomic<std::size_t> connections{0};
};

using Response = http::response<http::string_body>;

std::optional<tidemill::http::Response> page_at(std::string_view path,
                                                const http::request<http::empty_body>& request) {
  tidemill::http::Request asked;
  asked.path = path;
  asked.headers = {{"if-none-match", std::string(request[http::field::if_none_match])},
                   {"accept-encoding", std::string(request[http::field::accept_encoding])}};
  return page_response(asked);
}

Response answer(const http::request<http::empty_body>& request, const Answers& answers) {
  Response response{http::status::ok, request.version()};
  response.set(http::field::content_type, "text/plain; charset=utf-8");
  response.keep_alive(request.keep_alive());
  const std::string_view target(request.target().data(), request.target().size());
  const std::string_view path = target.substr(0, target.find('?'));
  if (request.method() != http::verb::get && request.method() != http::verb::head) {
    response.result(http::status::method_not_allowed);
    response.body() = "only GET\n";
  } else if (path == "/metrics") {
    response.set(http::field::content_type, "text/plain; version=0.0.4; charset=utf-8");
    response.body() =
        prometheus_text(answers.metrics, answers.supervisor.event_time(), SystemClock());
  } else if (path == "/healthz") {
    response.body() = "ok\n";
  } else if (path == "/readyz") {
    const JobProgress progress = answers.supervisor.progress();
    const bool is_ready = progress.state == JobProgress::State::kRunning && progress.committed > 0;
    response.result(is_ready ? http::status::ok : http::status::service_unavailable);
    response.body() = is_ready
                          ? "ready\n"
                          : "not ready: no checkpoint committed yet, or restarting or stopping\n";
  } else if (path == "/late") {
    response.set(http::field::content_type, "application/json");
    response.body() = late_records_json(answers.metrics);
  } else if (const auto page = page_at(path, request)) {
    response.result(static_cast<unsigned>(page->status));
    for (const auto& [name, value] : page->headers) response.set(name, value);
    response.set(http::field::content_type, page->content_type);
    response.body() = page->body;
  } else {
    response.result(http::status::not_found);
    response.body() = "not found; there are / (the page), /metrics, /healthz, /readyz, /late\n";
  }
  response.prepare_payload();
  if (request.method() == http::verb::head) response.body().clear();
  return response;
}

// One connection; keeps itself alive through its handlers.
class Session : public std::enable_shared_from_this<Session> {
 public:
  Session(tcp::socket socket, std::shared_ptr<Answers> answers)
      : stream_(std::move(socket)), answers_(std::move(answers)) {
    ++answers_->connections;
  }
  ~Session() { --answers_->connections; }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  void read() {
    parser_.emplace();
    parser_->header_limit(kMaxRequestBytes);
    parser_->body_limit(kMaxRequestBytes);
    stream_.expires_after(kRequestTime);
    http::async_read(stream_, buffer_, *parser_,
                     [self = shared_from_this()](beast::error_code error, std::size_t) {
                       if (error) return;
                       self->write();
                     });
  }

 private:
  void write() {
    response_ = answer(parser_->get(), *answers_);
    http::async_write(stream_, response_,
                      [self = shared_from_this()](beast::error_code error, std::size_t) {
                        if (error || !self->response_.keep_alive()) {
                          self->stream_.socket().shutdown(tcp::socket::shutdown_send, error);
                          return;
                        }
                        self->read();
                      });
  }

  beast::tcp_stream stream_;
  std::shared_ptr<Answers> answers_;
  beast::flat_buffer buffer_{kMaxRequestBytes};
  std::optional<http::request_parser<http::empty_body>> parser_;
  Response response_;
};

class Server final : public HttpStatus {
 public:
  Server(const asio::ip::address& address, std::uint16_t port, std::shared_ptr<Answers> answers)
      : acceptor_(context_), answers_(std::move(answers)) {
    bind(address, port);
    accept();
    thread_ = std::thread([this] { context_.run(); });
  }
  ~Server() override {
    context_.stop();
    thread_.join();
  }
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  [[nodiscard]] std::string address() const override {
    const auto endpoint = acceptor_.local_endpoint();
    const std::string host = endpoint.address().to_string();
    return (endpoint.address().is_v6() ? "[" + host + "]" : host) + ":" +
           std::to_string(endpoint.port());
  }

 private:
  void bind(const asio::ip::address& address, std::uint16_t port) {
    beast::error_code error;
    for (int i = 0; i < kPortsTried; ++i) {
      const tcp::endpoint endpoint(address, static_cast<std::uint16_t>(port + i));
      acceptor_.open(endpoint.protocol(), error);
      acceptor_.set_option(asio::socket_base::reuse_address(true), error);
      acceptor_.bind(endpoint, error);
      if (!error) acceptor_.listen(asio::socket_base::max_listen_connections, error);
      if (!error) return;
      beast::error_code ignored;
      acceptor_.close(ignored);
    }
    throw Error(ErrorCode::kConfig, "http: no free port from " + std::to_string(port) +
                                        " on: " + error.message() +
                                        "; give another with --http, or --http none");
  }

  void accept() {
    acceptor_.async_accept([this](beast::error_code error, tcp::socket socket) {
      if (!error && answers_->connections < kMaxConnections)
        std::make_shared<Session>(std::move(socket), answers_)->read();
      if (error != asio::error::operation_aborted) accept();
    });
  }

  asio::io_context context_{1};
  tcp::acceptor acceptor_;
  std::shared_ptr<Answers> answers_;
  std::thread thread_;
};

// "ADDR:PORT".
tcp::endpoint parse_address(const std::string& where) {
  const std::size_t colon = where.rfind(':');
  std::uint16_t port = 0;
  bool is_valid = colon != std::string::npos;
  if (is_valid) {
    const char* end = where.data() + where.size();
    const auto [at, parse_error] = std::from_chars(where.data() + colon + 1, end, port);
    is_valid = parse_error == std::errc() && at == end;
  }
  std::string host = is_valid ? where.substr(0, colon) : "";
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  if (host == "localhost") host = "127.0.0.1";
  beast::error_code error;
  const auto address = asio::ip::make_address(host, error);
  if (!is_valid || error)
    throw Error(ErrorCode::kConfig, "http is neither ADDR:PORT nor none: " + where);
  if (!address.is_loopback()) {
    throw Error(
        ErrorCode::kConfig,
        "http: a job's own port has neither TLS nor tokens and takes loopback addresses only: " +
            where);
  }
  return {address, port};
}

}  // namespace

void check_http_address(const std::string& where) {
  if (where != "none") parse_address(where);
}

std::unique_ptr<HttpStatus> serve_status(const std::string& where, const std::string& job,
                                         const Supervisor& supervisor,
                                         const MetricRegistry& metrics) {
  if (where == "none") return nullptr;
  const tcp::endpoint endpoint = parse_address(where);
  return std::make_unique<Server>(endpoint.address(), endpoint.port(),
                                  std::make_shared<Answers>(job, supervisor, metrics));
}

}  // namespace tidemill
