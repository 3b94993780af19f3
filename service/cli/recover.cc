// For a job of a server, or a binary on this machine. `tidemill recover`: what a start would do,
// which choices there are if it is refused, and a start with one of them. `tidemill txn`: what open
// transactions hold back, and ending one.
#include <ostream>

#include "connectors/formats/json_writer.h"
#include "engine/base/error.h"
#include "service/cli/calls.h"
#include "service/cli/connection.h"
#include "service/cli/table.h"

namespace tidemill::cli {
namespace {

constexpr const char* kChoices[] = {"--accept-loss", "--assume-committed", "--restore",
                                    "--drop-state", "--rename-state"};

// As the job's own flags, one word each.
std::vector<std::string> chosen_flags(const Invocation& invocation) {
  std::vector<std::string> flags;
  for (const char* name : kChoices) {
    const auto values = invocation.given.find(name);
    if (values == invocation.given.end()) continue;
    for (const std::string& value : values->second)
      flags.push_back(std::string(name) + "=" + value);
  }
  if (invocation.has("--accept-duplicates")) flags.emplace_back("--accept-duplicates");
  return flags;
}

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += " " + word;
  return text;
}

// A job of a server, or a binary on this machine.
class Target {
 public:
  explicit Target(const Invocation& invocation) : invocation_(invocation) {
    is_here_ = invocation.has("--binary");
    if (is_here_ == invocation.has("JOB"))
      throw Error(ErrorCode::kConfig,
                  "give JOB of a server, or --binary FILE (and --config FILE) of a job "
                  "without one; a folder of checkpoints alone says nothing of the commit record "
                  "and the input");
    if (!is_here_) return;
    command_ = {invocation.text("--binary")};
    if (invocation.has("--config"))
      command_.insert(command_.end(), {"--config", invocation.text("--config")});
    if (const auto args = invocation.given.find("--arg"); args != invocation.given.end())
      command_.insert(command_.end(), args->second.begin(), args->second.end());
  }

  [[nodiscard]] Reply dry_start(const std::vector<std::string>& once) const {
    if (!is_here_) {
      const Connection connection(invocation_);
      return connection.send("POST", connection.job() + "/dry-start", body(once));
    }
    std::vector<std::string> command = command_;
    command.insert(command.end(), once.begin(), once.end());
    std::string text = invocation_.local.dry_start(command);
    auto answer = Answer::parse(text);
    if (!answer) throw CallFailed("the binary's answer is no JSON", "is it a Tidemill job?", 1);
    return {std::move(text), *answer};
  }

  [[nodiscard]] Reply transactions(const std::string& what) const {
    if (!is_here_) {
      const Connection connection(invocation_);
      std::string text;
      JsonWriter(text).begin_object().field("action", what).end_object();
      return connection.send("POST", connection.job() + "/transactions", std::move(text));
    }
    std::string text = invocation_.local.transactions(command_, what);
    auto answer = Answer::parse(text);
    if (!answer) throw CallFailed("the binary's answer is no JSON", "is it a Tidemill job?", 1);
    return {std::move(text), *answer};
  }

  // Returns once the server has taken it, or when the job here has ended.
  void start(const std::vector<std::string>& once) const {
    if (is_here_) {
      const int exit_code = invocation_.local.run(command_, once);
      if (exit_code != 0)
        throw CallFailed("the job ended with exit " + std::to_string(exit_code), "", exit_code);
      return;
    }
    const Connection connection(invocation_);
    (void)connection.send("POST", connection.job() + "/start", body(once));
    invocation_.out << printable(invocation_.text("JOB")) << ": is being started with"
                    << printable(joined(once)) << ", for this start only\n";
  }

  [[nodiscard]] std::string command(const std::string& verb) const {
    if (!is_here_) return "tidemill " + verb + " " + invocation_.text("JOB");
    if (verb == "start") return "tidemill run" + joined(command_);
    std::string text = "tidemill recover --binary " + command_.front();
    if (invocation_.has("--config")) text += " --config " + invocation_.text("--config");
    if (const auto args = invocation_.given.find("--arg"); args != invocation_.given.end()) {
      for (const std::string& arg : args->second) text += " --arg=" + arg;
    }
    return text;
  }

 private:
  static std::string body(const std::vector<std::string>& once) {
    std::string text;
    JsonWriter json(text);
    json.begin_object().key("once").begin_array();
    for (const std::string& flag : once) json.value(flag);
    json.end_array().end_object();
    return text;
  }

  const Invocation& invocation_;
  bool is_here_ = false;
  std::vector<std::string> command_;
};

class Report {
 public:
  Report(const Invocation& invocation, const Target& target, const Answer& answer)
      : out_(invocation.out), width_(invocation.width), target_(target), answer_(answer) {}

  void print() const {
    if (answer_["starts"].is_true()) {
      line("it would start: ", answer_["begins"].text());
    } else {
      line("it would not start: ", answer_["error"].text());
      const Answer refusal = answer_["refusal"];
      if (!refusal.is_null()) {
        const std::string row = refusal["row"].text();
        line("which refusal: ",
             refusal["id"].text() + (row.empty() ? ""
                                                 : ", row " + row +
                                                       " of the table of failures "
                                                       "(docs/exactly-once.md 4.3)"));
        if (!refusal["mend"].text().empty())
          line("without loss or repetition: ", refusal["mend"].text());
        print_choices(refusal["choices"].list());
      }
    }
    for (const Answer& warning : answer_["warnings"].list()) line("warning: ", warning.text());
  }

 private:
  void line(const std::string& title, const std::string& text) const {
    out_ << title << wrapped(printable(text), width_, 4, title.size()) << "\n";
  }

  void print_choices(const std::vector<Answer>& choices) const {
    if (choices.empty()) {
      out_ << "no flag goes on here: mend what the message names, then start it again\n";
      return;
    }
    out_ << "\nchoices, each for one start (with --dry-run it is only tried):\n";
    for (const Answer& choice : choices) {
      std::string command = target_.command("recover");
      for (const Answer& flag : choice["flags"].list()) command += " " + flag.text();
      out_ << "\n  " << printable(command) << "\n";
      out_ << "    " << wrapped(printable(choice["consequence"].text()), width_, 4, 4) << "\n";
    }
  }

  std::ostream& out_;
  const std::size_t width_;
  const Target& target_;
  const Answer& answer_;
};

// True if the job's own topics are free.
bool print_transactions(const Invocation& invocation, const Reply& reply) {
  Table table({"partition", "of", ">readers end at", ">log ends at", ">offsets held"});
  bool is_free = true;
  bool holds_input = false;
  for (const Answer& held : reply.answer["held"].list()) {
    const bool is_input = held["role"].text() == "input";
    holds_input = holds_input || is_input;
    is_free = is_free && is_input;
    table.add({held["partition"].text(), is_input ? "an input" : "the job's output",
               count_text(held["last_stable_offset"].number()),
               count_text(held["high_watermark"].number()), count_text(held["offsets"].number())});
  }
  if (printed_whole(invocation, reply)) return is_free;
  invocation.out << "transactional id " << printable(reply.answer["transactional_id"].text())
                 << "; the brokers end a transaction that is open for longer than "
                 << duration_text(reply.answer["transaction_timeout_ms"].number()) << "\n";
  if (table.empty()) {
    invocation.out << "no open transaction holds back a partition of its topics\n";
  } else {
    table.print(invocation.out, invocation.width);
  }
  if (holds_input)
    invocation.out << "an input is held by a transaction of its producer: end it there\n";
  return is_free;
}

}  // namespace

namespace calls {

void transactions_status(const Invocation& invocation) {
  (void)print_transactions(invocation, Target(invocation).transactions("status"));
}

void transactions_abort(const Invocation& invocation) {
  const Target target(invocation);
  const Reply reply = target.transactions(invocation.has("--force") ? "force-abort" : "abort");
  if (!print_transactions(invocation, reply))
    throw CallFailed("the job's id was taken, but its topics are still held",
                     "another producer's transaction holds them, or the job runs: look again", 1);
  if (!invocation.has("--json"))
    invocation.out << "whoever had the id is fenced, and what it had open is aborted\n";
}

void recover(const Invocation& invocation) {
  const Target target(invocation);
  const std::vector<std::string> once = chosen_flags(invocation);
  const Reply reply = target.dry_start(once);
  const bool starts = reply.answer["starts"].is_true();
  const bool is_only_told = once.empty() || invocation.has("--dry-run");
  if (!printed_whole(invocation, reply)) Report(invocation, target, reply.answer).print();
  invocation.out.flush();
  if (!starts)
    throw CallFailed(
        once.empty() ? "the job would not start"
                     : "the job would not start with" + joined(once) + ", and nothing was changed",
        "make one of the choices, or mend what is named",
        static_cast<int>(reply.answer["exit"].number().value_or(1)));
  if (!is_only_told) return target.start(once);
  if (invocation.has("--json")) return;
  invocation.out << "nothing was changed; "
                 << (once.empty() ? printable(target.command("start"))
                                  : "the same without --dry-run")
                 << " starts it\n";
}

}  // namespace calls
}  // namespace tidemill::cli
