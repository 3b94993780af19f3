// The verbs against an API with canned answers.
#include <cstdlib>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <mutex>
#include <sstream>

#include "http/server.h"
#include "service/cli/command.h"
#include "service/cli/completion.h"
#include "service/cli/table.h"
#include "service/cli/verbs.h"

namespace tidemill::cli {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

class CliTest : public ::testing::Test {
 protected:
  struct Outcome {
    int exit_code;
    std::string out;
    std::string err;
  };

  CliTest() {
    ::unsetenv("TIDEMILL_SERVER");
    ::unsetenv("TIDEMILL_TOKEN_FILE");
    std::string pattern = ::testing::TempDir() + "cliXXXXXX";
    folder_ = ::mkdtemp(pattern.data());
    http::Callbacks callbacks;
    callbacks.answer = [this](const http::Request& request) {
      const std::lock_guard lock(mutex_);
      const std::string asked = request.method + " " + request.path;
      asked_.push_back(asked + (request.body.size() > 200 ? "" : request.body));
      authorization_ = request.header("authorization");
      const auto canned = canned_.find(asked);
      if (canned == canned_.end())
        return http::Response{404, "application/json", R"({"error":"nothing there","next":""})"};
      http::Response response = canned->second.front();
      if (canned->second.size() > 1) canned->second.erase(canned->second.begin());
      return response;
    };
    server_ = http::serve({}, std::move(callbacks));
  }
  ~CliTest() override {
    server_.reset();
    std::filesystem::remove_all(folder_);
  }

  // The answers to one question, in turn; the last one stays.
  void answer(const std::string& asked, std::vector<std::string> bodies, int status = 200) {
    const std::lock_guard lock(mutex_);
    for (std::string& body : bodies)
      canned_[asked].push_back({status, "application/json", std::move(body)});
  }

  std::string file(const std::string& name, const std::string& text) {
    std::ofstream(folder_ / name) << text;
    return (folder_ / name).string();
  }

  Outcome run(std::vector<std::string> words, bool names_server = true) {
    if (names_server) words.insert(words.end(), {"--server", url()});
    std::ostringstream out;
    std::ostringstream err;
    int looks = 3;
    const int exit_code = cli::run(words, others_, {out, err, width_, [&] { return --looks > 0; }});
    return {exit_code, out.str(), err.str()};
  }

  [[nodiscard]] std::string url() const { return "http://" + server_->address(); }

  std::filesystem::path folder_;
  std::vector<std::string> asked_;
  std::string authorization_;
  std::size_t width_ = 80;
  std::vector<OtherVerb> others_ = {
      {"scenario", "run scenario files",
       [](const std::vector<std::string>& words) { return static_cast<int>(10 + words.size()); }}};

 private:
  std::mutex mutex_;
  std::map<std::string, std::vector<http::Response>> canned_;
  std::unique_ptr<http::Server> server_;
};

constexpr const char* kStatus =
    R"({"job":"features","state":"running","since_ms":1767225600000,"version":"0.1.0","pid":42,
"parallelism":2,"started_ms":1767225600000,"restarts":1,"last_failure":"disk full","replay":null,
"totals":{"events":1234567,"rows":12,"late":3,"bad":0},"rates":{"events_per_s":1234.4,
"rows_per_s":null},"lag_records":17,"watermark_ms":1767225600000,"watermark_holder":{"source":
"events","split":"partition-1","behind_ms":12000,"since_s":30},"checkpoint":{"last_id":"chk-7",
"last_ms":1767225600000,"duration_us":12500,"bytes":2048,"interval_ms":1000},"freshness":[{"output":
"rows","p50_ms":12,"p99_ms":340,"max_ms":1500}],"sources":[],"problems":[{"id":"partition_idle",
"severity":"warning","text":"partition-1 has no data","next":"look at its producer","since_ms":
1767225600000}]})";

TEST_F(CliTest, StatusHasProblemsOnTopAndFitsOnAScreen) {
  answer("GET /api/v1/jobs/features/status", {kStatus});
  const Outcome done = run({"status", "features"});
  EXPECT_EQ(done.exit_code, 0) << done.err;
  EXPECT_THAT(done.out, StartsWith("warning partition_idle: partition-1 has no data (since "));
  EXPECT_THAT(done.out, HasSubstr("\n  next: look at its producer\n"));
  EXPECT_THAT(done.out, HasSubstr("running, since 2026-01-01 00:00:00Z ("));
  EXPECT_THAT(done.out, HasSubstr("restarts    1, last failure: disk full\n"));
  EXPECT_THAT(done.out, HasSubstr("1,234 events/s in, - rows/s out\n"));
  EXPECT_THAT(done.out, HasSubstr("1,234,567 events, 12 rows, 3 late, 0 bad\n"));
  EXPECT_THAT(done.out, HasSubstr("lag         17 records\n"));
  EXPECT_THAT(done.out, HasSubstr("held by events"));
  EXPECT_THAT(done.out, HasSubstr("rows: p50 12 ms, p99 340 ms, max 1.5 s\n"));
  EXPECT_THAT(done.out, HasSubstr("took 12 ms, 2.0 KiB"));
  EXPECT_LE(std::count(done.out.begin(), done.out.end(), '\n'), 24);
  std::istringstream lines(done.out);
  for (std::string line; std::getline(lines, line);) EXPECT_LE(width_of(line), 80U) << line;
}

TEST_F(CliTest, JsonIsTheAnswerUnchanged) {
  const std::string odd = "{\"b\":1.50,  \"a\":[] , \"job\":\"\\u00e9\"}\n";
  answer("GET /api/v1/jobs/features/status", {odd});
  EXPECT_EQ(run({"status", "features", "--json"}).out, odd);
}

TEST_F(CliTest, AJobItselfIsAskedWithoutNameAndToken) {
  answer("GET /api/v1/status", {kStatus});
  ::setenv("TIDEMILL_TOKEN_FILE", file("token", "secret\n").c_str(), 1);
  const Outcome done = run({"status", "--at", url()}, false);
  EXPECT_EQ(done.exit_code, 0) << done.err;
  EXPECT_THAT(done.out, HasSubstr("features"));
  EXPECT_EQ(authorization_, "");
  EXPECT_EQ(run({"status", "features", "--at", url()}, false).exit_code, 2);
}

TEST_F(CliTest, AnAnswerOfAnotherVersionIsShownAsFarAsKnown) {
  answer("GET /api/v1/jobs/features/status", {R"({"state":{"new":1},"problems":7})"});
  const Outcome done = run({"status", "features"});
  EXPECT_EQ(done.exit_code, 0);
  EXPECT_THAT(done.out, HasSubstr("state       -\n"));
}

TEST_F(CliTest, TheTokenIsReadFromItsFileOnly) {
  answer("GET /api/v1/tokens", {R"({"tokens":[{"name":"ann","role":"admin","created_ms":0}]})"});
  const Outcome done = run({"token", "list", "--token-file", file("token", "s3cret\n")});
  EXPECT_EQ(done.exit_code, 0) << done.err;
  EXPECT_EQ(authorization_, "Bearer s3cret");
  EXPECT_THAT(done.out, AllOf(HasSubstr("ann"), HasSubstr("1970-01-01 00:00:00Z")));
  for (const std::string& bad : {file("empty", ""), file("two", "a b"), std::string("/nowhere")}) {
    const Outcome refused = run({"token", "list", "--token-file", bad});
    EXPECT_EQ(refused.exit_code, 2);
    EXPECT_THAT(refused.err, HasSubstr(bad));
  }
}

TEST_F(CliTest, ATokenNeverCrossesTheNetworkInClear) {
  const std::string token = file("token", "s3cret");
  for (const char* url : {"http://example.org:1", "http://127.0.0.1.example.org:1",
                          "http://localhost.example.org", "http://10.0.0.1:8090"}) {
    const Outcome refused = run({"list", "--token-file", token, "--server", url}, false);
    EXPECT_EQ(refused.exit_code, 2);
    EXPECT_THAT(refused.err,
                AllOf(HasSubstr("in clear"), HasSubstr(url), Not(HasSubstr("s3cret"))));
  }
}

TEST_F(CliTest, WhatAnAnswerSaysDecidesTheExitCode) {
  const std::vector<std::pair<int, int>> codes = {{400, 2}, {401, 2}, {403, 2}, {404, 2}, {409, 3},
                                                  {422, 2}, {429, 1}, {500, 1}, {503, 1}};
  for (const auto& [status, code] : codes) {
    const std::string job = "j" + std::to_string(status);
    answer("POST /api/v1/jobs/" + job + "/start", {R"({"error":"what, where","next":"do this"})"},
           status);
    const Outcome done = run({"start", job});
    EXPECT_EQ(done.exit_code, code) << status;
    EXPECT_THAT(done.err, StartsWith("error: what, where (POST http://127.0.0.1:"));
    EXPECT_THAT(done.err, EndsWith(": " + std::to_string(status) + ")\nnext: do this\n"));
    EXPECT_EQ(done.out, "");
  }
}

TEST_F(CliTest, AnErrorWithoutWordsHasANextStepToo) {
  answer("GET /api/v1/jobs", {"<html>"}, 502);
  EXPECT_THAT(run({"list"}).err, AllOf(HasSubstr("502"), HasSubstr("\nnext: ")));
  answer("GET /api/v1/audit", {"<html>"});
  const Outcome done = run({"audit"});
  EXPECT_EQ(done.exit_code, 1);
  EXPECT_THAT(done.err, HasSubstr("no JSON"));
  const Outcome nobody = run({"list", "--server", "http://127.0.0.1:1"}, false);
  EXPECT_EQ(nobody.exit_code, 1);
  EXPECT_THAT(nobody.err, AllOf(HasSubstr("http://127.0.0.1:1"), HasSubstr("tidemill server")));
}

TEST_F(CliTest, ARefusedRestoreSaysWhichFlagAllowsIt) {
  answer("POST /api/v1/jobs/features/restore",
         {R"({"error":"rows come twice","next":"say accept_duplicates: true"})"}, 409);
  const Outcome refused = run({"restore", "features", "--from", "chk-3"});
  EXPECT_EQ(refused.exit_code, 3);
  EXPECT_THAT(refused.err, AllOf(HasSubstr("rows come twice"), HasSubstr("--accept-duplicates")));
  (void)run({"restore", "features", "--from", "chk-3", "--accept-duplicates"});
  EXPECT_THAT(
      asked_,
      ElementsAre(
          R"(POST /api/v1/jobs/features/restore{"from":"chk-3","accept_duplicates":false})",
          R"(POST /api/v1/jobs/features/restore{"from":"chk-3","accept_duplicates":true})"));
}

TEST_F(CliTest, SubmitUploadsThenAsks) {
  width_ = 0;
  answer("PUT /api/v1/binaries", {R"({"sha256":"abc","bytes":7})"}, 201);
  answer("POST /api/v1/jobs", {R"({"name":"features"})"}, 201);
  const Outcome done = run({"submit", file("job", std::string(300, 'x')), "--name", "features",
                            "--config", file("c.yaml", "a: \"1\"\n"), "--arg=--parallelism=2",
                            "--stopped", "--memory-limit", "2GiB"});
  EXPECT_EQ(done.exit_code, 0) << done.err;
  EXPECT_THAT(
      asked_,
      ElementsAre(
          "PUT /api/v1/binaries",
          R"(POST /api/v1/jobs{"name":"features","binary":"abc","config":"a: \"1\"\n","memory_limit":"2GiB","args":["--parallelism=2"],"start":false})"));
}

TEST_F(CliTest, WhatCannotBeReadIsNeverSubmitted) {
  const std::string config = file("c.yaml", "a: 1\n");
  const std::string job = file("job", "x");
  EXPECT_EQ(run({"submit", "/nowhere", "--name", "n", "--config", config}).exit_code, 2);
  EXPECT_EQ(run({"submit", job, "--name", "n", "--config", "/nowhere"}).exit_code, 2);
  EXPECT_EQ(run({"submit", folder_.string(), "--name", "n", "--config", config}).exit_code, 2);
  EXPECT_THAT(asked_, ElementsAre());
}

TEST_F(CliTest, EachWayToStopIsItsOwnCall) {
  for (const char* verb : {"stop", "drain", "cancel"})
    answer(std::string("POST /api/v1/jobs/j/") + verb, {R"({"id":"chk-9"})"}, 202);
  (void)run({"stop", "j"});
  EXPECT_THAT(run({"stop", "j", "--savepoint"}).out, HasSubstr("savepoint chk-9"));
  (void)run({"stop", "--drain", "j"});
  (void)run({"cancel", "j"});
  EXPECT_EQ(run({"stop", "j", "--drain", "--savepoint"}).exit_code, 2);
  EXPECT_THAT(asked_, ElementsAre(R"(POST /api/v1/jobs/j/stop{"mode":"checkpoint"})",
                                  R"(POST /api/v1/jobs/j/stop{"mode":"savepoint"})",
                                  "POST /api/v1/jobs/j/drain{}", "POST /api/v1/jobs/j/cancel{}"));
}

TEST_F(CliTest, AReplayIsWaitedForWithItsProgress) {
  answer("POST /api/v1/jobs/j/replays", {"{}"}, 201);
  answer("GET /api/v1/jobs/j.past/status",
         {R"({"state":"running","replay":{"at_ms":0,"percent":50,"eta_s":30}})",
          R"({"state":"finished","replay":null})"});
  const Outcome done =
      run({"replay", "j", "--as", "past", "--from-time", "T", "--rate", "1MB/s", "--wait"});
  EXPECT_EQ(done.exit_code, 0) << done.err;
  EXPECT_EQ(asked_.front(),
            R"(POST /api/v1/jobs/j/replays{"name":"past","from_time":"T","rate":"1MB/s"})");
  EXPECT_THAT(done.err, HasSubstr("at 1970-01-01 00:00:00Z, 50 %, ready in 30 s"));
  EXPECT_THAT(done.out, EndsWith("j.past is finished\n"));
}

TEST_F(CliTest, APromotionIsShownByPhaseAndSaysHowToRollBack) {
  const auto phase = [](const std::string& name, const std::string& trouble) {
    return R"({"promotions":[{"id":1},{"id":7,"job":"j","replay":"j.new","phase":")" + name +
           R"(","error":)" + trouble + R"(,"savepoint":"9-a","replaced_version":2}]})";
  };
  answer("GET /api/v1/jobs/j.new", {R"({"replay_of":"j"})"});
  answer("POST /api/v1/jobs/j/promote", {R"({"id":7})"}, 202);
  answer("GET /api/v1/promotions",
         {phase("holding", R"("the job has not reached the replay in e:0")"), phase("done", "null"),
          phase("failed", R"("refused")")});
  const Outcome done = run({"promote", "j.new"});
  EXPECT_EQ(done.exit_code, 0) << done.err;
  EXPECT_EQ(asked_[1], R"(POST /api/v1/jobs/j/promote{"replay":"j.new"})");
  EXPECT_THAT(done.out, HasSubstr("(the job has not reached the replay in e:0)\ndone:"));
  EXPECT_THAT(done.out,
              EndsWith("to roll back: tidemill replay j --as before-new --version 2 --restore 9-a, "
                       "then tidemill promote j.before-new\n"));
  const Outcome failed = run({"promote", "j.new"});
  EXPECT_EQ(failed.exit_code, 1);
  EXPECT_THAT(failed.err, HasSubstr("j.new was not promoted: refused"));
  answer("GET /api/v1/jobs/j", {R"({"replay_of":null})"});
  EXPECT_THAT(run({"promote", "j"}).err, HasSubstr("j is no replay"));
}

TEST_F(CliTest, ADiffIsCountsAndATable) {
  answer("GET /api/v1/jobs/j.new", {R"({"replay_of":"j"})"});
  answer(
      "GET /api/v1/jobs/j/diff",
      {R"({"output":"topic a and topic a.new","first_window":"10","last_window":"20","keys":3,"equal":1,
"different":1,"only_live":1,"only_replay":0,"outside":4,"one_key_in":1,
"differences":[{"key":"u","window":"10","live":{"n":1},"replay":null}]})"});
  const std::string out = run({"diff", "j.new"}).out;
  EXPECT_THAT(out,
              HasSubstr("rows: 1 equal, 1 different, 1 of the job only, 0 of the replay only"));
  EXPECT_THAT(out, HasSubstr("4 rows of the job are outside"));
  EXPECT_THAT(out, HasSubstr(R"(u    10      {"n":1}  -)"));
  EXPECT_THAT(out, Not(HasSubstr("too much for memory")));
}

TEST_F(CliTest, AVerificationFailsIfRedisIsWrong) {
  const auto found = [](int missing, const std::string& differences) {
    return R"({"committed":"topic t","redis":"Redis keys f:*","is_certain":)" +
           std::string(missing == 0 ? "true" : "false") +
           R"(,"seed":7,"sampled":2000,"behind":0,"missing":)" + std::to_string(missing) +
           R"(,"different":0,"unknown":0,"ahead":2,"expired":0,"equal":1995,"absent":3,)" +
           R"("differences":[)" + differences + "]}";
  };
  answer("GET /api/v1/jobs/j/verify",
         {found(0, ""),
          found(1, R"({"key":"\u001bu","kind":"missing","redis":null,"committed":{"n":1}})")});
  const Outcome right = run({"verify", "j", "--sample", "2000", "--seed", "7"});
  EXPECT_EQ(right.exit_code, 0) << right.err;
  EXPECT_THAT(right.out,
              HasSubstr("Redis keys f:* beside topic t\n2,000 keys: 1,995 equal, 2 ahead"));
  EXPECT_THAT(right.out, AllOf(Not(HasSubstr("KIND")), Not(HasSubstr("not certain"))));
  const Outcome wrong = run({"verify", "j"});
  EXPECT_EQ(wrong.exit_code, 1);
  EXPECT_THAT(wrong.out, HasSubstr(R"(?u   missing  -      {"n":1})"));
  EXPECT_THAT(wrong.out, HasSubstr("not certain: "));
  EXPECT_THAT(wrong.err,
              HasSubstr("Redis does not serve what j has committed: 1 of 2,000 keys\nnext: "));
  const Outcome json = run({"verify", "j", "--json"});
  EXPECT_EQ(json.exit_code, 1);
  EXPECT_THAT(json.out, AllOf(StartsWith("{\"committed\""), EndsWith("]}\n")));
}

TEST_F(CliTest, WhatEndsOtherwiseThanWaitedForIsAFailure) {
  answer("POST /api/v1/jobs/j/start", {"{}"}, 202);
  answer("GET /api/v1/jobs/j/status", {R"({"state":"starting"})", R"({"state":"crash_loop"})"});
  const Outcome done = run({"start", "j", "--wait"});
  EXPECT_EQ(done.exit_code, 1);
  EXPECT_THAT(done.err, HasSubstr("j is crash_loop, not running"));
}

TEST_F(CliTest, ARestartIsWaitedForInTheNextProcess) {
  answer("POST /api/v1/jobs/j/restart", {"{}"}, 202);
  answer("GET /api/v1/jobs/j/status",
         {R"({"state":"running","pid":7})", R"({"state":"running","pid":7})",
          R"({"state":"stopping","pid":7})", R"({"state":"crash_loop","pid":8})"});
  const Outcome done = run({"restart", "j", "--wait"});
  EXPECT_EQ(done.exit_code, 1) << done.out;
  EXPECT_THAT(done.err, HasSubstr("j is crash_loop, not running"));
}

TEST_F(CliTest, LogsFollowWithoutRepeatingLines) {
  answer("GET /api/v1/jobs/j/logs",
         {R"({"lines":["b","\u001b[31mc"]})", R"({"lines":["a","b","\u001b[31mc","d"]})",
          R"({"lines":["d","e"]})"});
  EXPECT_EQ(run({"logs", "j", "-f"}).out, "b\n?[31mc\nd\ne\n");
  for (const char* bad : {"0", "2001", "x", "-1"})
    EXPECT_EQ(run({"logs", "j", "--lines", bad}).exit_code, 2) << bad;
}

TEST_F(CliTest, CheckpointsShowFromWhereToRestore) {
  answer(
      "GET /api/v1/jobs/j/checkpoints",
      {R"({"history":[{"id":"chk-8","duration_us":900000,"slowest":{"operator":"sum","subtask":1},
"result":"declined","reason":"disk full"}],"restore_points":[{"id":"chk-7","seq":7,"bytes":1024,
"savepoint":true},{"id":"chk-6","seq":6,"savepoint":false,"final":false}]})"});
  const Outcome done = run({"checkpoints", "j"});
  EXPECT_THAT(done.out, AllOf(HasSubstr("savepoint\n"), HasSubstr("declined: disk full"),
                              HasSubstr("sum/1"), HasSubstr("1.0 KiB")));
}

TEST_F(CliTest, WrongWordsNameTheNearest) {
  const auto expect = [&](std::vector<std::string> words, const std::string& near) {
    const Outcome done = run(std::move(words), false);
    EXPECT_EQ(done.exit_code, 2);
    EXPECT_THAT(done.err, HasSubstr("did you mean " + near + "?"));
  };
  expect({"statu", "j"}, "status");
  expect({"scenarioo"}, "scenario");
  expect({"token", "lst"}, "token list");
  expect({"status", "j", "--jsn"}, "--json");
  expect({"restore", "j", "--form", "3"}, "--from");
}

TEST_F(CliTest, WrongUsageAsksNobody) {
  for (const std::vector<std::string>& words :
       std::vector<std::vector<std::string>>{{"status"},
                                             {"status", "a", "b"},
                                             {"status", "a/../../tokens"},
                                             {"status", ".."},
                                             {"restore", "j"},
                                             {"restore", "j", "--from"},
                                             {"restore", "j", "--from", ""},
                                             {"list", "--server", "ftp://x"},
                                             {"restart", "j", "--parallelism", "0"}}) {
    const Outcome done = run(words, words.size() < 2 || words[1] != "--server");
    EXPECT_EQ(done.exit_code, 2) << words.back();
    EXPECT_THAT(done.err, StartsWith("error: "));
  }
  EXPECT_EQ(run({}, false).exit_code, 2);
  EXPECT_THAT(asked_, ElementsAre());
}

TEST_F(CliTest, OtherVerbsGetTheirWords) {
  EXPECT_EQ(run({"scenario", "a", "--b"}, false).exit_code, 12);
}

TEST_F(CliTest, HelpAndCompletionKnowEveryVerb) {
  const std::string help = run({"--help"}, false).out;
  for (const char* shell : {"bash", "zsh"}) {
    const std::string script = run({"completion", shell}, false).out;
    for (const Verb& verb : verbs()) {
      const std::string first(verb.name.substr(0, verb.name.find(' ')));
      EXPECT_THAT(help, HasSubstr("\n  " + std::string(verb.name)));
      EXPECT_THAT(script, HasSubstr(first + ") "));
      for (const Argument& argument : verb.arguments) {
        if (argument.name.starts_with("--")) {
          EXPECT_THAT(script, HasSubstr(std::string(argument.name)));
        }
      }
      const Outcome told = run({first, "--help"}, false);
      EXPECT_EQ(told.exit_code, 0) << first;
      EXPECT_THAT(told.out, HasSubstr(std::string(verb.name))) << "also of a group: `state --help`";
    }
    EXPECT_THAT(script, HasSubstr("scenario"));
  }
  EXPECT_EQ(run({"completion", "fish"}, false).exit_code, 2);
  EXPECT_EQ(run({"state"}, false).exit_code, 2);
  EXPECT_THAT(run({"state"}, false).err, HasSubstr("state get"));
}

TEST(Table, FitsIntoTheTerminal) {
  Table table({"NAME", ">COUNT", "TEXT"});
  table.add({"ä", "1", "a long text that has to be cut somewhere"});
  table.add({"bb", "1,000", "short\x1b[2J"});
  std::ostringstream wide;
  table.print(wide, 0);
  EXPECT_EQ(wide.str(),
            "NAME  COUNT  TEXT\n"
            "ä         1  a long text that has to be cut somewhere\n"
            "bb    1,000  short?[2J\n");
  std::ostringstream narrow;
  table.print(narrow, 30);
  EXPECT_EQ(narrow.str(),
            "NAME  COUNT  TEXT\n"
            "ä         1  a long text that…\n"
            "bb    1,000  short?[2J\n");
}

TEST(Words, OfNumbersTimesAndSizes) {
  EXPECT_EQ(count_text(-1234567), "-1,234,567");
  EXPECT_EQ(count_text(999), "999");
  EXPECT_EQ(count_text(0.25), "0.2");
  EXPECT_EQ(count_text(std::nullopt), "-");
  EXPECT_EQ(bytes_text(1536), "1.5 KiB");
  EXPECT_EQ(duration_text(0), "0 ms");
  EXPECT_EQ(duration_text(90'000), "90 s");
  EXPECT_EQ(duration_text(7'200'000), "2 h");
  EXPECT_EQ(ago_text(1000, 4500), "3.5 s ago");
  EXPECT_EQ(instant_text(1e300), "-");
  EXPECT_EQ(wrapped("one two three", 9, 2), "one two\n  three");
  EXPECT_EQ(shortened("äöüß", 3), "äö…");
}

}  // namespace
}  // namespace tidemill::cli
