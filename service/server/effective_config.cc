#include "service/server/effective_config.h"

#include <atomic>

#include <yaml-cpp/yaml.h>

#include "engine/base/error.h"

namespace tidemill::server {
namespace {

constexpr auto kTime = std::chrono::seconds(20);
constexpr const char* kNoSettings =
    "what the binary prints with --print-config are not a job's settings; is it a Tidemill job?";
// A program that hangs holds one of the threads that answer.
constexpr int kAskedAtOnce = 4;

class OneOfFew {
 public:
  OneOfFew() {
    if (++count() <= kAskedAtOnce) return;
    --count();
    throw Error(ErrorCode::kIo, "too many programs are being asked at this moment");
  }
  ~OneOfFew() { --count(); }
  OneOfFew(const OneOfFew&) = delete;
  OneOfFew& operator=(const OneOfFew&) = delete;

 private:
  static std::atomic<int>& count() {
    static std::atomic<int> asked{0};
    return asked;
  }
};

std::string last_line(std::string text) {
  while (text.ends_with('\n')) text.pop_back();
  const std::size_t newline = text.rfind('\n');
  if (newline != std::string::npos) text.erase(0, newline + 1);
  if (text.starts_with("error: ")) text.erase(0, 7);
  return text.substr(0, 2000);
}

std::string why_not(const Told& told) {
  if (told.exit < 0)
    return "the binary did not print its settings (--print-config) within 20 s; is it a Tidemill "
           "job?";
  const std::string words = last_line(told.err.empty() ? told.out : told.err);
  if (!words.empty()) return words;
  return "the binary did not print its settings (--print-config): exit " +
         std::to_string(told.exit);
}

}  // namespace

std::vector<Setting> parse_settings(std::string_view printed) {
  std::vector<Setting> settings;
  while (!printed.empty()) {
    const std::size_t newline = std::min(printed.find('\n'), printed.size());
    const std::string_view line = printed.substr(0, newline);
    printed.remove_prefix(std::min(newline + 1, printed.size()));
    const std::size_t colon = line.find(": ");
    const std::size_t comment = line.rfind("  # ");
    if (colon == std::string_view::npos || comment == std::string_view::npos || comment < colon + 1)
      continue;
    std::string value(line.substr(colon + 2, comment - std::min(comment, colon + 2)));
    try {
      const YAML::Node node = YAML::Load(value);
      value = node.IsScalar() ? node.Scalar() : value;
    } catch (const YAML::Exception&) {  // then as it stands
    }
    settings.push_back(
        {std::string(line.substr(0, colon)), value, std::string(line.substr(comment + 4))});
  }
  return settings;
}

JobSettings printed_settings(const std::filesystem::path& program, std::vector<std::string> command,
                             Variables variables) {
  command.emplace_back("--print-config");
  const Told told = ask_program(program, "", "", command, kTime, variables);
  if (told.exit != 0) throw Error(ErrorCode::kConfig, why_not(told));
  JobSettings job;
  std::string replay;
  for (const Setting& setting : parse_settings(told.out)) {
    if (setting.key == "job") job.name = setting.value;
    if (setting.key == "as") replay = setting.value;
    if (setting.key == "checkpoint.dir") job.checkpoint_dir = setting.value;
    if (setting.key == "log.format") job.log_format = setting.value;
  }
  if (job.name.empty() || job.checkpoint_dir.empty()) throw Error(ErrorCode::kConfig, kNoSettings);
  if (!replay.empty()) job.name += "." + replay;
  return job;
}

std::optional<std::string> check_upgrade(const ConfigQuestion& question,
                                         const std::string& checkpoint) {
  const OneOfFew permitted;
  std::vector<std::string> command = {question.binary.string(), "--config",
                                      question.config_file.string(), "--set",
                                      "job=" + question.job};
  if (!question.replay.empty()) command.insert(command.end(), {"--as", question.replay});
  command.insert(command.end(), question.args.begin(), question.args.end());
  command.push_back("--check-upgrade=" + checkpoint);
  const Told told = ask_program(question.program, question.user, question.folder, command, kTime);
  if (told.out.starts_with('{') && told.out.ends_with("}\n")) return told.out;
  if (told.err.find("unknown argument: --check-upgrade") != std::string::npos) return std::nullopt;
  const std::string words = last_line(told.err.empty() ? told.out : told.err);
  throw Error(ErrorCode::kRefused,
              told.exit < 0
                  ? "the binary did not say within 20 s whether it can go on from the checkpoint "
                    "(--check-upgrade), or broke off" +
                        (words.empty() ? "" : ": " + words)
                  : "the binary cannot say whether it can go on from the checkpoint: " +
                        (words.empty() ? "exit " + std::to_string(told.exit) : words));
}

CheckedConfig check_config(const ConfigQuestion& question) {
  std::vector<std::string> command = {question.binary.string(), "--config",
                                      question.config_file.string()};
  command.insert(command.end(), question.args.begin(), question.args.end());
  command.emplace_back("--print-config");
  const Told told = ask_program(question.program, question.user, question.folder, command, kTime);
  if (told.exit != 0) throw Error(ErrorCode::kRefused, why_not(told));
  CheckedConfig checked;
  checked.printed = told.out;
  std::string folder;
  bool names_job = false;
  for (const Setting& setting : parse_settings(told.out)) {
    if (setting.key == "checkpoint.dir") folder = setting.value;
    if (setting.key != "job") continue;
    names_job = true;
    if (setting.source != "default" && setting.value != question.job)
      throw Error(ErrorCode::kRefused, "the settings call the job " + setting.value + " (" +
                                           setting.source + "), it is submitted as " +
                                           question.job + "; give both one name");
  }
  if (!names_job || folder.empty()) throw Error(ErrorCode::kRefused, kNoSettings);
  checked.checkpoint_folder =
      question.folder / folder /
      (question.replay.empty() ? question.job : question.job + "." + question.replay);
  checked.checkpoint_folder = checked.checkpoint_folder.lexically_normal();
  return checked;
}

}  // namespace tidemill::server
