// One connection of a server: reads a request, has it answered, writes the answer, and again. Keeps
// itself alive through its handlers; all of them run in the connection's strand but the calls of
// the handler, which have threads of their own.
#pragma once

#include <array>
#include <atomic>
#include <condition_variable>
#include <exception>
#include <fstream>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include <boost/algorithm/string/case_conv.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/ssl.hpp>

#include "http/server.h"

namespace tidemill::http {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace bhttp = boost::beast::http;

// What the connections of a server share.
struct Shared {
  ServerSettings settings;
  Callbacks callbacks;
  asio::thread_pool& workers;
  std::atomic<std::size_t> connections{0};
  bool only_local_hosts = false;  // by name or number

  // Requests between their head and the end of their answer.
  void begin_request() {
    const std::lock_guard lock(mutex_);
    ++requests_;
  }
  void end_request() {
    const std::lock_guard lock(mutex_);
    if (--requests_ == 0) answered_.notify_all();
  }
  void wait_for_answers(std::chrono::milliseconds most) {
    std::unique_lock lock(mutex_);
    answered_.wait_for(lock, most, [this] { return requests_ == 0; });
  }

  Shared(ServerSettings s, Callbacks c, asio::thread_pool& w)
      : settings(std::move(s)), callbacks(std::move(c)), workers(w) {}

 private:
  std::mutex mutex_;
  std::condition_variable answered_;
  std::size_t requests_ = 0;
};

// Of a Host field.
[[nodiscard]] bool is_local_host(const std::string& host);

template <class Stream>
inline constexpr bool kIsTls = false;
template <class Next>
inline constexpr bool kIsTls<beast::ssl_stream<Next>> = true;

template <class Stream>
class Session : public std::enable_shared_from_this<Session<Stream>> {
 public:
  Session(Stream stream, std::shared_ptr<Shared> shared, std::string peer)
      : stream_(std::move(stream)),
        shared_(std::move(shared)),
        peer_(std::move(peer)),
        timer_(stream_.get_executor()) {
    ++shared_->connections;
  }
  ~Session() {
    end_request();
    --shared_->connections;
  }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  void start() {
    expire(shared_->settings.header_time);
    if constexpr (kIsTls<Stream>) {
      stream_.async_handshake(asio::ssl::stream_base::server,
                              [self = this->shared_from_this()](beast::error_code error) {
                                if (!error) self->read_head(self->shared_->settings.header_time);
                              });
    } else {
      read_head(shared_->settings.header_time);
    }
  }

 private:
  void begin_request() {
    if (!std::exchange(is_counted_, true)) shared_->begin_request();
  }
  void end_request() {
    if (!request_.upload.empty()) {
      // Nobody has taken it: refused, or cut off on its way.
      std::error_code ignored;
      std::filesystem::remove(std::exchange(request_.upload, {}), ignored);
    }
    if (std::exchange(is_counted_, false)) shared_->end_request();
  }

  void expire(std::chrono::milliseconds time) {
    beast::get_lowest_layer(stream_).expires_after(time);
  }

  void read_head(std::chrono::milliseconds time) {
    head_.emplace();
    head_->header_limit(static_cast<std::uint32_t>(shared_->settings.max_header_bytes));
    head_->body_limit(boost::none);
    expire(time);
    bhttp::async_read_header(
        stream_, buffer_, *head_,
        [self = this->shared_from_this()](beast::error_code error, std::size_t) {
          if (error) return self->refuse(error);
          self->take_head();
        });
  }

  // Of what cannot be read.
  void refuse(beast::error_code error) {
    if (error == bhttp::error::end_of_stream || error == asio::error::operation_aborted) {
      return close();
    }
    if (error == beast::error::timeout) {
      // Beast has closed the socket. A connection without a request is just over.
      return;
    }
    if (error.category() != bhttp::make_error_code(bhttp::error::bad_method).category()) return;
    const bool is_long =
        error == bhttp::error::header_limit || error == bhttp::error::buffer_overflow;
    const bool is_large = error == bhttp::error::body_limit;
    write_error(is_large  ? 413
                : is_long ? 431
                          : 400,
                is_large  ? "the body is larger than it may be"
                : is_long ? "the header is larger than " +
                                std::to_string(shared_->settings.max_header_bytes) + " bytes"
                          : "this is no HTTP request: " + error.message());
  }

  void write_error(int status, const std::string& text) {
    Response response;
    response.status = status;
    response.body = "{\"error\": \"" + text + "\", \"next\": \"see the API's description\"}\n";
    keep_alive_ = false;
    is_head_ = false;
    write(std::move(response));
  }

  void take_head() {
    begin_request();
    const auto& message = head_->get();
    request_ = Request();
    is_upload_ = false;
    request_.method = std::string(message.method_string());
    request_.peer = peer_;
    keep_alive_ = message.keep_alive();
    is_head_ = message.method() == bhttp::verb::head;
    version_ = message.version();
    std::optional<Target> target = parse_target({message.target().data(), message.target().size()});
    if (!target) return write_error(400, "the path has wrong escapes or does not begin with /");
    request_.path = std::move(target->path);
    request_.query = std::move(target->query);
    for (const auto& field : message) {
      std::string name(field.name_string());
      boost::algorithm::to_lower(name);
      std::string& value = request_.headers[name];
      if (!value.empty()) value += ", ";
      value += field.value();
    }
    // A page of elsewhere whose name leads to this machine may not read what it answers.
    if (shared_->only_local_hosts && !is_local_host(request_.header("host")))
      return write_error(421, "this port answers to localhost and numbers only");
    call([this]() -> Admission {
      if (!shared_->callbacks.admit) return {};
      return shared_->callbacks.admit(request_);
    });
  }

  // Runs what may block on a worker; back in the strand, goes on with what it gave.
  template <class Ask>
  void call(Ask ask) {
    beast::get_lowest_layer(stream_).expires_never();
    asio::post(shared_->workers, [self = this->shared_from_this(), ask = std::move(ask)]() mutable {
      auto result = std::make_shared<decltype(ask())>();
      std::optional<Response> failure;
      try {
        *result = ask();
      } catch (const std::exception& e) {
        if (self->shared_->callbacks.failed)
          self->shared_->callbacks.failed(self->request_, e.what());
        failure.emplace();
        failure->status = 500;
        failure->body =
            "{\"error\": \"this went wrong inside; the log says why\", \"next\": \"look at the "
            "log, then try again\"}\n";
      }
      asio::post(self->stream_.get_executor(),
                 [self, result, failure = std::move(failure)]() mutable {
                   if (failure) {
                     self->keep_alive_ = false;
                     return self->write(std::move(*failure));
                   }
                   self->go_on(std::move(*result));
                 });
    });
  }

  void go_on(Response response) { write(std::move(response)); }
  void go_on(Admission admission) {
    if (auto* response = std::get_if<Response>(&admission)) {
      // A body that nobody reads would be taken for the next request.
      const auto length = head_->content_length();
      if (head_->chunked() || (length && *length > 0)) keep_alive_ = false;
      return write(std::move(*response));
    }
    const auto* upload = std::get_if<Upload>(&admission);
    const std::uint64_t limit = upload ? upload->max_bytes : shared_->settings.max_body_bytes;
    const auto length = head_->content_length();
    if (length && *length > limit)
      return write_error(413, "the body has more than " + std::to_string(limit) + " bytes");
    head_->body_limit(limit);
    if (upload) {
      file_.open(upload->file, std::ios::binary | std::ios::trunc);
      if (!file_) return write_error(500, "the upload cannot be stored");
      request_.upload = upload->file;
    }
    is_upload_ = upload != nullptr;
    expire(shared_->settings.body_time);
    const bool waits = beast::iequals(request_.header("expect"), "100-continue");
    if (waits && !head_->is_done()) {
      static constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
      asio::async_write(stream_, asio::buffer(kContinue),
                        [self = this->shared_from_this()](beast::error_code error, std::size_t) {
                          if (!error) self->read_some();
                        });
    } else {
      read_some();
    }
  }

  // Piece by piece: an upload may take long as long as something comes, a small body may not.
  void read_some() {
    if (head_->is_done()) return have_body();
    piece_.resize(kPieceBytes);
    auto& body = head_->get().body();
    body.data = piece_.data();
    body.size = piece_.size();
    if (is_upload_) expire(shared_->settings.body_time);
    bhttp::async_read_some(stream_, buffer_, *head_,
                           [self = this->shared_from_this()](beast::error_code error, std::size_t) {
                             if (error && error != bhttp::error::need_buffer)
                               return self->refuse(error);
                             self->take_piece();
                           });
  }

  void take_piece() {
    const std::size_t size = piece_.size() - head_->get().body().size;
    if (is_upload_) {
      file_.write(piece_.data(), static_cast<std::streamsize>(size));
    } else {
      request_.body.append(piece_, 0, size);
    }
    read_some();
  }

  void have_body() {
    piece_ = {};
    if (is_upload_) {
      file_.close();
      if (!file_) return write_error(500, "the upload cannot be stored: the disk may be full");
    }
    ask();
  }
  void ask() {
    call([this] { return shared_->callbacks.answer(request_); });
  }

  void write(Response response) {
    if (response.events && !is_head_) return begin_events(std::move(response));
    expire(shared_->settings.body_time);
    auto message = std::make_shared<bhttp::response<bhttp::string_body>>();
    message->version(version_);
    message->result(static_cast<unsigned>(response.status));
    message->set(bhttp::field::content_type, response.content_type);
    for (const auto& [name, value] : response.headers) message->set(name, value);
    const std::size_t size = response.body.size();
    if (!is_head_) message->body() = std::move(response.body);
    if (response.status == 304) {
      message->erase(bhttp::field::content_type);
    } else {
      message->content_length(size);
    }
    message->keep_alive(keep_alive_);
    bhttp::async_write(
        stream_, *message,
        [self = this->shared_from_this(), message](beast::error_code error, std::size_t) {
          self->end_request();
          if (error) return;
          if (!self->keep_alive_) return self->close();
          self->read_head(self->shared_->settings.idle_time);
        });
  }

  void begin_events(Response response) {
    end_request();
    events_ = std::move(*response.events);
    auto head = std::make_shared<std::string>(
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
        "Cache-Control: no-store\r\nConnection: close\r\n");
    for (const auto& [name, value] : response.headers) *head += name + ": " + value + "\r\n";
    *head += "\r\n";
    expire(shared_->settings.body_time);
    asio::async_write(
        stream_, asio::buffer(*head),
        [self = this->shared_from_this(), head](beast::error_code error, std::size_t) {
          if (!error) self->next_event();
        });
  }

  void next_event() {
    call([this] { return events_.next(); });
  }
  void go_on(std::string data) {
    auto text = std::make_shared<std::string>();
    if (data.empty()) {
      *text = ":\n\n";
    } else {
      std::size_t at = 0;
      while (at <= data.size()) {
        const std::size_t end = std::min(data.find('\n', at), data.size());
        *text += "data: " + data.substr(at, end - at) + "\n";
        at = end + 1;
      }
      *text += "\n";
    }
    expire(shared_->settings.body_time);
    asio::async_write(
        stream_, asio::buffer(*text),
        [self = this->shared_from_this(), text](beast::error_code error, std::size_t) {
          if (error) return;
          self->timer_.expires_after(self->events_.every);
          self->timer_.async_wait([self](beast::error_code stopped) {
            if (!stopped) self->next_event();
          });
        });
  }

  void close() {
    if constexpr (kIsTls<Stream>) {
      expire(std::chrono::seconds(5));
      stream_.async_shutdown([self = this->shared_from_this()](beast::error_code) {});
    } else {
      beast::error_code ignored;
      stream_.socket().shutdown(asio::socket_base::shutdown_send, ignored);
      drain();
    }
  }

  // A socket that is closed with bytes unread resets the connection, and the answer may be lost.
  void drain() {
    expire(std::chrono::seconds(1));
    auto bytes = std::make_shared<std::array<char, 4096>>();
    stream_.async_read_some(asio::buffer(*bytes), [self = this->shared_from_this(), bytes](
                                                      beast::error_code error, std::size_t n) {
      self->drained_ += n;
      if (!error && self->drained_ < kMaxDrained) self->drain();
    });
  }
  static constexpr std::size_t kMaxDrained = std::size_t{1} << 20;

  static constexpr std::size_t kPieceBytes = std::size_t{64} << 10;

  Stream stream_;
  std::shared_ptr<Shared> shared_;
  const std::string peer_;
  asio::steady_timer timer_;
  beast::flat_buffer buffer_{std::size_t{64} << 10};
  std::optional<bhttp::request_parser<bhttp::buffer_body>> head_;  // and what follows it
  std::string piece_;
  std::ofstream file_;
  bool is_upload_ = false;
  Request request_;
  EventStream events_;
  bool keep_alive_ = true;
  bool is_head_ = false;
  bool is_counted_ = false;
  unsigned version_ = 11;
  std::size_t drained_ = 0;
};

}  // namespace tidemill::http
