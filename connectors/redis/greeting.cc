#include "connectors/redis/greeting.h"

#include <charconv>
#include <optional>

#include "connectors/redis/command.h"
#include "connectors/redis/key_move.h"
#include "connectors/redis/reply_error.h"
#include "engine/base/error.h"
#include "engine/base/fault.h"

namespace tidemill {
namespace {

// A connection's name may hold printable ASCII without blanks; `/` and `@` part our names.
std::string plain(std::string_view text) {
  std::string name(text);
  for (char& c : name) {
    if (c <= ' ' || c > '~' || c == '/' || c == '@') c = '_';
  }
  return name;
}

std::string name_prefix(const RedisWriterName& name) {
  return "tidemill/" + plain(name.job) + '/' + plain(name.sink) + '/';
}

std::string full_name(const RedisWriterName& name) {
  return name_prefix(name) + std::to_string(name.subtask) + '@' + std::to_string(name.epoch);
}

// The value behind ` key=` in a line of CLIENT LIST, or behind `key:` in INFO.
std::string_view value_of(std::string_view text, std::string_view key, std::string_view ends) {
  const std::size_t at = text.find(key);
  if (at == std::string_view::npos) return {};
  text.remove_prefix(at + key.size());
  return text.substr(0, text.find_first_of(ends));
}

template <class N>
std::optional<N> number_of(std::string_view text) {
  N value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace

std::vector<std::string> redis_connections_of(std::string_view list, const std::string& job) {
  const std::string prefix = "tidemill/" + plain(job) + '/';
  std::vector<std::string> ids;
  while (!list.empty()) {
    const std::string_view line = list.substr(0, list.find('\n'));
    list.remove_prefix(std::min(list.size(), line.size() + 1));
    if (value_of(line, " name=", " \r").starts_with(prefix))
      ids.emplace_back(value_of(line, "id=", " "));
  }
  return ids;
}

RedisGreeting::RedisGreeting(const RedisAddress& address, const RedisWriterName* name,
                             std::string_view script)
    : address_(address), name_(name), script_(script) {}

void RedisGreeting::ask(std::string& out, Asked what,
                        std::initializer_list<std::string_view> command) {
  append_redis_command(out, command);
  asked_.push_back(what);
}

void RedisGreeting::begin(std::string& out) {
  if (!address_.user.empty()) {
    ask(out, Asked::kLogin, {"AUTH", address_.user, address_.password});
  } else if (!address_.password.empty()) {
    ask(out, Asked::kLogin, {"AUTH", address_.password});
  }
  if (address_.database != 0)
    ask(out, Asked::kDatabase, {"SELECT", std::to_string(address_.database)});
  ask(out, Asked::kInfo, {"INFO", "server"});
  if (name_ != nullptr) ask(out, Asked::kOthers, {"CLIENT", "LIST"});
}

RedisGreeting::Step RedisGreeting::on_reply(const RedisReply& reply, std::string& out) {
  TM_CHECK(answered_ < asked_.size());
  const Asked what = asked_[answered_++];
  if (reply.is_error() && kind_of_redis_error(reply.text) == RedisErrorKind::kTransient) {
    reason_ = reply.text;
    return Step::kRetry;
  }
  switch (what) {
    case Asked::kLogin:
      if (reply.is_error()) return refuse_or_retry("login", reply.text);
      break;
    case Asked::kDatabase:
      if (reply.is_error())
        return refuse_or_retry("database " + std::to_string(address_.database), reply.text);
      break;
    case Asked::kInfo:
      // The first command of a connection without login: here it shows that one is needed. A user
      // may be denied INFO itself.
      if (reply.is_error() && reply.text.starts_with("NOAUTH"))
        return refuse_or_retry("connection", reply.text);
      run_id_ = value_of(reply.text, "run_id:", "\r\n");
      break;
    case Asked::kOthers:
      if (reply.is_error()) {
        is_fenced_ = false;
      } else {
        find_others(reply.text);
      }
      break;
    case Asked::kKill:
    case Asked::kName:
      // "No such client" is as good as killed.
      if (reply.is_error() && !reply.text.starts_with("ERR No such client")) is_fenced_ = false;
      break;
    case Asked::kFence:
      if (!reply.is_error()) find_fence(reply.text);  // a user may be denied the key
      break;
    case Asked::kScript:
      if (reply.is_error())
        return refuse_or_retry("script (needed for guard; `guard: none` does without)", reply.text);
      script_sha_ = reply.text;
      break;
  }
  if (answered_ < asked_.size()) return Step::kMore;
  const bool was_second = what == Asked::kFence || what == Asked::kScript;
  if (!was_second) ask_second_round(out);
  return answered_ < asked_.size() ? Step::kMore : Step::kDone;
}

RedisGreeting::Step RedisGreeting::refuse_or_retry(const std::string& what,
                                                   const std::string& error) {
  const std::string_view advice = advice_for_redis_error(error);
  throw Error(ErrorCode::kConfig, "Redis refuses our " + what + ": " + address_.text() + ": " +
                                      error + (advice.empty() ? "" : "; " + std::string(advice)));
}

void RedisGreeting::ask_second_round(std::string& out) {
  for (const std::string& id : others_) ask(out, Asked::kKill, {"CLIENT", "KILL", "ID", id});
  if (name_ != nullptr) {
    ask(out, Asked::kName, {"CLIENT", "SETNAME", full_name(*name_)});
    ask(out, Asked::kFence, {"GET", redis_fence_key(name_->job)});
  }
  if (!script_.empty()) ask(out, Asked::kScript, {"SCRIPT", "LOAD", script_});
}

void RedisGreeting::find_fence(std::string_view text) const {
  const auto since = number_of<std::uint64_t>(text);
  if (!since || *since <= name_->epoch || TM_BROKEN("no_redis_fence")) return;
  throw Error(ErrorCode::kFenced, "another version of this job has taken over its Redis keys: " +
                                      redis_fence_key(name_->job) + " is " + std::string(text) +
                                      ", we are " + full_name(*name_) + "; stop this instance");
}

void RedisGreeting::find_others(std::string_view list) {
  const std::string prefix = name_prefix(*name_);
  while (!list.empty()) {
    const std::string_view line = list.substr(0, list.find('\n'));
    list.remove_prefix(std::min(list.size(), line.size() + 1));
    std::string_view name = value_of(line, " name=", " \r");
    if (!name.starts_with(prefix)) continue;
    name.remove_prefix(prefix.size());
    const std::size_t at = name.find('@');
    const auto subtask = number_of<int>(name.substr(0, at));
    const auto epoch =
        at == std::string_view::npos ? std::nullopt : number_of<std::uint64_t>(name.substr(at + 1));
    if (!subtask || !epoch) continue;
    if (*epoch > name_->epoch) {
      throw Error(ErrorCode::kFenced, "a younger instance of this job writes to Redis: " + prefix +
                                          std::string(name) + ", we are " + full_name(*name_) +
                                          "; stop one of them");
    }
    if (*epoch < name_->epoch || *subtask == name_->subtask)
      others_.emplace_back(value_of(line, "id=", " "));
  }
}

}  // namespace tidemill
