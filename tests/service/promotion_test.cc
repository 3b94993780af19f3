// The steps of a promotion over jobs that are a model: killed before and behind every action and
// every save, it ends with the rows of the old version up to the cut and those of the new one
// behind.
#include "service/server/promotion.h"

#include <algorithm>
#include <functional>
#include <gtest/gtest.h>
#include <string>
#include <vector>

namespace tidemill::server {
namespace {

using namespace std::chrono_literals;
using Phase = PromotionPhase;

struct Killed {};

// Dies at the n-th place where a server may.
class Fate {
 public:
  void place() {
    if (++places_ == fatal_) throw Killed();
  }
  void die_at(int place) {
    places_ = 0;
    fatal_ = place;
  }
  [[nodiscard]] int places() const { return places_; }

 private:
  int places_ = 0;
  int fatal_ = 0;
};

// Two jobs over one log of two splits, that moves on by itself.
class World final : public PromotionJobs, public PromotionSteps::Storage {
 public:
  struct Job {
    bool is_running = true;
    SplitOffsets at{{"e:0", 0}, {"e:1", 0}};
    SplitOffsets committed = at;
    int checkpoint = 0;
    SplitOffsets hold;
  };

  void pass_time() {
    end["e:0"] += 3;
    end["e:1"] += 2;
    if (!live.is_running) ++pause;
    // What is behind catches up, faster than the log grows.
    for (Job* job : {&live, &replay}) {
      if (!job->is_running) continue;
      for (auto& [split, at] : job->at) {
        const auto hold = job->hold.find(split);
        const std::int64_t limit =
            hold == job->hold.end() ? end[split] : std::min(end[split], hold->second);
        at = std::max(at, std::min(limit, at + 40));
      }
      // The live one commits now and then: its last commit is behind where it stands.
      if (job == &replay || end["e:0"] % 2 == 0) commit(*job);
    }
    EXPECT_FALSE(is_promoted && is_old) << "both versions are the job";
  }

  State look(const std::string& name) override {
    const Job& job = of(name);
    State state;
    state.is_running = job.is_running;
    state.committed = job.committed;
    state.checkpoint = std::to_string(job.checkpoint);
    state.hold = job.is_running ? job.hold : SplitOffsets{};
    if (job.is_running)
      state.behind = std::chrono::milliseconds(end["e:0"] - job.at.at("e:0")) * 1000;
    return state;
  }
  SplitOffsets hold_here(const std::string&) override {
    return act<SplitOffsets>([&] { return replay.hold = replay.at; });
  }
  bool hold(const std::string&, const SplitOffsets& offsets) override {
    return act<bool>([&] {
      for (const auto& [split, offset] : offsets) {
        if (replay.at[split] > offset) return false;
      }
      replay.hold = offsets;
      return true;
    });
  }
  void release(const std::string&) override {
    act<int>([&] { return replay.hold.clear(), 0; });
  }
  std::string stop(const std::string& name) override {
    return act<std::string>([&] {
      Job& job = of(name);
      if (job.is_running) commit(job);
      job.is_running = false;
      return std::to_string(job.checkpoint);
    });
  }
  void start(const std::string& name, const SplitOffsets& hold) override {
    act<int>([&] {
      Job& job = of(name);
      if (job.is_running) return 0;
      EXPECT_FALSE(&job == &live && is_decided) << "the old version is started behind the decision";
      job.at = job.committed;
      job.hold = hold;
      job.is_running = true;
      return 0;
    });
  }
  Taken take_over(const Promotion& promotion, std::string& trouble) override {
    return act<Taken>([&] {
      EXPECT_FALSE(live.is_running || replay.is_running) << "taken over while one of them runs";
      if (is_refused) {
        trouble = "refused";
        return Taken::kRefused;
      }
      if (is_decided) return Taken::kYes;
      EXPECT_EQ(live.committed, replay.committed);
      EXPECT_EQ(promotion.cut, live.committed);
      if (tries++ == 0) {
        trouble = "Redis is away";
        return Taken::kNotYet;
      }
      is_decided = true;
      return Taken::kYes;
    });
  }
  void start_promoted(const Promotion&) override {
    act<int>([&] {
      EXPECT_TRUE(is_decided);
      is_old = false;
      is_promoted = live.is_running = true;
      return 0;
    });
  }
  void save(const Promotion& next) override {
    act<int>([&] { return saved = next, 0; });
  }

  Fate fate;
  Job live;
  Job replay;
  SplitOffsets end{{"e:0", 2000}, {"e:1", 1500}};
  Promotion saved{.job = "j", .replay = "j.new"};
  bool is_old = true;
  bool is_promoted = false;
  bool is_decided = false;
  bool is_refused = false;
  int tries = 0;
  int pause = 0;  // how long no version ran

 private:
  Job& of(const std::string& name) { return name == "j" ? live : replay; }
  static void commit(Job& job) {
    job.committed = job.at;
    ++job.checkpoint;
  }
  template <class R>
  R act(const std::function<R()>& action) {
    fate.place();
    R result = action();
    fate.place();
    return result;
  }
};

// A server that is started again whenever it is killed. False: it does not come to an end.
bool run(World& world, const std::function<void(PromotionSteps&)>& meanwhile = {}) {
  for (int n = 0; n < 2000;) {
    PromotionSteps steps(world.saved, world, world, {.near = 500s, .close = 10s});
    try {
      for (; n < 2000; ++n) {
        world.pass_time();
        if (meanwhile) meanwhile(steps);
        (void)steps.step();
        if (steps.is_over()) return true;
      }
    } catch (const Killed&) {
      ++n;
    }
  }
  return false;
}

World caught_up() {
  World world;
  world.live.at = world.end;
  return world;
}

TEST(Promotion, HandsOverAtOneCut) {
  World world = caught_up();
  std::vector<std::string> phases;
  ASSERT_TRUE(run(world, [&](const PromotionSteps& steps) {
    const std::string name = name_of(steps.promotion().phase);
    if (phases.empty() || phases.back() != name) phases.push_back(name);
  }));
  EXPECT_EQ(phases,
            (std::vector<std::string>{"replaying", "catching_up", "holding", "cutting", "moving"}));
  EXPECT_EQ(world.saved.phase, Phase::kDone);
  EXPECT_TRUE(world.is_promoted);
  EXPECT_EQ(world.replay.committed, world.saved.cut);
  EXPECT_FALSE(world.saved.savepoint.empty());
  EXPECT_TRUE(world.saved.trouble.empty());
  EXPECT_LT(world.pause, 20);
}

TEST(Promotion, GoesOnWhereverItIsKilled) {
  World whole = caught_up();
  ASSERT_TRUE(run(whole));
  const int places = whole.fate.places();
  ASSERT_GT(places, 20);
  for (int place = 1; place <= places; ++place) {
    SCOPED_TRACE("killed at place " + std::to_string(place));
    World world = caught_up();
    world.fate.die_at(place);
    ASSERT_TRUE(run(world));
    EXPECT_EQ(world.saved.phase, Phase::kDone);
    EXPECT_TRUE(world.is_promoted && world.is_decided);
    EXPECT_EQ(world.replay.committed, world.saved.cut);
  }
}

TEST(Promotion, HoldsAgainAfterARestartOfTheReplay) {
  for (int moment = 1; moment < 40; ++moment) {
    SCOPED_TRACE(moment);
    World world = caught_up();
    int n = 0;
    ASSERT_TRUE(run(world, [&](const PromotionSteps& steps) {
      if (steps.promotion().phase < Phase::kHolding || ++n != moment || !world.replay.is_running)
        return;
      world.replay.at = world.replay.committed;  // its process died; the hold is forgotten
      world.replay.hold.clear();
      world.pass_time();
    }));
    EXPECT_EQ(world.saved.phase, Phase::kDone);
    EXPECT_EQ(world.replay.committed, world.saved.cut);
  }
}

TEST(Promotion, WaitsForAJobThatIsDownAndSaysSo) {
  World world = caught_up();
  world.live.is_running = false;
  EXPECT_FALSE(run(world));
  EXPECT_EQ(world.saved.phase, Phase::kHolding);
  EXPECT_NE(world.saved.trouble.find("the job does not run"), std::string::npos);
  world.start("j", {});
  ASSERT_TRUE(run(world));
  EXPECT_EQ(world.saved.phase, Phase::kDone);
}

TEST(Promotion, LeavesTheOldVersionRunningWhenItIsRefused) {
  World world = caught_up();
  world.is_refused = true;
  ASSERT_TRUE(run(world));
  EXPECT_EQ(world.saved.phase, Phase::kFailed);
  EXPECT_EQ(world.saved.trouble, "refused");
  EXPECT_TRUE(world.live.is_running && world.is_old);
}

TEST(Promotion, IsCancelledUntilItMayBeDecided) {
  for (const Phase phase : {Phase::kReplaying, Phase::kHolding, Phase::kCutting, Phase::kMoving}) {
    SCOPED_TRACE(name_of(phase));
    World world = caught_up();
    std::optional<bool> cancelled;
    ASSERT_TRUE(run(world, [&](PromotionSteps& steps) {
      const bool is_cut = phase != Phase::kCutting || !steps.promotion().cut.empty();
      if (!cancelled && steps.promotion().phase == phase && is_cut) cancelled = steps.cancel();
    }));
    EXPECT_EQ(cancelled, phase != Phase::kMoving);
    EXPECT_EQ(world.saved.phase, phase == Phase::kMoving ? Phase::kDone : Phase::kFailed);
    EXPECT_EQ(world.is_old, phase != Phase::kMoving);
    EXPECT_TRUE(world.live.is_running);
    EXPECT_TRUE(phase == Phase::kMoving || (world.replay.is_running && world.replay.hold.empty()));
  }
}

TEST(Promotion, NamesItsPhases) {
  for (int i = 0; i <= static_cast<int>(Phase::kFailed); ++i)
    EXPECT_EQ(promotion_phase(name_of(static_cast<Phase>(i))), static_cast<Phase>(i));
  EXPECT_FALSE(promotion_phase("promoted"));
}

}  // namespace
}  // namespace tidemill::server
