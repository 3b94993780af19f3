#include "service/server/job_question.h"

#include <boost/json.hpp>

#include "engine/base/error.h"
#include "service/server/log_writer.h"

namespace tidemill::server {
namespace {

// It restores the checkpoint, which may be large, and asks brokers, which may be away.
constexpr auto kDryStartTime = std::chrono::seconds(80);

}  // namespace

std::string ask_dry_start(JobBinaryQuestion question) {
  question.command.emplace_back("--dry-start");
  const Told told = ask_program(question.program, question.user, question.folder, question.command,
                                kDryStartTime, question.variables);
  if (told.exit < 0)
    throw Error(ErrorCode::kIo,
                "the binary has not said within 80 s what a start would do: are the brokers "
                "away, or is the checkpoint very large?");
  boost::json::error_code failure;
  const boost::json::value answer = boost::json::parse(told.out, failure);
  if (!failure && answer.is_object()) return told.out;
  LastWords words;
  words.add(told.err);
  return boost::json::serialize(
      boost::json::object{{"job", nullptr},
                          {"starts", false},
                          {"exit", told.exit},
                          {"begins", nullptr},
                          {"outcome", told.exit == 2 ? "wrong_configuration" : "failed"},
                          {"error", words.cause(false)},
                          {"refusal", nullptr},
                          {"warnings", boost::json::array()},
                          {"committed", nullptr},
                          {"restore_points", boost::json::array()}});
}

std::string ask_transactions(JobBinaryQuestion question, const std::string& what) {
  question.command.insert(question.command.end(), {"--transactions", what});
  const Told told = ask_program(question.program, question.user, question.folder, question.command,
                                kDryStartTime, question.variables);
  if (told.exit == 0) return told.out;
  LastWords words;
  words.add(told.err);
  const std::string cause = words.cause(false);
  throw Error(
      told.exit == 2   ? ErrorCode::kConfig
      : told.exit == 3 ? ErrorCode::kRefused
                       : ErrorCode::kIo,
      told.exit < 0 ? "the binary has not answered within 80 s: are the brokers away?" : cause);
}

}  // namespace tidemill::server
