// The promotions of this server: kept in the store, led by one thread, which goes on with those
// that a server which was killed had begun.
#pragma once

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include <boost/json/fwd.hpp>

#include "service/server/promotion_jobs.h"

namespace tidemill::server {

// Thread-safe.
class Promotions {
 public:
  explicit Promotions(Service& service, PromotionSteps::Limits limits = {});
  // What is under way goes on with the next server.
  ~Promotions();
  Promotions(const Promotions&) = delete;
  Promotions& operator=(const Promotions&) = delete;

  // Throws CallError(409) if the job is being promoted already.
  Promotion begin(const JobView& job, const JobView& replay);
  // The old version stands. Throws CallError(404, 409): there is none, or it may be decided.
  void cancel(const std::string& job);
  // Newest first; empty: of all jobs.
  [[nodiscard]] boost::json::array list(const std::string& job, std::int64_t limit) const;

  // Both throw CallError(409) while a job or its replay must be left alone: from the cut on; from
  // the beginning on.
  void refuse_during_hand_over(const std::string& job) const;
  void refuse_while_promoted(const std::string& job) const;

 private:
  class Saved final : public PromotionSteps::Storage {
   public:
    explicit Saved(Store& store) : store_(store) {}
    void save(const Promotion& promotion) override;

   private:
    Store& store_;
  };

  [[nodiscard]] std::vector<Promotion> open() const;
  void run();
  bool step(const Promotion& promotion);
  void wake();

  Service& service_;
  const PromotionSteps::Limits limits_;
  std::atomic<bool> is_over_{false};
  FleetPromotionJobs jobs_;
  Saved saved_;
  std::mutex step_mutex_;   // one step at a time
  std::mutex begin_mutex_;  // one promotion a job
  std::mutex wake_mutex_;
  std::condition_variable wake_;
  bool has_news_ = true;
  std::thread thread_;
};

}  // namespace tidemill::server
