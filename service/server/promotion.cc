#include "service/server/promotion.h"

#include <algorithm>
#include <array>
#include <utility>

namespace tidemill::server {
namespace {

using Phase = PromotionPhase;

constexpr std::array<const char*, 7> kNames = {"replaying", "catching_up", "holding", "cutting",
                                               "moving",    "done",        "failed"};

// The first split that is not at or behind its place in `to`; nothing: all are.
std::optional<std::string> short_of(const SplitOffsets& offsets, const SplitOffsets& to) {
  for (const auto& [split, offset] : to) {
    const auto found = offsets.find(split);
    if (found == offsets.end() || found->second < offset) return split;
  }
  return std::nullopt;
}

bool has_same_splits(const SplitOffsets& a, const SplitOffsets& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const auto& x, const auto& y) { return x.first == y.first; });
}

}  // namespace

const char* name_of(PromotionPhase phase) { return kNames.at(static_cast<std::size_t>(phase)); }

std::optional<PromotionPhase> promotion_phase(const std::string& name) {
  const auto found = std::find(kNames.begin(), kNames.end(), name);
  if (found == kNames.end()) return std::nullopt;
  return static_cast<PromotionPhase>(found - kNames.begin());
}

PromotionSteps::PromotionSteps(Promotion promotion, PromotionJobs& jobs, Storage& storage,
                               Limits limits)
    : now_(std::move(promotion)), jobs_(jobs), storage_(storage), limits_(limits) {}

bool PromotionSteps::step() {
  switch (now_.phase) {
    case Phase::kReplaying:
    case Phase::kCatchingUp: return approach();
    case Phase::kHolding: return hold();
    case Phase::kCutting: return cut();
    case Phase::kMoving: return move();
    case Phase::kDone:
    case Phase::kFailed: break;
  }
  return false;
}

bool PromotionSteps::cancel() {
  if (now_.phase >= Phase::kMoving) return false;
  const bool was_cut = now_.phase == Phase::kCutting;
  Promotion next = now_;
  next.phase = Phase::kFailed;
  next.trouble = "cancelled";
  // Acted upon first: what has failed is not looked at again.
  if (was_cut) jobs_.start(now_.job, {});
  const PromotionJobs::State replay = jobs_.look(now_.replay);
  if (replay.is_running && !replay.hold.empty()) jobs_.release(now_.replay);
  if (!replay.is_running && was_cut) jobs_.start(now_.replay, {});
  store(std::move(next));
  return true;
}

bool PromotionSteps::approach() {
  const PromotionJobs::State replay = jobs_.look(now_.replay);
  if (!replay.is_running) return wait("the replay does not run: start it");
  if (!replay.behind) return wait("it is not known yet how far the replay is behind");
  Phase next = now_.phase;
  if (*replay.behind <= limits_.near) next = Phase::kCatchingUp;
  if (*replay.behind <= limits_.close) next = Phase::kHolding;
  if (next <= now_.phase) return wait("");
  Promotion changed = now_;
  changed.phase = next;
  store(std::move(changed));
  return true;
}

// The replay must not be beyond the cut, which the job alone decides on: so it waits where it is
// until the job has committed that much.
bool PromotionSteps::hold() {
  const PromotionJobs::State replay = jobs_.look(now_.replay);
  if (!replay.is_running) return wait("the replay does not run: start it");
  if (now_.hold.empty()) {
    Promotion next = now_;
    next.hold = jobs_.hold_here(now_.replay);
    if (next.hold.empty()) return wait("the replay reads nothing yet");
    store(std::move(next));
    return true;
  }
  if (replay.hold != now_.hold) {  // it was restarted
    if (!jobs_.hold(now_.replay, now_.hold)) begin_holding_again();
    return true;
  }
  const PromotionJobs::State job = jobs_.look(now_.job);
  if (!job.is_running) return wait("the job does not run: start it, it decides where the cut is");
  if (!job.committed.empty() && !has_same_splits(job.committed, now_.hold)) {
    // A partition that only one of them has found.
    jobs_.release(now_.replay);
    begin_holding_again();
    return true;
  }
  if (const auto split = short_of(job.committed, now_.hold))
    return wait("the job has not reached the replay in " + *split);
  Promotion next = now_;
  next.phase = Phase::kCutting;
  store(std::move(next));
  return true;
}

bool PromotionSteps::cut() {
  if (now_.cut.empty()) {
    Promotion next = now_;
    next.savepoint = jobs_.stop(now_.job);
    const PromotionJobs::State job = jobs_.look(now_.job);
    if (job.is_running || job.committed.empty()) return wait("the job has not ended yet");
    next.cut = job.committed;
    store(std::move(next));
    return true;
  }
  const PromotionJobs::State replay = jobs_.look(now_.replay);
  if (replay.committed == now_.cut) {
    if (replay.is_running) {
      (void)jobs_.stop(now_.replay);
      return true;
    }
    Promotion next = now_;
    next.checkpoint = replay.checkpoint;
    next.phase = Phase::kMoving;
    store(std::move(next));
    return true;
  }
  const bool is_beyond = short_of(now_.cut, replay.committed).has_value();
  if (is_beyond) {
    // Somebody let it go on. The job has lost nothing by its stop.
    jobs_.start(now_.job, {});
    if (!replay.is_running) jobs_.start(now_.replay, {});
    begin_holding_again();
    return true;
  }
  if (!replay.is_running) {
    jobs_.start(now_.replay, now_.cut);
    return true;
  }
  if (replay.committed.empty()) return wait("the replay is starting or ending");
  if (replay.hold != now_.cut) {
    if (!jobs_.hold(now_.replay, now_.cut)) return wait("the replay is beyond the cut");
    return true;
  }
  return wait("the replay has not reached the cut yet");
}

bool PromotionSteps::move() {
  if (now_.is_taken_over) {
    jobs_.start_promoted(now_);
    Promotion next = now_;
    next.phase = Phase::kDone;
    store(std::move(next));
    return true;
  }
  std::string trouble;
  switch (jobs_.take_over(now_, trouble)) {
    case PromotionJobs::Taken::kNotYet: return wait(trouble);
    case PromotionJobs::Taken::kRefused: {
      // Nothing was decided, or the job's binary would not refuse.
      jobs_.start(now_.job, {});
      Promotion next = now_;
      next.phase = Phase::kFailed;
      next.trouble = trouble;
      store(std::move(next));
      return true;
    }
    case PromotionJobs::Taken::kYes: break;
  }
  // Stored before the start: a take-over beside a job that runs would be refused.
  Promotion next = now_;
  next.is_taken_over = true;
  store(std::move(next));
  return true;
}

bool PromotionSteps::wait(const std::string& trouble) {
  if (now_.trouble == trouble) return false;
  now_.trouble = trouble;
  storage_.save(now_);
  return false;
}

void PromotionSteps::store(Promotion next) {
  if (next.phase != Phase::kFailed) next.trouble.clear();
  storage_.save(next);
  now_ = std::move(next);
}

void PromotionSteps::begin_holding_again() {
  Promotion next = now_;
  next.phase = Phase::kHolding;
  next.hold.clear();
  next.cut.clear();
  store(std::move(next));
}

}  // namespace tidemill::server
