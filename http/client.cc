#include "http/client.h"

#include <fstream>

#include <boost/algorithm/string/case_conv.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/host_name_verification.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/ssl.hpp>

#include "engine/base/error.h"

namespace tidemill::http {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace bhttp = boost::beast::http;
using Tcp = asio::ip::tcp;
using Unix = asio::local::stream_protocol;
// One type for both kinds of sockets: half as much to compile.
using Plain = beast::basic_stream<asio::generic::stream_protocol, asio::any_io_executor>;

// One type for every operation, so that each is compiled once.
struct Done {
  beast::error_code* result;
  void operator()(beast::error_code error, std::size_t = 0) const { *result = error; }
};

// Runs one asynchronous operation to its end, which the stream's expiry bounds.
class Run {
 public:
  explicit Run(asio::io_context& context, std::string what)
      : context_(context), what_(std::move(what)) {}

  template <class Start>
  beast::error_code attempt(Start start) {
    beast::error_code result = asio::error::would_block;
    start(Done{&result});
    context_.restart();
    context_.run();
    return result;
  }
  template <class Start>
  void must(Start start) {
    if (const beast::error_code error = attempt(std::move(start))) fail(error);
  }
  [[noreturn]] void fail(beast::error_code error) const {
    throw Error(ErrorCode::kIo, "no answer from " + what_ + ": " + error.message());
  }

 private:
  asio::io_context& context_;
  std::string what_;
};

using Message = bhttp::request<bhttp::string_body>;

Message head_of(const Request& request, const std::string& base, const std::string& host,
                const std::string& token) {
  Message message;
  message.version(11);
  message.method_string(request.method);
  message.target(format_target({base + request.path, request.query}));
  message.set(bhttp::field::host, host);
  message.set(bhttp::field::user_agent, "tidemill");
  message.set(bhttp::field::connection, "close");
  for (const auto& [name, value] : request.headers) message.set(name, value);
  if (!token.empty()) message.set(bhttp::field::authorization, "Bearer " + token);
  return message;
}

Response response_of(const bhttp::response<bhttp::buffer_body>& message) {
  Response response;
  response.status = static_cast<int>(message.result_int());
  response.content_type = std::string(message[bhttp::field::content_type]);
  for (const auto& field : message) {
    std::string name(field.name_string());
    boost::algorithm::to_lower(name);
    response.headers.emplace_back(std::move(name), std::string(field.value()));
  }
  return response;
}

// The head, then the body in pieces as they come, each given to `take` until it says no. A body
// that ends with the connection is whole too.
template <class Stream, class Layer, class Take>
Response read_response(Stream& stream, Layer& layer, Run& run, const ClientSettings& settings,
                       bool is_head, Take take) {
  beast::flat_buffer buffer;
  bhttp::response_parser<bhttp::buffer_body> parser;
  parser.body_limit(boost::none);
  parser.skip(is_head);
  run.must([&](Done done) { bhttp::async_read_header(stream, buffer, parser, done); });
  Response response = response_of(parser.get());
  std::array<char, 8192> bytes{};
  while (!parser.is_done()) {
    parser.get().body().data = bytes.data();
    parser.get().body().size = bytes.size();
    layer.expires_after(settings.timeout);
    beast::error_code error =
        run.attempt([&](Done done) { bhttp::async_read_some(stream, buffer, parser, done); });
    if (error == bhttp::error::need_buffer) error = {};
    const std::size_t got = bytes.size() - parser.get().body().size;
    if (got > 0 && !take(response, std::string_view(bytes.data(), got))) return response;
    if (error == bhttp::error::end_of_stream) break;
    if (error) run.fail(error);
  }
  return response;
}

// The whole body.
auto into_body(const ClientSettings& settings, const std::string& url) {
  return [&settings, &url](Response& response, std::string_view piece) {
    response.body += piece;
    if (response.body.size() > settings.max_body_bytes)
      throw Error(ErrorCode::kIo, "the answer of " + url + " is larger than it may be");
    return true;
  };
}

}  // namespace

Client::Client(const std::string& url, ClientSettings settings)
    : url_(url), settings_(std::move(settings)) {
  std::string rest;
  if (url.starts_with("unix:/")) {
    scheme_ = Scheme::kUnix;
    host_ = url.substr(5);
    return;
  }
  if (url.starts_with("http://")) {
    rest = url.substr(7);
    port_ = "80";
  } else if (url.starts_with("https://")) {
    scheme_ = Scheme::kTls;
    rest = url.substr(8);
    port_ = "443";
  } else {
    throw Error(ErrorCode::kConfig,
                "a server's URL begins with http://, https:// or unix:/ : " + url);
  }
  const std::size_t slash = rest.find('/');
  if (slash != std::string::npos) base_ = rest.substr(slash);
  while (base_.ends_with('/')) base_.pop_back();
  std::string authority = rest.substr(0, slash);
  if (authority.find('@') != std::string::npos)
    throw Error(ErrorCode::kConfig, "a server's URL holds no login; give a token's file instead");
  const std::size_t colon = authority.rfind(':');
  if (colon != std::string::npos && authority.find(']', colon) == std::string::npos) {
    port_ = authority.substr(colon + 1);
    authority.resize(colon);
  }
  if (authority.starts_with('[') && authority.ends_with(']'))
    authority = authority.substr(1, authority.size() - 2);
  host_ = authority;
  const bool is_number = !port_.empty() && port_.size() <= 5 &&
                         port_.find_first_not_of("0123456789") == std::string::npos;
  if (host_.empty() || !is_number)
    throw Error(ErrorCode::kConfig, "a server's URL is http://HOST:PORT: " + url);
}

const std::string& Client::host_of_requests() const {
  static const std::string kLocal = "localhost";
  return scheme_ == Scheme::kUnix ? kLocal : host_;
}

template <class Do>
auto Client::with_stream(Do&& act) const {
  asio::io_context context;
  Run run(context, url_);
  const auto connect = [&](Plain& stream) {
    stream.expires_after(settings_.timeout);
    if (scheme_ == Scheme::kUnix)
      return run.must([&](Done done) { stream.async_connect(Unix::endpoint(host_), done); });
    Tcp::resolver resolver(context);
    beast::error_code error;
    const auto found = resolver.resolve(host_, port_, error);
    if (error) run.fail(error);
    for (const auto& entry : found) {
      error = run.attempt([&](Done done) { stream.async_connect(entry.endpoint(), done); });
      if (!error) return;
      beast::error_code ignored;
      stream.socket().close(ignored);
    }
    run.fail(error);
  };
  if (scheme_ != Scheme::kTls) {
    Plain stream(context);
    connect(stream);
    return act(stream, stream, run);
  }
  asio::ssl::context tls(asio::ssl::context::tls_client);
  tls.set_verify_mode(asio::ssl::verify_peer);
  beast::error_code error;
  if (settings_.ca_file.empty()) {
    tls.set_default_verify_paths(error);
  } else {
    tls.load_verify_file(settings_.ca_file.string(), error);
  }
  if (error)
    throw Error(ErrorCode::kConfig, "the certificates of trusted authorities cannot be read: " +
                                        settings_.ca_file.string() + ": " + error.message());
  beast::ssl_stream<Plain> stream(context, tls);
  stream.set_verify_callback(asio::ssl::host_name_verification(host_));
  SSL_set_tlsext_host_name(stream.native_handle(), host_.c_str());
  connect(stream.next_layer());
  run.must([&](Done done) { stream.async_handshake(asio::ssl::stream_base::client, done); });
  return act(stream, stream.next_layer(), run);
}

Response Client::send(const Request& request) const {
  return with_stream([&](auto& stream, auto& layer, Run& run) {
    Message message = head_of(request, base_, host_of_requests(), settings_.token);
    message.body() = request.body;
    if (!request.body.empty() && message.find(bhttp::field::content_type) == message.end())
      message.set(bhttp::field::content_type, "application/json");
    message.prepare_payload();
    layer.expires_after(settings_.timeout);
    // A server that has refused may have closed its side: its answer counts, not our write.
    const beast::error_code error =
        run.attempt([&](Done done) { bhttp::async_write(stream, message, done); });
    if (error == beast::error::timeout) run.fail(error);
    return read_response(stream, layer, run, settings_, request.method == "HEAD",
                         into_body(settings_, url_));
  });
}

Response Client::send_file(const Request& request, const std::filesystem::path& file,
                           const std::function<void(std::uint64_t)>& progress) const {
  std::ifstream in(file, std::ios::binary | std::ios::ate);
  const auto size = static_cast<std::int64_t>(in.tellg());
  if (!in || size < 0) throw Error(ErrorCode::kConfig, "cannot read " + file.string());
  in.seekg(0);
  return with_stream([&](auto& stream, auto& layer, Run& run) {
    Message message = head_of(request, base_, host_of_requests(), settings_.token);
    message.set(bhttp::field::content_type, "application/octet-stream");
    message.content_length(static_cast<std::uint64_t>(size));
    layer.expires_after(settings_.timeout);
    run.must([&](Done done) { bhttp::async_write(stream, message, done); });
    std::vector<char> piece(std::size_t{256} << 10);
    std::int64_t sent = 0;
    while (sent < size) {
      in.read(piece.data(), static_cast<std::streamsize>(piece.size()));
      const std::int64_t got = in.gcount();
      if (got <= 0) throw Error(ErrorCode::kIo, "the file has become shorter: " + file.string());
      layer.expires_after(settings_.timeout);
      const beast::error_code error = run.attempt([&](Done done) {
        asio::async_write(stream, asio::buffer(piece.data(), static_cast<std::size_t>(got)), done);
      });
      if (error == beast::error::timeout) run.fail(error);
      if (error) break;  // the answer says why
      sent += got;
      if (progress) progress(static_cast<std::uint64_t>(sent));
    }
    layer.expires_after(settings_.timeout);
    return read_response(stream, layer, run, settings_, false, into_body(settings_, url_));
  });
}

Response Client::events(const Request& request,
                        const std::function<bool(std::string_view)>& take) const {
  return with_stream([&](auto& stream, auto& layer, Run& run) {
    Message message = head_of(request, base_, host_of_requests(), settings_.token);
    message.set(bhttp::field::accept, "text/event-stream");
    layer.expires_after(settings_.timeout);
    run.must([&](Done done) { bhttp::async_write(stream, message, done); });
    std::string pending;
    std::string data;
    const auto take_lines = [&](Response& response, std::string_view piece) {
      if (!response.content_type.starts_with("text/event-stream"))
        return into_body(settings_, url_)(response, piece);
      pending += piece;
      if (pending.size() + data.size() > settings_.max_body_bytes)
        throw Error(ErrorCode::kIo, "an event of " + url_ + " is larger than it may be");
      std::size_t end = 0;
      while ((end = pending.find('\n')) != std::string::npos) {
        std::string line = pending.substr(0, end);
        pending.erase(0, end + 1);
        if (line.ends_with('\r')) line.pop_back();
        if (line.starts_with("data:")) {
          if (!data.empty()) data += '\n';
          data += line.substr(line.starts_with("data: ") ? 6 : 5);
        } else if (line.empty() && !data.empty()) {
          const std::string event = std::exchange(data, {});
          if (!take(event)) return false;
        }
      }
      return true;
    };
    return read_response(stream, layer, run, settings_, false, take_lines);
  });
}

}  // namespace tidemill::http
