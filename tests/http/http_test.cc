#include <arpa/inet.h>
#include <atomic>
#include <cstdlib>
#include <fstream>
#include <future>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <string>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "engine/base/error.h"
#include "http/client.h"
#include "http/server.h"

namespace tidemill::http {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class HttpTest : public ::testing::Test {
 protected:
  HttpTest() {
    std::string pattern = ::testing::TempDir() + "httpXXXXXX";
    folder_ = ::mkdtemp(pattern.data());
    callbacks_.answer = [](const Request& r) {
      Response response;
      response.content_type = "text/plain";
      response.body = r.method + " " + r.path + " " + r.body;
      for (const auto& [name, value] : r.query) response.body += " " + name + "=" + value;
      return response;
    };
  }
  ~HttpTest() override { std::filesystem::remove_all(folder_); }

  // What the server sends for these bytes, until it closes.
  static std::string raw(const Server& server, const std::string& bytes, bool stop_writing = true) {
    const std::string address = server.address();
    const int socket = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port =
        htons(static_cast<std::uint16_t>(std::stoi(address.substr(address.rfind(':') + 1))));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::connect(socket, reinterpret_cast<sockaddr*>(&to), sizeof to), 0);
    std::size_t sent = 0;
    while (sent < bytes.size()) {
      const ssize_t n = ::send(socket, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
      if (n <= 0) break;
      sent += static_cast<std::size_t>(n);
    }
    if (stop_writing) ::shutdown(socket, SHUT_WR);
    std::string answer;
    char buffer[4096];
    for (ssize_t n = 0; (n = ::recv(socket, buffer, sizeof buffer, 0)) > 0;)
      answer.append(buffer, static_cast<std::size_t>(n));
    ::close(socket);
    return answer;
  }

  std::filesystem::path folder_;
  ServerSettings settings_;
  Callbacks callbacks_;
};

TEST(Target, IsDecodedAndEncoded) {
  const auto target = parse_target("/a%20b/c?x=1+2&y=%26&flag&x=3#f");
  ASSERT_TRUE(target);
  EXPECT_EQ(target->path, "/a b/c");
  EXPECT_THAT(target->query,
              ::testing::ElementsAre(::testing::Pair("flag", ""), ::testing::Pair("x", "3"),
                                     ::testing::Pair("y", "&")));
  EXPECT_EQ(format_target({"/a b/c", {{"x", "1 2"}, {"y", "&"}}}), "/a%20b/c?x=1%202&y=%26");
  for (const char* wrong : {"a", "", "/%", "/%4", "/%zz", "/%00", "/?a=%g0"})
    EXPECT_FALSE(parse_target(wrong)) << wrong;
}

TEST_F(HttpTest, AnswersOnTcp) {
  const auto server = serve(settings_, callbacks_);
  const Client client("http://" + server->address() + "/base/");
  Request request;
  request.method = "POST";
  request.path = "/x y";
  request.query = {{"q", "ä&"}};
  request.body = std::string(100'000, 'b');
  const Response response = client.send(request);
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.body, "POST /base/x y " + request.body + " q=ä&");
  request = {};
  request.method = "HEAD";
  EXPECT_EQ(client.send(request).body, "");
}

TEST_F(HttpTest, KeepsAConnectionForTheNextRequest) {
  const auto server = serve(settings_, callbacks_);
  const std::string answer = raw(*server,
                                 "GET /1 HTTP/1.1\r\nHost: localhost\r\n\r\nGET /2 "
                                 "HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
  EXPECT_THAT(answer, HasSubstr("GET /1"));
  EXPECT_THAT(answer, HasSubstr("GET /2"));
}

TEST_F(HttpTest, AnswersOnAUnixSocketThatOthersCannotOpen) {
  settings_.address = "unix:" + (folder_ / "s").string();
  auto server = serve(settings_, callbacks_);
  struct stat status {};
  ASSERT_EQ(::stat((folder_ / "s").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600U);
  EXPECT_EQ(Client(settings_.address).send({}).body, "GET / ");
  EXPECT_THROW((void)serve(settings_, callbacks_), Error);  // somebody answers there
  server.reset();
  EXPECT_FALSE(std::filesystem::exists(folder_ / "s"));
  EXPECT_THROW((void)Client(settings_.address).send({}), Error);
}

TEST_F(HttpTest, ReplacesTheSocketOfADeadServerButNoFile) {
  settings_.address = "unix:" + (folder_ / "s").string();
  const int dead = ::socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  (folder_ / "s").string().copy(address.sun_path, sizeof address.sun_path - 1);
  ASSERT_EQ(::bind(dead, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  ::close(dead);
  const auto server = serve(settings_, callbacks_);
  EXPECT_EQ(Client(settings_.address).send({}).status, 200);
  std::ofstream(folder_ / "file") << "mine";
  settings_.address = "unix:" + (folder_ / "file").string();
  EXPECT_THROW((void)serve(settings_, callbacks_), Error);
  EXPECT_TRUE(std::filesystem::is_regular_file(folder_ / "file"));
}

TEST_F(HttpTest, SpeaksTlsToThoseWhoTrustIt) {
  const std::string command =
      "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 "
      "-subj /CN=localhost -addext subjectAltName=IP:127.0.0.1,DNS:localhost -keyout " +
      (folder_ / "key").string() + " -out " + (folder_ / "cert").string() + " 2>/dev/null";
  ASSERT_EQ(std::system(command.c_str()), 0);
  settings_.certificate = folder_ / "cert";
  settings_.key = folder_ / "key";
  const auto server = serve(settings_, callbacks_);
  ClientSettings trusting;
  trusting.ca_file = folder_ / "cert";
  EXPECT_EQ(Client("https://" + server->address(), trusting).send({}).body, "GET / ");
  EXPECT_THROW((void)Client("https://" + server->address()).send({}), Error);
  EXPECT_THAT(raw(*server, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
              ::testing::Not(HasSubstr("200")));
  settings_.key = folder_ / "cert";
  EXPECT_THROW((void)serve(settings_, callbacks_), Error);
}

TEST_F(HttpTest, RefusesWhatIsTooLargeOrNoRequest) {
  settings_.max_body_bytes = 1000;
  const auto server = serve(settings_, callbacks_);
  EXPECT_THAT(raw(*server, "POST / HTTP/1.1\r\nContent-Length: 1001\r\n\r\n"),
              StartsWith("HTTP/1.1 413"));
  EXPECT_THAT(raw(*server, "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n7d0\r\n" +
                               std::string(2000, 'x') + "\r\n0\r\n\r\n"),
              StartsWith("HTTP/1.1 413"));
  EXPECT_THAT(raw(*server, "GET / HTTP/1.1\r\nX: " + std::string(20'000, 'x') + "\r\n\r\n"),
              StartsWith("HTTP/1.1 431"));
  EXPECT_THAT(raw(*server, "GET /%zz HTTP/1.1\r\n\r\n"), StartsWith("HTTP/1.1 400"));
  EXPECT_THAT(raw(*server, std::string("\0\1\2\3\r\n\r\n", 8)), StartsWith("HTTP/1.1 400"));
  EXPECT_EQ(Client("http://" + server->address()).send({}).status, 200);
}

TEST_F(HttpTest, CutsOffWhoIsSlow) {
  settings_.header_time = milliseconds(100);
  settings_.body_time = milliseconds(100);
  settings_.idle_time = milliseconds(100);
  const auto server = serve(settings_, callbacks_);
  EXPECT_EQ(raw(*server, "GET / HT", false), "");
  EXPECT_EQ(raw(*server, "POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\nabc", false), "");
  EXPECT_THAT(raw(*server, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", false),
              HasSubstr("200 OK"));
}

TEST_F(HttpTest, HandsAnUploadToAFileAfterAskingWhetherItMay) {
  const auto target = folder_ / "upload";
  const auto kept = folder_ / "kept";
  std::atomic<bool> keeps = true;
  callbacks_.answer = [&](const Request& request) {
    if (keeps && !request.upload.empty()) std::filesystem::rename(request.upload, kept);
    return Response{};
  };
  callbacks_.admit = [&](const Request& head) -> Admission {
    if (head.header("authorization") != "Bearer right") {
      Response refused;
      refused.status = 401;
      return refused;
    }
    if (head.method == "PUT") return Upload{target, 3'000'000};
    return {};
  };
  const auto server = serve(settings_, callbacks_);
  const auto source = folder_ / "source";
  const std::string content(2'500'000, 'u');
  std::ofstream(source) << content;
  Request put;
  put.method = "PUT";
  EXPECT_EQ(Client("http://" + server->address()).send_file(put, source).status, 401);
  ClientSettings with_token;
  with_token.token = "right";
  std::uint64_t told = 0;
  const Client client("http://" + server->address(), with_token);
  EXPECT_EQ(client.send_file(put, source, [&](std::uint64_t n) { told = n; }).status, 200);
  EXPECT_GE(told, content.size());
  std::ifstream stored(kept);
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(stored), {}), content);
  keeps = false;
  EXPECT_EQ(client.send_file(put, source).status, 200);
  EXPECT_EQ(client.send({}).status, 200);
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (std::filesystem::exists(target) && std::chrono::steady_clock::now() < deadline)
    std::this_thread::yield();
  EXPECT_FALSE(std::filesystem::exists(target)) << "nobody has taken it";
  std::ofstream(source) << std::string(3'000'001, 'u');
  EXPECT_EQ(client.send_file(put, source).status, 413);
  EXPECT_EQ(client.send({}).status, 200);
}

TEST_F(HttpTest, SendsEventsUntilTheClientGoes) {
  std::atomic<int> asked = 0;
  callbacks_.answer = [&](const Request&) {
    Response response;
    response.events = EventStream{milliseconds(1), [&] {
                                    const int n = ++asked;
                                    return n == 2 ? std::string() : std::to_string(n) + "\nsecond";
                                  }};
    return response;
  };
  const auto server = serve(settings_, callbacks_);
  std::vector<std::string> seen;
  const Response head =
      Client("http://" + server->address()).events({}, [&](std::string_view data) {
        seen.emplace_back(data);
        return seen.size() < 3;
      });
  EXPECT_THAT(head.content_type, StartsWith("text/event-stream"));
  EXPECT_THAT(seen, ::testing::ElementsAre("1\nsecond", "3\nsecond", "4\nsecond"));
}

TEST_F(HttpTest, HidesWhatAnAnswerThrew) {
  std::string told;
  callbacks_.answer = [](const Request&) -> Response { throw std::runtime_error("secret"); };
  callbacks_.failed = [&](const Request&, const std::string& error) { told = error; };
  const auto server = serve(settings_, callbacks_);
  const Response response = Client("http://" + server->address()).send({});
  EXPECT_EQ(response.status, 500);
  EXPECT_THAT(response.body, ::testing::Not(HasSubstr("secret")));
  EXPECT_EQ(told, "secret");
}

TEST_F(HttpTest, AnswersToLocalNamesOnly) {
  const auto server = serve(settings_, callbacks_);
  const auto with_host = [&](const std::string& host) {
    return raw(*server, "GET / HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\n\r\n");
  };
  for (const char* local : {"localhost", "localhost:80", "127.0.0.1:8081", "[::1]:80", "[::1]"})
    EXPECT_THAT(with_host(local), StartsWith("HTTP/1.1 200")) << local;
  for (const char* foreign : {"evil.example", "evil.example:8081", "127.0.0.1.evil.example"})
    EXPECT_THAT(with_host(foreign), StartsWith("HTTP/1.1 421")) << foreign;
}

TEST_F(HttpTest, SendsTheAnswerUnderWayBeforeItStops) {
  std::promise<void> asked;
  std::promise<void> go;
  callbacks_.answer = [&](const Request&) {
    asked.set_value();
    go.get_future().wait();
    return Response{};
  };
  auto server = serve(settings_, callbacks_);
  const std::string url = "http://" + server->address();
  auto answer = std::async(std::launch::async, [&] { return Client(url).send({}).status; });
  asked.get_future().wait();
  auto stopped = std::async(std::launch::async, [&] { server.reset(); });
  go.set_value();
  EXPECT_EQ(answer.get(), 200);
}

TEST_F(HttpTest, TakesTheNextFreePort) {
  const auto first = serve(settings_, callbacks_);
  settings_.address = first->address();
  EXPECT_THROW((void)serve(settings_, callbacks_), Error);
  settings_.ports_tried = 10;
  EXPECT_NE(serve(settings_, callbacks_)->address(), first->address());
}

TEST(Address, IsReadOrRefused) {
  EXPECT_TRUE(is_loopback("127.0.0.1:80"));
  EXPECT_TRUE(is_loopback("[::1]:80"));
  EXPECT_TRUE(is_loopback("localhost:80"));
  EXPECT_TRUE(is_loopback("unix:/x"));
  EXPECT_FALSE(is_loopback("0.0.0.0:80"));
  for (const char* wrong : {"", "80", "host:80", "127.0.0.1:x", "127.0.0.1:99999", "unix:"})
    EXPECT_THROW((void)is_loopback(wrong), Error) << wrong;
  for (const char* wrong : {"", "ftp://x", "http://", "http://a:b", "http://user:pw@h:1", "unix:x"})
    EXPECT_THROW(Client{wrong}, Error) << wrong;
}

}  // namespace
}  // namespace tidemill::http
