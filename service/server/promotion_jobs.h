// What a promotion does to the jobs of this server.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "service/server/promotion.h"
#include "service/server/routes.h"

namespace tidemill::server {

// Arguments of a replay without those that say what it reads: of the version that is promoted.
[[nodiscard]] std::vector<std::string> without_replay_args(const std::vector<std::string>& args);

// A call may take as long as a savepoint, the take-over as long as it needs. One thread.
class FleetPromotionJobs final : public PromotionJobs {
 public:
  // `service` outlives it. `is_enough` true ends a take-over that runs, which may be done again.
  FleetPromotionJobs(Service& service, std::function<bool()> is_enough)
      : service_(service), is_enough_(std::move(is_enough)) {}

  State look(const std::string& job) override;
  SplitOffsets hold_here(const std::string& replay) override;
  bool hold(const std::string& replay, const SplitOffsets& offsets) override;
  void release(const std::string& replay) override;
  std::string stop(const std::string& job) override;
  void start(const std::string& job, const SplitOffsets& hold) override;
  Taken take_over(const Promotion& promotion, std::string& trouble) override;
  void start_promoted(const Promotion& promotion) override;

 private:
  [[nodiscard]] JobView view(const std::string& job) const;
  void look_inside(const JobView& view, State& state) const;
  void want(const std::string& job, bool running) const;

  Service& service_;
  const std::function<bool()> is_enough_;
};

}  // namespace tidemill::server
