#include "service/server/command.h"

#include <csignal>
#include <cstdio>
#include <fcntl.h>
#include <filesystem>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>

#include "app/config.h"
#include "app/logging.h"
#include "engine/base/clock.h"
#include "engine/base/error.h"
#include "engine/base/files.h"
#include "engine/base/log.h"
#include "http/server.h"
#include "service/server/api.h"
#include "service/server/promotions.h"

namespace tidemill::server {
namespace {

// Answers may wait for a job: for a savepoint up to a minute.
constexpr int kAnswerThreads = 16;

struct Options {
  std::string dir;
  std::string listen = "127.0.0.1:8090";
  std::string certificate;
  std::string key;
  std::string allow_list;
  double requests_per_second = 200;
  std::string max_upload = "1GiB";
  RestartSettings restarts;
  std::string first_backoff = "1s";
  std::string max_backoff = "60s";
  std::string log_size = "10MiB";
  int logs_kept = 5;
  std::string log_format = "text";
};

std::int64_t milliseconds(const std::string& flag, const std::string& text) {
  const auto duration = parse_duration(text);
  if (!duration || duration->count() < 1)
    throw Error(ErrorCode::kConfig, flag + " is no duration, e.g. 1s: " + text);
  return duration->count();
}

std::uint64_t bytes_of(const std::string& flag, const std::string& text) {
  const auto bytes = parse_bytes(text);
  if (!bytes || *bytes == 0)
    throw Error(ErrorCode::kConfig, flag + " is no size, e.g. 1GiB: " + text);
  return *bytes;
}

// Jobs of other users have to come by.
void make_folders(const ServerFolder& folder) {
  namespace fs = std::filesystem;
  const auto mode = fs::perms(::geteuid() == 0 ? 0711 : 0700);
  for (const fs::path& path :
       {folder.path, folder.binaries(), folder.path / "jobs", folder.removed()}) {
    std::error_code error;
    fs::create_directories(path, error);
    if (!error) fs::permissions(path, path == folder.removed() ? fs::perms(0700) : mode, error);
    if (error)
      throw Error(ErrorCode::kConfig,
                  "the server's folder cannot be made: " + path.string() + ": " + error.message());
  }
}

// One server a folder. Held until the process ends.
void lock_folder(const ServerFolder& folder) {
  const int fd = ::open(folder.lock().c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0)
    throw Error(ErrorCode::kConfig,
                "the server's folder cannot be used: " + folder.lock().string());
  if (::flock(fd, LOCK_EX | LOCK_NB) != 0)
    throw Error(ErrorCode::kRefused, "another server runs on this folder: " + folder.path.string());
}

// Without any token nobody could ask for one.
void make_first_token(const ServerFolder& folder, Store& store) {
  if (!store.tokens().empty()) return;
  const std::string token = new_token();
  ::unlink(folder.admin_token().c_str());
  const int fd =
      ::open(folder.admin_token().c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0)
    throw Error(ErrorCode::kConfig,
                "the first token cannot be written: " + folder.admin_token().string());
  ::close(fd);
  write_file(folder.admin_token(), token + "\n");
  store.add_token("admin", Role::kAdmin, token, SystemClock().processing_time().ms);
  std::printf("the first token, of an admin, is in %s\n", folder.admin_token().c_str());
  std::printf(
      "others are made by: tidemill token create --dir %s --role viewer|operator|admin --name "
      "NAME\n",
      folder.path.c_str());
}

void check_listen(const Options& options) {
  if (options.certificate.empty() != options.key.empty())
    throw Error(ErrorCode::kConfig, "--tls-certificate and --tls-key belong together");
  if (!http::is_loopback(options.listen) && options.certificate.empty())
    throw Error(ErrorCode::kConfig,
                "--listen: tokens would cross the network in clear: " + options.listen +
                    "; give --tls-certificate and --tls-key, or listen on 127.0.0.1");
}

int serve(const Options& options) {
  FleetSettings settings;
  settings.folder.path = std::filesystem::absolute(options.dir).lexically_normal();
  settings.program = std::filesystem::read_symlink("/proc/self/exe");
  settings.restarts = options.restarts;
  settings.restarts.first_backoff_ms = milliseconds("--restart-backoff", options.first_backoff);
  settings.restarts.max_backoff_ms = milliseconds("--restart-max-backoff", options.max_backoff);
  settings.log_bytes = bytes_of("--log-size", options.log_size);
  settings.logs_kept = options.logs_kept;
  check_listen(options);
  if (!options.allow_list.empty() && ::access(options.allow_list.c_str(), R_OK) != 0)
    throw Error(ErrorCode::kConfig, "--allow-list cannot be read: " + options.allow_list);

  // Before any thread: all of them leave these signals to this one.
  sigset_t ends;
  sigemptyset(&ends);
  sigaddset(&ends, SIGTERM);
  sigaddset(&ends, SIGINT);
  ::pthread_sigmask(SIG_BLOCK, &ends, nullptr);
  std::signal(SIGPIPE, SIG_IGN);

  make_folders(settings.folder);
  lock_folder(settings.folder);
  const ServerFolder folder = settings.folder;
  Store store(folder.store());
  make_first_token(folder, store);
  Binaries binaries(folder, options.allow_list, ::geteuid() == 0);
  binaries.remove_unfinished();
  Fleet fleet(std::move(settings), store, ask_over_socket());
  Service service{store, fleet, binaries,
                  static_cast<std::int64_t>(bytes_of("--max-upload", options.max_upload)),
                  SystemClock().processing_time().ms};
  Promotions promotions(service);
  service.promotions = &promotions;
  Api api({options.requests_per_second, 2 * options.requests_per_second}, service);
  http::ServerSettings listen;
  listen.address = options.listen;
  listen.certificate = options.certificate;
  listen.key = options.key;
  listen.threads = kAnswerThreads;
  const auto server = http::serve(listen, api.handler());
  std::printf("tidemill server: %s://%s\n", options.certificate.empty() ? "http" : "https",
              server->address().c_str());
  std::fflush(stdout);
  int signal = 0;
  ::sigwait(&ends, &signal);
  log(LogLevel::kInfo, "the server ends; its jobs go on");
  return 0;
}

// Runs what `words` ask for; CLI11 wants them in reverse.
template <class Run>
int parse_and_run(CLI::App& app, std::vector<std::string> words, const Run& run) {
  std::reverse(words.begin(), words.end());
  try {
    app.parse(words);
  } catch (const CLI::CallForHelp&) {
    std::printf("%s", app.help().c_str());
    return 0;
  } catch (const CLI::ParseError& error) {
    std::fprintf(stderr, "error: %s; --help lists the flags\n", error.what());
    return 2;
  }
  return run();
}

}  // namespace

int server_command(const std::vector<std::string>& words) {
  Options options;
  CLI::App app(
      "Supervises jobs on this machine: starts them, restarts them from their last checkpoint, and "
      "answers for them (REST, page, metrics).",
      "tidemill server");
  app.add_option("--dir", options.dir, "the server's folder")->required();
  app.add_option("--listen", options.listen, "ADDR:PORT; other than loopback only with TLS")
      ->capture_default_str();
  app.add_option("--tls-certificate", options.certificate,
                 "PEM file: the certificate and its chain");
  app.add_option("--tls-key", options.key, "PEM file: its key");
  app.add_option("--allow-list", options.allow_list,
                 "file of SHA-256s: only these binaries are taken");
  app.add_option("--max-upload", options.max_upload, "largest binary")->capture_default_str();
  app.add_option("--requests-per-second", options.requests_per_second,
                 "of one token, on average; twice as many at once")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  app.add_option("--restart-backoff", options.first_backoff,
                 "before a job's first restart; doubles")
      ->capture_default_str();
  app.add_option("--restart-max-backoff", options.max_backoff, "longest pause before a restart")
      ->capture_default_str();
  app.add_option("--restart-limit", options.restarts.limit,
                 "restarts without a checkpoint in between before a job stays down")
      ->capture_default_str()
      ->check(CLI::Range(1, 1'000'000));
  app.add_option("--log-size", options.log_size, "a job's log is rotated at this size")
      ->capture_default_str();
  app.add_option("--logs-kept", options.logs_kept, "rotated logs that are kept")
      ->capture_default_str()
      ->check(CLI::Range(0, 1000));
  app.add_option("--log-format", options.log_format, "text or json")->capture_default_str();
  return parse_and_run(app, words, [&] {
    set_up_logging("info", options.log_format);
    return serve(options);
  });
}

int token_command(const std::vector<std::string>& words) {
  std::string dir;
  std::string name;
  std::string role;
  CLI::App app("Tokens of a server, on its own machine.", "tidemill token");
  app.require_subcommand(1);
  CLI::App* create = app.add_subcommand("create", "make a token and print it, once");
  CLI::App* list = app.add_subcommand("list", "names and roles");
  CLI::App* remove = app.add_subcommand("delete", "a token that is not to be taken any more");
  for (CLI::App* sub : {create, list, remove})
    sub->add_option("--dir", dir, "the server's folder")->required();
  for (CLI::App* sub : {create, remove}) sub->add_option("--name", name, "whose it is")->required();
  create->add_option("--role", role, "viewer, operator or admin")->required();
  return parse_and_run(app, words, [&] {
    const ServerFolder folder{dir};
    if (!std::filesystem::exists(folder.store()))
      throw Error(ErrorCode::kConfig, "there is no server's folder at " + dir);
    Store store(folder.store());
    AuditRow entry;
    entry.at_ms = SystemClock().processing_time().ms;
    entry.who = "uid " + std::to_string(::geteuid());
    entry.role = "admin";
    entry.peer = "this machine";
    if (create->parsed()) {
      const auto parsed = parse_role(role);
      if (!parsed)
        throw Error(ErrorCode::kConfig, "--role is none of viewer, operator, admin: " + role);
      if (!is_job_name(name))
        throw Error(ErrorCode::kConfig,
                    "--name has 1 to 64 letters, digits, _, - and . only: " + name);
      const std::string token = new_token();
      store.add_token(name, *parsed, token, entry.at_ms);
      entry.action = "token create " + name + " " + role;
      entry.status = 201;
      store.begin_audit(entry);
      std::printf("%s\n", token.c_str());
    } else if (remove->parsed()) {
      if (!store.remove_token(name)) throw Error(ErrorCode::kConfig, "there is no token " + name);
      entry.action = "token delete " + name;
      entry.status = 200;
      store.begin_audit(entry);
    } else {
      for (const TokenRow& row : store.tokens())
        std::printf("%-20s %s\n", row.name.c_str(), std::string(name_of(row.role)).c_str());
    }
    return 0;
  });
}

}  // namespace tidemill::server
