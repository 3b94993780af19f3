#include "service/server/job_folder.h"

#include <algorithm>
#include <fcntl.h>
#include <fstream>
#include <pwd.h>
#include <unistd.h>

#include <boost/json.hpp>

#include "engine/base/error.h"
#include "engine/base/files.h"

namespace tidemill::server {
namespace json = boost::json;
namespace {

constexpr std::size_t kMaxLineBytes = 16 * 1024;

void write_object(const std::filesystem::path& file, const json::object& object) {
  const std::filesystem::path unfinished = file.string() + ".tmp";
  const std::string text = json::serialize(object) + "\n";
  write_file(unfinished, text);
  std::filesystem::rename(unfinished, file);
}

std::optional<json::object> read_object(const std::filesystem::path& file) {
  std::error_code missing;
  if (!std::filesystem::exists(file, missing)) return std::nullopt;
  std::ifstream in(file, std::ios::binary);
  const std::string text((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  json::error_code error;
  json::value value = json::parse(text, error);
  if (error || !value.is_object()) return std::nullopt;
  return value.get_object();
}

std::optional<std::int64_t> integer(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains({key.data(), key.size()});
  if (value == nullptr || !value->is_int64()) return std::nullopt;
  return value->get_int64();
}

std::string text_of(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains({key.data(), key.size()});
  return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}

void give_to(const std::filesystem::path& path, const std::string& user) {
  if (user.empty()) return;
  const passwd* found = ::getpwnam(user.c_str());
  if (found == nullptr)
    throw Error(ErrorCode::kConfig, "there is no such user on this machine: " + user);
  if (found->pw_uid != ::geteuid() && ::lchown(path.c_str(), found->pw_uid, found->pw_gid) != 0)
    throw Error(ErrorCode::kConfig, "only root can start a job as " + user);
}

}  // namespace

void make_job_folder(const JobFolder& folder, const std::string& user) {
  namespace fs = std::filesystem;
  fs::create_directories(folder.log_folder());
  fs::create_directories(folder.work());
  fs::permissions(folder.path, fs::perms(user.empty() ? 0700 : 0711));
  fs::permissions(folder.log_folder(), fs::perms(0700));
  fs::permissions(folder.work(), fs::perms(0700));
  give_to(folder.work(), user);
}

void write_private(const std::filesystem::path& file, const std::string& content,
                   const std::string& user) {
  const std::filesystem::path unfinished = file.string() + ".tmp";
  ::unlink(unfinished.c_str());
  const int made = ::open(unfinished.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (made >= 0) ::close(made);
  write_file(unfinished, content);
  give_to(unfinished, user);
  std::filesystem::rename(unfinished, file);
}

bool is_job_name(const std::string& name) {
  return !name.empty() && name.size() <= 64 && name.front() != '.' &&
         name.find_first_not_of(
             "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.") ==
             std::string::npos;
}

void write_note(const std::filesystem::path& file, const ProcessNote& note) {
  write_object(file, {{"run", note.run},
                      {"pid", note.pid},
                      {"start_ticks", note.start_ticks},
                      {"boot_id", note.boot_id}});
}

void write_note(const std::filesystem::path& file, const ExitNote& note) {
  json::object object{{"run", note.run}, {"ended_ms", note.ended_ms}, {"cause", note.cause}};
  if (note.exit) object["exit"] = *note.exit;
  if (note.signal) object["signal"] = *note.signal;
  write_object(file, object);
}

std::optional<ProcessNote> read_process_note(const std::filesystem::path& file) {
  const auto object = read_object(file);
  if (!object || !integer(*object, "run") || !integer(*object, "pid")) return std::nullopt;
  return ProcessNote{*integer(*object, "run"), *integer(*object, "pid"),
                     integer(*object, "start_ticks").value_or(0), text_of(*object, "boot_id")};
}

std::optional<ExitNote> read_exit_note(const std::filesystem::path& file) {
  const auto object = read_object(file);
  if (!object || !integer(*object, "run")) return std::nullopt;
  return ExitNote{*integer(*object, "run"), integer(*object, "exit"), integer(*object, "signal"),
                  integer(*object, "ended_ms").value_or(0), text_of(*object, "cause")};
}

std::vector<std::string> last_lines(const std::filesystem::path& log, std::size_t count) {
  std::vector<std::string> newest_first;
  for (int number = 0; newest_first.size() < count; ++number) {
    const std::filesystem::path file =
        number == 0 ? log : std::filesystem::path(log.string() + "." + std::to_string(number));
    std::ifstream in(file, std::ios::binary | std::ios::ate);
    if (!in) break;
    // Backwards by blocks: a log of megabytes costs what its end costs.
    std::streamoff at = in.tellg();
    std::string rest;  // the beginning of what was read, a line that may begin further ahead
    bool is_end = true;
    while (at > 0 && newest_first.size() < count) {
      const std::streamoff size = std::min<std::streamoff>(at, 64 * 1024);
      at -= size;
      std::string block(static_cast<std::size_t>(size), '\0');
      in.seekg(at);
      in.read(block.data(), size);
      block += rest;
      if (is_end && block.ends_with('\n')) block.pop_back();
      is_end = false;
      std::size_t end = block.size();
      while (newest_first.size() < count) {
        const std::size_t newline = end == 0 ? std::string::npos : block.rfind('\n', end - 1);
        if (newline == std::string::npos) break;
        newest_first.push_back(
            block.substr(newline + 1, std::min(end - newline - 1, kMaxLineBytes)));
        end = newline;
      }
      rest = block.substr(0, std::min(end, kMaxLineBytes));
    }
    if (at == 0 && newest_first.size() < count && !is_end) newest_first.push_back(rest);
  }
  std::reverse(newest_first.begin(), newest_first.end());
  return newest_first;
}

}  // namespace tidemill::server
