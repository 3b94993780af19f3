// A job whose operators have changed goes on from its checkpoint: state that is gone is named until
// it is dropped, and what has another name now is found (--drop-state, --rename-state). Before each
// start --check-upgrade and --dry-start are asked, and must give the answer that the start then
// gives.
#include <csignal>
#include <fstream>
#include <gtest/gtest.h>
#include <map>
#include <memory>
#include <mutex>
#include <sstream>
#include <string>
#include <unistd.h>
#include <vector>

#include <boost/describe/class.hpp>

#include "app/run.h"
#include "engine/operator/back_pressure.h"
#include "engine/operator/sink.h"
#include "operators/keyed_stream.h"
#include "operators/source.h"
#include "operators/stream.h"
#include "state/keyed_list.h"
#include "state/keyed_value.h"
#include "state/operator_state.h"
#include "state/windowed_value.h"

namespace tidemill {
namespace {

struct OneKey {
  std::string operator()(std::int64_t) const { return "key"; }
};
using KeyedNumbers = KeyedStream<std::int64_t, OneKey>;

// What the test asks of the next run, and what it has seen.
struct Script {
  std::int64_t until = 0;  // this number of records in all, then the job is stopped
  std::vector<std::string> counters;
  std::string state = "count";
  std::mutex mutex;
  std::map<std::string, std::int64_t> last;  // by counter: the last record's count and total
  std::map<std::string, std::int64_t> total;
  void (*add)(const KeyedNumbers&) = nullptr;  // another operator
};
Script* script = nullptr;

class Numbers final : public SourceReader<std::int64_t> {
 public:
  Numbers(OperatorContext& ctx, const std::vector<SplitPosition>& positions) {
    if (ctx.subtask() != 0) return;
    SplitStatus split;
    split.name = "numbers";
    split.source = "numbers";
    for (const SplitPosition& p : positions) split.next_offset = p.offset;
    splits_.push_back(split);
  }
  void poll(SourceBatch<std::int64_t>& out, std::size_t max_records) override {
    if (splits_.empty()) return;
    std::int64_t& next = splits_.front().next_offset;
    for (std::size_t n = 0; n < max_records && next < script->until; ++n, ++next)
      out.append(next, {0, 0, next, EventTime::min()});
    if (next == script->until && !has_asked_) {
      has_asked_ = true;
      ::kill(::getpid(), SIGTERM);
    }
  }
  std::vector<SplitStatus>& splits() override { return splits_; }

 private:
  std::vector<SplitStatus> splits_;
  bool has_asked_ = false;
};

// A part that holds for all subtasks, and only the first one asks for.
class Shared final : public Snapshotable {
 public:
  explicit Shared(OperatorContext& ctx) {
    if (ctx.subtask() == 0) (void)ctx.restored("shared");
    ctx.attach(*this);
  }
  void freeze(CheckpointId) override {}
  bool drain(StageSnapshot& out, std::size_t) override {
    out.parts.push_back({"shared", "for all"});
    return true;
  }
};

// Counts the records of the one key, and those of this subtask.
class Counter final : public OneInput<std::int64_t> {
 public:
  using Out = std::int64_t;

  explicit Counter(OperatorContext& ctx)
      : name_(ctx.name()),
        count_(ctx, script->state),
        total_(ctx, script->state + ".total"),
        shared_(ctx) {
    // What an operator may ask for is there in a rehearsal too.
    EXPECT_NE(ctx.resources().find<AttemptInfo>(), nullptr);
    EXPECT_NE(ctx.resources().find<BackPressure>(), nullptr);
    for (const std::int64_t former : total_.restored()) *total_ = std::max(*total_, former);
  }
  void process(Batch<std::int64_t>& batch) override {
    for (std::size_t i = 0; i < batch.size(); ++i) {
      const std::lock_guard lock(script->mutex);
      script->last[name_] = ++count_["key"];
      script->total[name_] = ++*total_;
    }
  }

 private:
  const std::string name_;
  KeyedValue<std::string, std::int64_t> count_;
  OperatorState<std::int64_t> total_;
  Shared shared_;
};

// A state "value" of a type that the next version has changed.
template <class State>
class Typed final : public OneInput<std::int64_t> {
 public:
  using Out = std::int64_t;
  explicit Typed(OperatorContext& ctx) : state_(ctx, "value") {}
  void process(Batch<std::int64_t>&) override {}

 private:
  State state_;
};

struct Point {
  std::int64_t x = 0;
  BOOST_DESCRIBE_CLASS(Point, (), (x), (), ())
};
struct LongerPoint {
  std::int64_t x = 0;
  std::int32_t y = 7;
  BOOST_DESCRIBE_CLASS(LongerPoint, (), (x, y), (), ())
};
struct OtherPoint {
  std::int32_t y = 7;
  std::int64_t x = 0;
  BOOST_DESCRIBE_CLASS(OtherPoint, (), (y, x), (), ())
};
struct TextPoint {
  std::string x;
  BOOST_DESCRIBE_CLASS(TextPoint, (), (x), (), ())
};

// Only added to: rows that a restore has brought are given parts.
template <class V>
class Adder final : public OneInput<std::int64_t> {
 public:
  using Out = std::int64_t;
  explicit Adder(OperatorContext& ctx) : state_(ctx, "value") {}
  void process(Batch<std::int64_t>& batch) override {
    const std::string key = "key";
    const std::vector<KeyRef<std::string>> keys(batch.size(), {&key, key_hash(key)});
    state_.accumulate(EventTime{1000}, keys, [](std::size_t, V& value) { ++value.x; });
  }

 private:
  WindowedValue<std::string, V> state_;
};
struct Sum : Point {
  void merge(const Sum& other) { x += other.x; }
  BOOST_DESCRIBE_CLASS(Sum, (), (x), (), ())
};
template <class V>
void adder(const KeyedNumbers& keyed) {
  keyed.process<Adder<V>>("adder");
}

template <class State>
void typed(const KeyedNumbers& keyed) {
  keyed.process<Typed<State>>("typed");
}
template <class V>
using Value = KeyedValue<std::string, V>;

void build(Environment& env) {
  const SourceSpec<std::int64_t> spec{
      "numbers", [](OperatorContext& ctx, const std::vector<SplitPosition>& positions) {
        return std::make_unique<Numbers>(ctx, positions);
      }};
  const auto numbers = read_events(
      env.graph(), "numbers", spec, [](std::int64_t n) { return EventTime{n}; }, Duration(0));
  const auto keyed = numbers.key_by(OneKey{});
  for (const std::string& name : script->counters) keyed.process<Counter>(name);
  if (script->add != nullptr) script->add(keyed);
}

class StateChanges : public ::testing::TestWithParam<const char*> {
 protected:
  StateChanges() {
    script = &script_;
    folder_ = ::testing::TempDir() + "tidemill-state-changes-" + std::to_string(::getpid()) + "-" +
              GetParam();
    std::filesystem::remove_all(folder_);
  }
  ~StateChanges() override { std::filesystem::remove_all(folder_); }

  // Runs the job for ten records more; its exit code. `said` is what it wrote to stderr.
  int run(std::vector<std::string> counters, const std::vector<std::string>& flags = {}) {
    script_.counters = std::move(counters);
    const bool is_first = !std::filesystem::exists(folder_ + "/counters");
    foretold_.clear();
    const int foretold = is_first ? 0 : check(flags);
    const int rehearsed = rehearse(flags);
    script_.until += 10;
    const int code = start(flags);
    if (code != 0) script_.until -= 10;
    EXPECT_EQ(foretold, code) << foretold_ << said_;
    EXPECT_EQ(rehearsed, code) << rehearsed_ << said_;
    // A flag that is none is refused before there is anything to say.
    if (code != 0 && !foretold_.empty()) {
      const std::string reason = said_.substr(said_.rfind("error: ") + 7);
      EXPECT_NE(foretold_.find("\"reason\":\"" + reason.substr(0, reason.find('\n')) + '"'),
                std::string::npos)
          << foretold_ << said_;
      EXPECT_NE(rehearsed_.find("\"error\":\"" + reason.substr(0, reason.find('\n'))),
                std::string::npos)
          << rehearsed_ << said_;
    }
    return code;
  }
  int rehearse(std::vector<std::string> flags) {
    flags.emplace_back("--dry-start");
    ::testing::internal::CaptureStdout();
    const int code = start(flags);
    rehearsed_ = ::testing::internal::GetCapturedStdout();
    return code;
  }
  int check(std::vector<std::string> flags) {
    flags.insert(flags.end(), {"--check-upgrade", "latest"});
    ::testing::internal::CaptureStdout();
    const int code = start(flags);
    foretold_ = ::testing::internal::GetCapturedStdout();
    return code;
  }
  int start(const std::vector<std::string>& flags) {
    std::vector<std::string> words = {"job",
                                      "--checkpoint-dir",
                                      folder_,
                                      "--http",
                                      "none",
                                      "--parallelism",
                                      "2",
                                      "--set",
                                      std::string("state.backend=") + GetParam()};
    words.insert(words.end(), flags.begin(), flags.end());
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    ::testing::internal::CaptureStderr();
    const int code =
        run_job(static_cast<int>(argv.size()), argv.data(),
                {.name = "counters", .description = "Counts.", .keys = {}, .build = build});
    said_ = ::testing::internal::GetCapturedStderr();
    return code;
  }
  std::string audit() const {
    std::ostringstream text;
    text << std::ifstream(folder_ + "/counters/audit.log").rdbuf();
    return text.str();
  }
  bool foretells(const std::string& text) const {
    return foretold_.find(text) != std::string::npos;
  }
  bool says(const std::string& text) const { return said_.find(text) != std::string::npos; }

  Script script_;
  std::string folder_;
  std::string said_;
  std::string foretold_;   // what --check-upgrade printed
  std::string rehearsed_;  // what --dry-start printed
};

TEST_P(StateChanges, ARemovedOperatorsStateIsNamedUntilItIsDropped) {
  ASSERT_EQ(run({"a", "b", "c"}), 0) << said_;
  EXPECT_EQ(run({"a"}), 3);
  EXPECT_TRUE(says("with --rename-state OLD=NEW, or let it go with --drop-state NAME: b, c"))
      << said_;
  EXPECT_EQ(run({"a"}, {"--drop-state", "b"}), 3);
  EXPECT_TRUE(says("--drop-state NAME: c")) << said_;
  ASSERT_EQ(run({"a"}, {"--drop-state", "b", "--drop-state", "c"}), 0) << said_;
  EXPECT_EQ(script_.last["a"], 20);
  EXPECT_NE(audit().find("state of b dropped (--drop-state)"), std::string::npos) << audit();
  // It is gone: nothing is asked any more, one of its name starts empty, and the flag, left where
  // it was, takes nothing from it.
  ASSERT_EQ(run({"a", "b"}), 0) << said_;
  EXPECT_EQ(script_.last["b"], 10);
  ASSERT_EQ(run({"a", "b"}, {"--drop-state", "b"}), 0) << said_;
  EXPECT_TRUE(says("--drop-state b: ignored")) << said_;
  EXPECT_EQ(script_.last["b"], 20);
  EXPECT_EQ(script_.total["b"], 20);
}

TEST_P(StateChanges, ARenamedOperatorFindsItsState) {
  ASSERT_EQ(run({"a"}), 0) << said_;
  EXPECT_EQ(run({"later"}), 3);
  EXPECT_TRUE(says("--drop-state NAME: a")) << said_;
  ASSERT_EQ(run({"later"}, {"--rename-state", "a=later"}), 0) << said_;
  EXPECT_EQ(script_.last["later"], 20);
  EXPECT_EQ(script_.total["later"], 20);
  EXPECT_NE(audit().find("state of a goes to later (--rename-state)"), std::string::npos);
  ASSERT_EQ(run({"later"}, {"--rename-state", "a=later"}), 0) << said_;
  EXPECT_TRUE(says("--rename-state a=later: ignored")) << said_;
  EXPECT_EQ(script_.last["later"], 30);
}

TEST_P(StateChanges, ARenamedStateIsFound) {
  ASSERT_EQ(run({"a"}), 0) << said_;
  script_.state = "number";
  EXPECT_EQ(run({"a"}), 3);
  EXPECT_TRUE(says("--drop-state NAME: a/count, a/count.total")) << said_;
  ASSERT_EQ(run({"a"}, {"--rename-state", "a/count=a/number"}), 0) << said_;
  EXPECT_EQ(script_.last["a"], 20);
  EXPECT_EQ(script_.total["a"], 20);
  script_.state = "again";
  ASSERT_EQ(run({"a"}, {"--drop-state", "a/number"}), 0) << said_;
  EXPECT_EQ(script_.last["a"], 10);
  EXPECT_EQ(script_.total["a"], 10);
}

TEST_P(StateChanges, TheCheckSaysWhatBecomesOfEachState) {
  ASSERT_EQ(run({"a", "b"}), 0) << said_;
  EXPECT_EQ(run({"a", "c"}), 3);
  EXPECT_TRUE(foretells(R"("kept":[{"operator":"a","state":"count","kind":"value","key":"text",)"))
      << foretold_;
  EXPECT_TRUE(foretells(R"("added":[{"operator":"c","state":"count",)")) << foretold_;
  EXPECT_TRUE(foretells(R"("lost":[{"operator":"b","state":"count"},)")) << foretold_;
  EXPECT_EQ(run({"a", "c"}, {"--drop-state", "b"}), 0) << said_;
  EXPECT_TRUE(foretells(R"("lost":[],"dropped":[{"operator":"b","state":"count"},)")) << foretold_;
}

TEST_P(StateChanges, ATypeThatHasChangedIsJudgedAsTheStartJudgesIt) {
  struct Case {
    void (*stored)(const KeyedNumbers&);
    void (*wanted)(const KeyedNumbers&);
    int code;
    const char* told;
  };
  const Case cases[] = {
      {typed<Value<std::int32_t>>, typed<Value<std::int32_t>>, 0, R"("changed":[])"},
      {typed<Value<std::int32_t>>, typed<Value<std::int64_t>>, 0, "int32 becomes int64"},
      {typed<Value<std::int64_t>>, typed<Value<std::int32_t>>, 2, "may only become wider"},
      {typed<Value<Point>>, typed<Value<LongerPoint>>, 0,
       "field added: y (int32), 7 in what is stored"},
      {typed<Value<Point>>, typed<Value<OtherPoint>>, 0, R"("rows_converted":true)"},
      {typed<Value<LongerPoint>>, typed<Value<Point>>, 0, "field removed: y"},
      {typed<Value<Point>>, typed<Value<TextPoint>>, 2, "field x is int64, the program wants text"},
      {typed<Value<Point>>, typed<KeyedList<std::string, Point>>, 2, "another kind"},
  };
  for (const Case& c : cases) {
    std::filesystem::remove_all(folder_);
    script_.until = 0;
    script_.add = c.stored;
    ASSERT_EQ(run({"a"}), 0) << said_;
    script_.add = c.wanted;
    EXPECT_EQ(run({"a"}), c.code) << said_;
    EXPECT_TRUE(foretells(c.told)) << c.told << "\n" << foretold_;
  }
}

TEST_P(StateChanges, ATypeThatHasLostItsMergeIsRefusedOnceThereMayBeParts) {
  const bool has_parts = std::string(GetParam()) == "rocksdb";
  script_.add = adder<Sum>;
  ASSERT_EQ(run({}), 0) << said_;
  // All values are whole: merging is not needed.
  script_.add = adder<Point>;
  ASSERT_EQ(run({}), 0) << said_;
  script_.add = adder<Sum>;
  ASSERT_EQ(run({}), 0) << said_;
  script_.add = adder<Point>;
  EXPECT_EQ(run({}), has_parts ? 2 : 0) << said_;
  EXPECT_EQ(says("their type has no merge() any more"), has_parts) << said_;
  EXPECT_EQ(says("adder/value"), has_parts) << said_;
  script_.add = adder<Sum>;
  EXPECT_EQ(run({}), 0) << said_;
}

TEST_P(StateChanges, TheProgramDescribesItsState) {
  script_.add = typed<Value<Point>>;
  script_.counters = {"a"};
  ::testing::internal::CaptureStdout();
  const int code = start({"--describe-state", "json"});
  const std::string told = ::testing::internal::GetCapturedStdout();
  EXPECT_EQ(code, 0) << said_;
  EXPECT_FALSE(std::filesystem::exists(folder_));
  for (const char* part :
       {R"({"operator":"typed","kind":"process","states":[{"state":"value","kind":"value",)"
        R"("key":"text","value":"struct{x: int64}"}])",
        R"("count.total","shared"])"}) {
    EXPECT_NE(told.find(part), std::string::npos) << part << "\n" << told;
  }
}

TEST_P(StateChanges, WhatCannotBeMeantIsRefused) {
  ASSERT_EQ(run({"a", "b"}), 0) << said_;
  EXPECT_EQ(run({"a", "b"}, {"--rename-state", "a=b"}), 2);
  EXPECT_TRUE(says("a name that the checkpoint has already")) << said_;
  EXPECT_EQ(run({"a", "b"}, {"--rename-state", "a"}), 2);
  EXPECT_TRUE(says("--rename-state wants OLD=NEW: a")) << said_;
  EXPECT_EQ(run({"a", "b"}, {"--rename-state", "a/count=number"}), 2);
  EXPECT_TRUE(says("OPERATOR/STATE=OPERATOR/STATE")) << said_;
  ASSERT_EQ(run({"a", "b"}), 0) << said_;
  EXPECT_EQ(script_.last["a"], 20);
}

TEST_P(StateChanges, AnotherBackendIsRefusedByAll) {
  ASSERT_EQ(run({"a"}), 0) << said_;
  const bool is_memory = std::string(GetParam()) == "memory";
  EXPECT_EQ(
      run({"a"}, {"--set", std::string("state.backend=") + (is_memory ? "rocksdb" : "memory")}), 2);
  EXPECT_TRUE(says("was written with state.backend")) << said_;
}

INSTANTIATE_TEST_SUITE_P(Backends, StateChanges, ::testing::Values("memory", "rocksdb"));

}  // namespace
}  // namespace tidemill
