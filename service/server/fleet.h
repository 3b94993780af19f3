// All jobs of one server: a thread that supervises their processes, others that ask each of them
// once a second how it is, and what is known of them for answers at any time.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "service/server/supervised_job.h"

namespace tidemill::server {

// The wall clock, in milliseconds of the epoch.
[[nodiscard]] std::int64_t now_ms();

// Thread-safe.
class Fleet {
 public:
  // Adopts the processes that run already. What is passed by reference outlives it.
  Fleet(FleetSettings settings, Store& store, AskJob ask);
  // The processes go on.
  ~Fleet();
  Fleet(const Fleet&) = delete;
  Fleet& operator=(const Fleet&) = delete;

  // From memory: never waits for a process or the disk. By name.
  [[nodiscard]] std::vector<JobView> views() const;
  [[nodiscard]] std::optional<JobView> view(const std::string& name) const;

  // After a job has come into the store.
  void add(const std::string& name);
  // Takes a stopped job out of the store and moves its folder to DIR/removed. Throws
  // Error(kRefused) if a process of it lives.
  void remove(const std::string& name);
  // Calls `change`, which changes the job in the store, while the supervisor looks away, and lets
  // it act on that. `forgives`: a job that failed is tried again at once.
  void change(const std::string& name, bool forgives,
              const std::function<void(const JobView&)>& change);
  // A stop is being told to the process by the caller: the supervisor does not do it as well.
  // False again if that did not succeed.
  void note_stop_sent(const std::string& name, bool is_sent);
  void signal(const std::string& name, int number);

  [[nodiscard]] const ServerFolder& folder() const { return settings_.folder; }
  [[nodiscard]] const FleetSettings& settings() const { return settings_; }
  [[nodiscard]] JobAnswer ask(const std::string& name, const JobQuestion& question) const {
    return ask_(settings_.folder.job(name), question);
  }

 private:
  struct Entry {
    std::mutex mutex;                    // of `job`
    std::unique_ptr<SupervisedJob> job;  // null: removed
    std::atomic<std::int64_t> next_poll_ms{0};
    std::atomic<bool> is_polled{false};
    std::shared_ptr<const JobView> view;  // of Fleet::mutex_
  };

  [[nodiscard]] std::vector<std::shared_ptr<Entry>> entries() const;
  [[nodiscard]] std::shared_ptr<Entry> entry(const std::string& name) const;
  void insert(JobRow row);
  void show(Entry& entry);  // with its mutex held
  void wake();
  void supervise();
  void wait_for_something();
  void poll_statuses();
  bool poll_one();

  const FleetSettings settings_;
  Store& store_;
  const AskJob ask_;
  mutable std::mutex mutex_;  // of the map and the views
  std::map<std::string, std::shared_ptr<Entry>> jobs_;
  int wake_fd_ = -1;
  std::atomic<bool> is_over_{false};
  std::mutex poll_mutex_;
  std::condition_variable poll_wake_;
  std::vector<std::thread> threads_;
};

}  // namespace tidemill::server
