#include "tests/connectors/redis/redis_server.h"

#include <arpa/inet.h>
#include <cstdlib>
#include <fcntl.h>
#include <fstream>
#include <hiredis/hiredis.h>
#include <iterator>
#include <netinet/in.h>
#include <signal.h>
#include <stdexcept>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

namespace tidemill {

bool eventually(const std::function<bool()>& condition, std::chrono::milliseconds limit) {
  const auto deadline = std::chrono::steady_clock::now() + limit;
  while (std::chrono::steady_clock::now() < deadline) {
    if (condition()) return true;
  }
  return condition();
}

std::uint16_t free_port() {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (bind(fd, reinterpret_cast<sockaddr*>(&address), size) != 0 ||
      getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    throw std::runtime_error("no free port");
  }
  close(fd);
  return ntohs(address.sin_port);
}

RedisServer::RedisServer(std::vector<std::string> arguments)
    : arguments_(std::move(arguments)), port_(free_port()) {
  std::string name = (std::filesystem::temp_directory_path() / "tidemill-redis-XXXXXX").string();
  if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("no temporary folder");
  folder_ = name;
  start();
}

RedisServer::~RedisServer() {
  kill();
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

std::string RedisServer::url(const std::string& login) const {
  return "redis://" + login + "127.0.0.1:" + std::to_string(port_);
}

void RedisServer::start() {
  // Arguments of the test come last and so win.
  std::vector<std::string> all = {
      "redis-server",  "--port", std::to_string(port_), "--bind", "127.0.0.1",
      "--save",        "",       "--appendonly",        "no",     "--dir",
      folder_.string()};
  all.insert(all.end(), arguments_.begin(), arguments_.end());
  std::vector<char*> argv;
  for (std::string& argument : all) argv.push_back(argument.data());
  argv.push_back(nullptr);
  const std::string log = (folder_ / "log").string();
  child_ = fork();
  if (child_ == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);  // never outlive the test
    const int fd = open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    dup2(fd, 1);
    dup2(fd, 2);
    execvp(argv[0], argv.data());
    _exit(127);
  }
  if (eventually([this] { return answers(); })) return;
  std::ifstream in(log);
  const std::string said{std::istreambuf_iterator<char>(in), {}};
  kill();
  throw std::runtime_error("redis-server does not answer (is it installed?): " + said);
}

bool RedisServer::answers() const {
  const timeval timeout{1, 0};
  redisContext* context = redisConnectWithTimeout("127.0.0.1", port_, timeout);
  if (context == nullptr || context->err != 0) {
    redisFree(context);
    usleep(2000);
    return false;
  }
  redisSetTimeout(context, timeout);
  auto* reply = static_cast<redisReply*>(redisCommand(context, "PING"));
  // NOAUTH is an answer as well; LOADING is not.
  const bool is_up = reply != nullptr && (reply->type == REDIS_REPLY_STATUS ||
                                          std::string(reply->str).starts_with("NOAUTH"));
  if (reply != nullptr) freeReplyObject(reply);
  redisFree(context);
  return is_up;
}

void RedisServer::kill() {
  if (child_ <= 0) return;
  ::kill(child_, SIGKILL);
  waitpid(child_, nullptr, 0);
  child_ = -1;
}

void RedisServer::freeze() const {
  ::kill(child_, SIGSTOP);
  int status = 0;
  waitpid(child_, &status, WUNTRACED);  // it has stopped
}

void RedisServer::thaw() const { ::kill(child_, SIGCONT); }

PlainClient::PlainClient(std::uint16_t port, const std::string& password) {
  const timeval timeout{20, 0};
  redisContext* context = redisConnectWithTimeout("127.0.0.1", port, timeout);
  context_ = context;
  if (context == nullptr || context->err != 0)
    throw std::runtime_error("no connection of the test's own");
  redisSetTimeout(context, timeout);
  if (!password.empty()) ask({"AUTH", password});
}

PlainClient::~PlainClient() { redisFree(static_cast<redisContext*>(context_)); }

std::optional<std::string> PlainClient::ask(const std::vector<std::string>& command) {
  std::vector<const char*> parts;
  std::vector<std::size_t> sizes;
  for (const std::string& part : command) {
    parts.push_back(part.data());
    sizes.push_back(part.size());
  }
  auto* context = static_cast<redisContext*>(context_);
  auto* reply = static_cast<redisReply*>(
      redisCommandArgv(context, static_cast<int>(parts.size()), parts.data(), sizes.data()));
  if (reply == nullptr) throw std::runtime_error(std::string("no reply: ") + context->errstr);
  const auto text_of = [](const redisReply& r) {
    return r.type == REDIS_REPLY_INTEGER
               ? std::to_string(r.integer)
               : std::string(r.str == nullptr ? "" : r.str, r.str == nullptr ? 0 : r.len);
  };
  std::string text = text_of(*reply);
  for (std::size_t i = 0; i < reply->elements; ++i)
    text += (i == 0 ? "" : " ") + text_of(*reply->element[i]);
  const int type = reply->type;
  freeReplyObject(reply);
  if (type == REDIS_REPLY_ERROR) throw std::runtime_error(text);
  if (type == REDIS_REPLY_NIL) return std::nullopt;
  return text;
}

}  // namespace tidemill
