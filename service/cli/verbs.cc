#include "service/cli/verbs.h"

#include "service/cli/calls.h"

namespace tidemill::cli {
namespace {

using Need = Argument::Need;

const Argument kJob = {"JOB", "", "its name", Need::kRequired};
const Argument kWait = {"--wait", "", "until that is so, and say how it ended"};
const Argument kDuplicates = {"--accept-duplicates", "",
                              "allow a restore that repeats output; the refusal says which"};
const Argument kConfig = {"--config", "FILE", "its settings (YAML)"};
const Argument kStatePlace = {"JOB", "", "a running job, JOB/ID of a checkpoint, or its folder",
                              Need::kRequired};
const Argument kOperator = {"--operator", "NAME", "of this operator only"};
const Argument kState = {"--state", "NAME", "this state of it only"};
const Argument kRestore = {"--restore", "ID", "begin there: latest (what is usual), ID, none"};

const std::vector<Verb>& table() {
  static const std::vector<Verb> all = {
      {"submit",
       "upload a program and run it as a job",
       {{"BINARY", "", "the program", Need::kRequired},
        {"--name", "NAME", "of the job", Need::kRequired},
        {"--config", "FILE", "its settings (YAML)", Need::kRequired},
        kRestore,
        kDuplicates,
        {"--arg", "ARG", "an argument of the program, as --arg=--parallelism=2", Need::kRepeatable},
        {"--memory-limit", "SIZE", "of its process, e.g. 2GiB"},
        {"--user", "USER", "that its process runs as"},
        {"--stopped", "", "do not start it yet"},
        kWait},
       false,
       calls::submit},
      {"list", "all jobs: state, rates, freshness, problems", {}, false, calls::list},
      {"status", "what is wrong with a job, what to do, how it does", {kJob}, true, calls::status},
      {"logs",
       "the end of its log",
       {kJob,
        {"--lines", "N", "so many at most (200; up to 2000)"},
        {"-f", "", "go on with what comes"}},
       true,
       calls::logs},
      {"explain", "its plan: operators, parallelism, exchanges", {kJob}, true, calls::explain},
      {"checkpoints",
       "from where it can be restored, and how the last checkpoints went",
       {kJob},
       true,
       calls::checkpoints},
      {"start", "run a stopped job", {kJob, kWait}, false, calls::start},
      {"stop",
       "checkpoint, then end",
       {kJob,
        {"--drain", "", "end the input first and let everything fire: the job is over"},
        {"--savepoint", "", "with a savepoint, which is kept until deleted"},
        kWait},
       false,
       calls::stop},
      {"cancel", "end now; the last commit stands", {kJob, kWait}, false, calls::cancel},
      {"savepoint",
       "make a checkpoint that is kept until deleted",
       {kJob},
       false,
       calls::savepoint},
      {"restart",
       "stop, then run again from its checkpoint, changed or not",
       {kJob,
        {"--parallelism", "N", "with so many workers"},
        {"--binary", "FILE", "with another program"},
        kConfig,
        kWait},
       false,
       calls::restart},
      {"check-upgrade",
       "whether another program can go on from a checkpoint",
       {{"CHECKPOINT", "", "its folder or a job's; JOB or JOB/ID asks the server", Need::kRequired},
        {"BINARY", "", "the program", Need::kRequired},
        kConfig},
       false,
       calls::check_upgrade},
      {"restore",
       "run again from a checkpoint of your choice",
       {kJob, {"--from", "ID", "see: tidemill checkpoints", Need::kRequired}, kDuplicates, kWait},
       false,
       calls::restore},
      {"delete", "forget a stopped job; its folder is set aside", {kJob}, false, calls::remove},
      {"replay",
       "run a job once more over its past, isolated from it",
       {kJob,
        {"--as", "NAME", "the replay is JOB.NAME", Need::kRequired},
        {"--from-time", "T", "begin with the first records at or after T"},
        {"--until-time", "T", "end there"},
        {"--from-offsets", "O", "earliest, latest, committed or TOPIC:P=N,…"},
        {"--until-offsets", "O", "latest, committed or TOPIC:P=N,…"},
        {"--rate", "R", "at most, e.g. 50MB/s or 20000/s"},
        {"--binary", "FILE", "with another program"},
        kConfig,
        {"--wait", "", "show progress until it has finished"}},
       false,
       calls::replay},
      {"state ls",
       "what state a job or a checkpoint has: types, rows, bytes",
       {kStatePlace, kOperator, kState},
       true,
       calls::state_list},
      {"state get",
       "what is kept of a key",
       {kStatePlace,
        {"--key", "KEY", "text, number, or JSON of a composed key", Need::kRequired},
        kOperator,
        kState},
       true,
       calls::state_get},
      {"state diff",
       "what differs between two checkpoints",
       {{"A", "", "a checkpoint's folder, or JOB/ID on the server's machine", Need::kRequired},
        {"B", "", "another one", Need::kRequired},
        kOperator,
        kState,
        {"--key", "KEY", "of this key only"},
        {"--show", "N", "so many differences of each kind (10)"}},
       false,
       calls::state_diff},
      {"audit",
       "who did what, newest first",
       {{"--limit", "N", "so many entries (100; up to 1000)"}},
       false,
       calls::audit},
      {"token list", "names and roles of tokens", {}, false, calls::tokens},
  };
  return all;
}

const Argument kCommonFlags[] = {
    {"--server", "URL", "TIDEMILL_SERVER, else http://127.0.0.1:8090"},
    {"--token-file", "FILE", "that holds the token; else TIDEMILL_TOKEN_FILE names it"},
    {"--ca-file", "FILE", "PEM of who signed the server's certificate; else the system's"},
    {"--json", "", "print the answer as it came"},
};
const Argument kJobAddress = {"--at", "URL",
                              "ask the job itself, http://127.0.0.1:8081 or unix:PATH"};

}  // namespace

std::span<const Verb> verbs() { return table(); }
std::span<const Argument> common_flags() { return kCommonFlags; }
const Argument& job_address() { return kJobAddress; }

}  // namespace tidemill::cli
