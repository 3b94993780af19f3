// The supervision of processes, with shell scripts for jobs. The program itself is the log writer.
#include <csignal>
#include <fstream>
#include <functional>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sstream>
#include <unistd.h>

#include "engine/base/error.h"
#include "service/server/fleet.h"
#include "service/server/log_writer.h"

namespace tidemill::server {
namespace {

using testing::HasSubstr;

std::string text_of(const std::filesystem::path& file) {
  std::ostringstream text;
  text << std::ifstream(file).rdbuf();
  return text.str();
}

void wait_until(const std::function<bool()>& condition, const std::string& what) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!condition()) {
    ASSERT_LT(std::chrono::steady_clock::now(), end) << "not within 20 s: " << what;
    ::usleep(5'000);
  }
}

class Supervision : public testing::Test {
 protected:
  Supervision() {
    std::string name = "/tmp/tidemill-fleet-XXXXXX";
    settings_.folder.path = ::mkdtemp(name.data());
    settings_.program = std::filesystem::read_symlink("/proc/self/exe");
    settings_.restarts.first_backoff_ms = 20;
    settings_.restarts.max_backoff_ms = 40;
    settings_.tick = std::chrono::milliseconds(10);
    settings_.status_every = std::chrono::milliseconds(20);
    std::filesystem::create_directories(settings_.folder.binaries());
    open();
  }
  ~Supervision() override {
    for (const JobView& view : fleet_->views()) {
      store_->set_desired(view.row.name, false);
      if (view.run && view.run->pid > 0) ::kill(static_cast<pid_t>(view.run->pid), SIGKILL);
    }
    fleet_.reset();
    // Their log writers still write a note into the folder.
    for (const JobRow& row : store_->jobs())
      wait_until([&] { return !has_log_writer(settings_.folder.job(row.name)); }, "it has ended");
    store_.reset();
    std::filesystem::remove_all(settings_.folder.path);
  }
  void open() {
    store_ = std::make_unique<Store>(settings_.folder.store());
    fleet_ = std::make_unique<Fleet>(settings_, *store_,
                                     [this](const JobFolder& folder, const JobQuestion& question) {
                                       return answer(folder, question);
                                     });
  }
  // As if the server were killed: nothing is said to the processes.
  void open_again() {
    fleet_.reset();
    store_.reset();
    open();
  }
  JobAnswer answer(const JobFolder& folder, const JobQuestion& question) {
    const std::string name = folder.path.filename().string();
    if (question.method == "GET" && answers_.load())
      return {200, "application/json", R"({"job":")" + name + R"(","state":"running"})"};
    throw Error(ErrorCode::kIo, "nobody listens");
  }

  void submit(const std::string& name, const std::string& script, Version version = {}) {
    version.binary = name + "-script";
    version.config = "job: " + name + "\n";
    const auto file = settings_.folder.binary(version.binary);
    std::ofstream(file) << "#!/bin/sh\n" << script << "\n";
    std::filesystem::permissions(file, std::filesystem::perms::owner_all);
    JobRow row;
    row.name = name;
    row.desired_running = true;
    store_->add_job(row, version);
    fleet_->add(name);
  }
  std::string state(const std::string& name) { return fleet_->view(name)->state; }
  void wait_state(const std::string& name, const std::string& wanted) {
    wait_until([&] { return state(name) == wanted; },
               name + " is " + wanted + ", it is " + state(name));
  }
  std::int64_t wait_process(const std::string& name, std::int64_t other = 0) {
    std::int64_t pid = 0;
    wait_until(
        [&] {
          const auto view = fleet_->view(name);
          pid = view->run ? view->run->pid : 0;
          return pid > 0 && pid != other;
        },
        name + " runs");
    return pid;
  }
  void stop(const std::string& name) {
    fleet_->change(name, false, [&](const JobView&) { store_->set_desired(name, false); });
  }

  FleetSettings settings_;
  std::atomic<bool> answers_{true};
  std::unique_ptr<Store> store_;
  std::unique_ptr<Fleet> fleet_;
};

constexpr const char* kWaits = "trap 'exit 0' TERM; echo started; while :; do sleep 0.05; done";

TEST_F(Supervision, StartsWithItsArgumentsAndKeepsTheLog) {
  Version version;
  version.args = {"--parallelism", "2"};
  submit("a", "echo \"$@\"; cat ../config.yaml; echo wrong >&2", version);
  wait_state("a", "stopped");
  const JobFolder folder = settings_.folder.job("a");
  const std::string log = text_of(folder.log());
  EXPECT_THAT(log, HasSubstr("--control " + folder.control_socket().string()));
  EXPECT_THAT(log, HasSubstr("--set job=a --http none --parallelism 2\njob: a\nwrong\n"));
  const auto perms = std::filesystem::status(folder.config()).permissions();
  EXPECT_EQ(perms & std::filesystem::perms::others_all, std::filesystem::perms::none);
  EXPECT_EQ(perms & std::filesystem::perms::group_all, std::filesystem::perms::none);
}

TEST_F(Supervision, AKilledProcessIsStartedAgain) {
  submit("a", kWaits);
  const std::int64_t first = wait_process("a");
  wait_state("a", "running");
  ::kill(static_cast<pid_t>(first), SIGKILL);
  const std::int64_t second = wait_process("a", first);
  EXPECT_NE(second, first);
  const auto runs = store_->runs("a", 5);
  ASSERT_EQ(runs.size(), 2);
  EXPECT_EQ(runs[1].signal, SIGKILL);
  EXPECT_EQ(fleet_->view("a")->restarts, 1);
}

TEST_F(Supervision, AProcessOutlivesTheServerAndIsFoundAgain) {
  submit("a", kWaits);
  const std::int64_t pid = wait_process("a");
  open_again();
  ASSERT_TRUE(fleet_->view("a")->run);
  EXPECT_EQ(fleet_->view("a")->run->pid, pid);
  wait_state("a", "running");
  EXPECT_EQ(store_->runs("a", 5).size(), 1);
  stop("a");
  wait_state("a", "stopped");
  EXPECT_EQ(store_->runs("a", 5)[0].exit, 0);
}

TEST_F(Supervision, WhatEndedWhileTheServerWasAwayIsTakenFromItsNote) {
  submit("a", "while [ ! -e go ]; do sleep 0.02; done; rm go; echo 'error: no luck'; exit 1");
  const std::int64_t first = wait_process("a");
  fleet_.reset();
  std::ofstream(settings_.folder.job("a").work() / "go") << "";
  wait_until(
      [&] {
        return ::kill(static_cast<pid_t>(first), 0) != 0 &&
               !has_log_writer(settings_.folder.job("a"));
      },
      "it ended");
  store_.reset();
  open();
  wait_process("a", first);
  const auto runs = store_->runs("a", 5);
  ASSERT_GE(runs.size(), 2);
  EXPECT_EQ(runs[1].exit, 1);
  EXPECT_EQ(runs[1].reason, "no luck");
}

TEST_F(Supervision, AnEndThatNobodySawIsARestart) {
  submit("a", kWaits);
  const std::int64_t first = wait_process("a");
  // Its log writer dies, and the kernel takes the job with it.
  const auto stat = text_of("/proc/" + std::to_string(first) + "/stat");
  const auto writer = std::stol(stat.substr(stat.rfind(')') + 4));
  ::kill(static_cast<pid_t>(writer), SIGKILL);
  wait_process("a", first);
  const auto runs = store_->runs("a", 5);
  EXPECT_FALSE(runs[1].exit);
  EXPECT_FALSE(runs[1].signal);
  EXPECT_THAT(runs[1].reason, HasSubstr("was not seen"));
}

TEST_F(Supervision, ACrashLoopIsNamedWithItsCause) {
  submit("a", "echo 'error: cannot read record 17'; exit 1");
  wait_state("a", "crash_loop");
  const JobView view = *fleet_->view("a");
  ASSERT_EQ(view.problems.size(), 1);
  EXPECT_EQ(view.problems[0].id, "crash_loop");
  EXPECT_THAT(view.problems[0].text, HasSubstr("cannot read record 17"));
  open_again();  // and a new server knows it at once
  EXPECT_EQ(state("a"), "crash_loop");
}

TEST_F(Supervision, ALoopThatTheDiskCausesIsAFullDisk) {
  submit("a", "echo 'error: part of a checkpoint: No space left on device'; exit 1");
  wait_state("a", "crash_loop");
  const JobView view = *fleet_->view("a");
  ASSERT_EQ(view.problems.size(), 1);
  EXPECT_EQ(view.problems[0].id, "disk_full");
}

TEST_F(Supervision, AnExpiredOffsetIsNamed) {
  submit("a",
         "echo 'error: partition t:0 lost offsets 3..9 before they were read (retention, or "
         "somebody deleted records); to go on without them: --accept-loss t:0'; exit 3");
  wait_state("a", "failed");
  const JobView view = *fleet_->view("a");
  ASSERT_EQ(view.problems.size(), 1);
  EXPECT_EQ(view.problems[0].id, "offset_expired");
  EXPECT_THAT(view.problems[0].text, HasSubstr("lost offsets 3..9"));
  EXPECT_THAT(view.problems[0].next, HasSubstr("tidemill recover a"));
}

TEST_F(Supervision, ARefusalIsNotTriedAgainUntilSomebodySaysSo) {
  submit("a", "echo 'error: would repeat output'; exit 3");
  wait_state("a", "failed");
  EXPECT_EQ(fleet_->view("a")->last->reason, "would repeat output");
  ASSERT_EQ(fleet_->view("a")->problems.size(), 1);
  EXPECT_EQ(fleet_->view("a")->problems[0].id, "failed");
  EXPECT_THAT(fleet_->view("a")->problems[0].text, HasSubstr("exit 3): would repeat output"));
  open_again();
  EXPECT_EQ(state("a"), "failed");
  const auto runs = store_->runs("a", 10).size();
  EXPECT_EQ(runs, 1);
  fleet_->change("a", true, [](const JobView&) {});
  wait_until([&] { return store_->runs("a", 10).size() == 2; }, "another start");
}

TEST_F(Supervision, ARestartThatWasAskedForHappensThoughTheServerDies) {
  submit("a", kWaits);
  const std::int64_t first = wait_process("a");
  const std::int64_t run = fleet_->view("a")->run->id;
  fleet_.reset();
  store_->set_replaced_run("a", run);
  store_.reset();
  open();
  wait_process("a", first);
  EXPECT_EQ(store_->job("a")->replaced_run, 0);
  EXPECT_EQ(store_->runs("a", 5)[1].exit, 0);
  EXPECT_EQ(fleet_->view("a")->restarts, 0);
}

TEST_F(Supervision, AJobThatDoesNotAnswerIsLostButNotTouched) {
  submit("a", kWaits);
  wait_state("a", "running");
  const std::int64_t pid = wait_process("a");
  answers_ = false;
  wait_state("a", "lost");
  EXPECT_EQ(wait_process("a"), pid);
}

TEST_F(Supervision, TooMuchMemoryIsARestartThatSaysSo) {
  Version version;
  version.memory_limit = 1 << 20;  // less than a shell has
  submit("a", kWaits, version);
  const std::int64_t first = wait_process("a");
  wait_process("a", first);
  EXPECT_THAT(store_->runs("a", 5)[1].reason, HasSubstr("over its memory limit"));
}

TEST_F(Supervision, WhatCannotBeStartedSaysWhy) {
  Version version;
  version.user = "nobody-of-this-name";
  submit("a", kWaits, version);
  wait_until([&] { return fleet_->view("a")->last.has_value(); }, "it failed");
  EXPECT_THAT(fleet_->view("a")->last->reason, HasSubstr("no such user"));
}

TEST_F(Supervision, AJobOfAnotherUserOwnsWhereItWorksAndNothingElse) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can start a job as another user";
  namespace fs = std::filesystem;
  for (const fs::path& path : {settings_.folder.path, settings_.folder.binaries()})
    fs::permissions(path, fs::perms(0711));
  Version version;
  version.user = "nobody";
  submit(
      "a",
      "id -un; cat ../config.yaml; touch mine && echo works; for file in ../forged ../process.json "
      "../exit.json ../log/job.log ../run.lock ../../forged; do echo x 2>/dev/null >>$file && echo "
      "forged; done",
      version);
  fs::permissions(settings_.folder.binary("a-script"), fs::perms(0555));
  wait_until([&] { return fleet_->view("a")->last.has_value() && !fleet_->view("a")->run; },
             "it ended");
  const std::string log = text_of(settings_.folder.job("a").log());
  EXPECT_THAT(log, HasSubstr("nobody\njob: a\nworks\n"));
  EXPECT_THAT(log, testing::Not(HasSubstr("forged")));
}

TEST_F(Supervision, OnlyAStoppedJobIsRemovedAndItsFolderIsKept) {
  submit("a", kWaits);
  wait_process("a");
  EXPECT_THROW(fleet_->remove("a"), Error);
  stop("a");
  wait_state("a", "stopped");
  fleet_->remove("a");
  EXPECT_FALSE(fleet_->view("a"));
  EXPECT_FALSE(store_->job("a"));
  EXPECT_FALSE(std::filesystem::exists(settings_.folder.job("a").path));
  EXPECT_FALSE(std::filesystem::is_empty(settings_.folder.removed()));
}

}  // namespace
}  // namespace tidemill::server

int main(int argc, char** argv) {
  if (argc > 1 && std::string_view(argv[1]) == "log-writer")
    return tidemill::server::log_writer_command({argv + 2, argv + argc});
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
