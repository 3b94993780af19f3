// The hand-over of a job to a replay of it, step by step (docs/decisions/0005_promotion.md). What
// is decided is stored before it is acted upon, and every action may be done again: a server that
// is killed anywhere goes on where it was.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>

namespace tidemill::server {

using SplitOffsets = std::map<std::string, std::int64_t>;  // "user-events:3" -> next offset

enum class PromotionPhase : std::uint8_t {
  kReplaying,   // the replay is far behind
  kCatchingUp,  // near
  kHolding,     // it waits at `hold`, for the job to pass
  kCutting,     // the job is stopped at `cut`, the replay is led there
  kMoving,      // the job's binary takes the replay over
  kDone,
  kFailed,  // the old version stands; `trouble` says why
};
const char* name_of(PromotionPhase phase);
std::optional<PromotionPhase> promotion_phase(const std::string& name);

// As the store keeps it.
struct Promotion {
  std::int64_t id = 0;
  std::string job = {};
  std::string replay = {};  // JOB.NAME
  PromotionPhase phase = PromotionPhase::kReplaying;
  SplitOffsets hold = {};             // empty: not known yet
  SplitOffsets cut = {};              // empty: the job has not been stopped yet
  std::string savepoint = {};         // of the job at the cut: a roll back begins with it
  std::string checkpoint = {};        // of the replay at the cut
  std::int64_t replaced_version = 0;  // of the job, which a roll back promotes again
  bool is_taken_over = false;         // kMoving: only the start of the new version is left
  std::string trouble = {};           // why it does not move on, for people; empty: it does

  friend bool operator==(const Promotion&, const Promotion&) = default;
};

// What one step may do to the jobs. All may be done again without harm; all may throw Error, then
// the step is tried again later.
class PromotionJobs {
 public:
  struct State {
    bool is_running = false;
    SplitOffsets committed;                           // of the last committed checkpoint
    std::string checkpoint;                           // its id
    std::optional<std::chrono::milliseconds> behind;  // the log's end, in event time; running ones
    SplitOffsets hold;                                // in force; empty: none
  };
  enum class Taken : std::uint8_t { kYes, kNotYet, kRefused };

  virtual ~PromotionJobs() = default;
  [[nodiscard]] virtual State look(const std::string& job) = 0;
  // Where it stands. Requires: it runs.
  virtual SplitOffsets hold_here(const std::string& replay) = 0;
  // False: it is beyond.
  virtual bool hold(const std::string& replay, const SplitOffsets& offsets) = 0;
  virtual void release(const std::string& replay) = 0;
  // Stops it with a savepoint, if it runs; returns the id of its last checkpoint.
  virtual std::string stop(const std::string& job) = 0;
  // As it was, with its sources held there from the start on; empty: not held.
  virtual void start(const std::string& job, const SplitOffsets& hold) = 0;
  // JOB --take-over REPLAY/CHECKPOINT with the replay's binary and settings, to its end.
  virtual Taken take_over(const Promotion& promotion, std::string& trouble) = 0;
  // The replay's binary and settings are the job's from now on, and it runs.
  virtual void start_promoted(const Promotion& promotion) = 0;
};

// One thread.
class PromotionSteps {
 public:
  // Durable when it returns.
  class Storage {
   public:
    virtual ~Storage() = default;
    virtual void save(const Promotion& promotion) = 0;
  };
  struct Limits {
    std::chrono::milliseconds near = std::chrono::minutes(10);   // kCatchingUp from here on
    std::chrono::milliseconds close = std::chrono::seconds(10);  // kHolding from here on
  };

  // All outlive it. `promotion` is what the storage has.
  PromotionSteps(Promotion promotion, PromotionJobs& jobs, Storage& storage, Limits limits);

  // At most one action; false: nothing to do just now, ask again in a while.
  bool step();
  // The old version stands, and runs; the replay goes on. False: too late, the take-over may be
  // decided (kMoving and later).
  bool cancel();

  // Why a step was not done: it is tried again.
  void note(const std::string& trouble) { (void)wait(trouble); }

  [[nodiscard]] const Promotion& promotion() const { return now_; }
  [[nodiscard]] bool is_over() const {
    return now_.phase == PromotionPhase::kDone || now_.phase == PromotionPhase::kFailed;
  }

 private:
  bool approach();
  bool hold();
  bool cut();
  bool move();
  bool wait(const std::string& trouble);
  void store(Promotion next);
  void begin_holding_again();

  Promotion now_;
  PromotionJobs& jobs_;
  Storage& storage_;
  const Limits limits_;
};

}  // namespace tidemill::server
