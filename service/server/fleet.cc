#include "service/server/fleet.h"

#include <algorithm>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "engine/base/clock.h"
#include "engine/base/error.h"
#include "engine/base/log.h"

namespace tidemill::server {
namespace {

// One that does not answer holds one of them for the time of a question only.
constexpr int kPollThreads = 2;
// A process that did not answer is asked less often.
constexpr std::int64_t kSilentPoll_ms = 3'000;
constexpr auto kPollPause = std::chrono::milliseconds(50);

}  // namespace

std::int64_t now_ms() { return SystemClock().processing_time().ms; }

Fleet::Fleet(FleetSettings settings, Store& store, AskJob ask)
    : settings_(std::move(settings)),
      store_(store),
      ask_(std::move(ask)),
      wake_fd_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
  for (JobRow& row : store_.jobs()) insert(std::move(row));
  threads_.emplace_back([this] { supervise(); });
  for (int i = 0; i < kPollThreads; ++i) threads_.emplace_back([this] { poll_statuses(); });
}

Fleet::~Fleet() {
  is_over_ = true;
  wake();
  poll_wake_.notify_all();
  for (std::thread& thread : threads_) thread.join();
  ::close(wake_fd_);
}

void Fleet::insert(JobRow row) {
  auto entry = std::make_shared<Entry>();
  const std::string name = row.name;
  entry->job = std::make_unique<SupervisedJob>(settings_, store_, std::move(row), now_ms());
  show(*entry);
  const std::lock_guard lock(mutex_);
  jobs_[name] = std::move(entry);
}

std::vector<JobView> Fleet::views() const {
  std::vector<JobView> all;
  const std::lock_guard lock(mutex_);
  all.reserve(jobs_.size());
  for (const auto& [name, entry] : jobs_) all.push_back(*entry->view);
  return all;
}

std::optional<JobView> Fleet::view(const std::string& name) const {
  const std::lock_guard lock(mutex_);
  const auto found = jobs_.find(name);
  if (found == jobs_.end()) return std::nullopt;
  return *found->second->view;
}

std::vector<std::shared_ptr<Fleet::Entry>> Fleet::entries() const {
  std::vector<std::shared_ptr<Entry>> all;
  const std::lock_guard lock(mutex_);
  all.reserve(jobs_.size());
  for (const auto& [name, entry] : jobs_) all.push_back(entry);
  return all;
}

std::shared_ptr<Fleet::Entry> Fleet::entry(const std::string& name) const {
  const std::lock_guard lock(mutex_);
  const auto found = jobs_.find(name);
  if (found == jobs_.end()) throw Error(ErrorCode::kRefused, "there is no job " + name);
  return found->second;
}

void Fleet::show(Entry& entry) {
  auto view = std::make_shared<const JobView>(entry.job->view(now_ms()));
  const std::lock_guard lock(mutex_);
  entry.view = std::move(view);
}

void Fleet::add(const std::string& name) {
  if (auto row = store_.job(name)) insert(std::move(*row));
  wake();
}

void Fleet::remove(const std::string& name) {
  const auto removed = entry(name);
  const std::lock_guard own(removed->mutex);
  if (!removed->job) return;
  const JobView view = removed->job->view(now_ms());
  if (view.run || view.row.desired_running)
    throw Error(ErrorCode::kRefused, "the job is not stopped: " + name + "; stop it first");
  std::filesystem::create_directories(settings_.folder.removed());
  std::error_code error;
  std::filesystem::rename(settings_.folder.job(name).path,
                          settings_.folder.removed() / (name + "." + std::to_string(now_ms())),
                          error);
  store_.remove_job(name);
  removed->job.reset();
  const std::lock_guard lock(mutex_);
  jobs_.erase(name);
}

void Fleet::change(const std::string& name, bool forgives,
                   const std::function<void(const JobView&)>& change) {
  const auto changed = entry(name);
  {
    const std::lock_guard own(changed->mutex);
    if (!changed->job) throw Error(ErrorCode::kRefused, "there is no job " + name);
    change(changed->job->view(now_ms()));
    changed->job->reload(forgives);
    show(*changed);
  }
  wake();
}

void Fleet::note_stop_sent(const std::string& name, bool is_sent) {
  const auto told = entry(name);
  const std::lock_guard own(told->mutex);
  if (!told->job) return;
  is_sent ? told->job->note_stop_sent() : told->job->forget_stop_sent();
  show(*told);
}

void Fleet::signal(const std::string& name, int number) {
  const auto told = entry(name);
  const std::lock_guard own(told->mutex);
  if (told->job) told->job->signal(number);
}

void Fleet::wake() {
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = ::write(wake_fd_, &one, sizeof one);
}

void Fleet::supervise() {
  while (!is_over_) {
    for (const auto& entry : entries()) {
      if (is_over_) return;
      const std::lock_guard own(entry->mutex);
      if (!entry->job) continue;
      try {
        entry->job->tick(now_ms(), ask_);
        show(*entry);
      } catch (const std::exception& error) {
        // The disk is full: the processes run on, and are looked after again with the next tick.
        log(LogLevel::kError,
            std::string("supervising a job failed and is tried again: ") + error.what());
      }
    }
    wait_for_something();
  }
}

// Until a process ends, somebody has changed something, or a tick is over.
void Fleet::wait_for_something() {
  std::vector<pollfd> waited = {{wake_fd_, POLLIN, 0}};
  for (const auto& entry : entries()) {
    const std::lock_guard own(entry->mutex);
    // One that has ended waits for its note only: its descriptor would not let us wait.
    if (entry->job && entry->job->descriptor() >= 0)
      waited.push_back({entry->job->descriptor(), POLLIN, 0});
  }
  if (::poll(waited.data(), waited.size(), 0) > 0 && (waited[0].revents & POLLIN) == 0) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));  // for the note of its log writer
    return;
  }
  ::poll(waited.data(), waited.size(), static_cast<int>(settings_.tick.count()));
  std::uint64_t count = 0;
  [[maybe_unused]] const ssize_t read = ::read(wake_fd_, &count, sizeof count);
}

void Fleet::poll_statuses() {
  while (!is_over_) {
    try {
      if (poll_one()) continue;
    } catch (const std::exception& error) {
      // What a status changes could not be stored: the next one says it again.
      log(LogLevel::kError, std::string("a job's status was lost: ") + error.what());
    }
    std::unique_lock lock(poll_mutex_);
    poll_wake_.wait_for(lock, kPollPause, [this] { return is_over_.load(); });
  }
}

// Asks one process that it is time for; false if there is none.
bool Fleet::poll_one() {
  const std::int64_t now = now_ms();
  for (const auto& entry : entries()) {
    if (entry->next_poll_ms > now || entry->is_polled.exchange(true)) continue;
    const std::unique_ptr<std::atomic<bool>, void (*)(std::atomic<bool>*)> polled(
        &entry->is_polled, [](std::atomic<bool>* flag) { *flag = false; });
    std::shared_ptr<const JobView> view;
    {
      const std::lock_guard lock(mutex_);
      view = entry->view;
    }
    entry->next_poll_ms = now + settings_.status_every.count();
    if (!view->run || view->run->pid == 0) continue;
    std::shared_ptr<const JobStatus> status;
    try {
      const JobAnswer answer =
          ask_(settings_.folder.job(view->row.name), {"GET", "/api/v1/status"});
      if (answer.status == 200) {
        auto parsed = std::make_shared<const JobStatus>(parse_status(answer.body));
        // Whoever answers with another name is none of ours.
        if (parsed->job == view->row.name) status = std::move(parsed);
      }
    } catch (const Error&) {  // it is starting, ending, or hangs: its state says so
    }
    if (status) {
      const std::lock_guard own(entry->mutex);
      if (entry->job) {
        entry->job->on_status(view->run->id, std::move(status), now_ms());
        show(*entry);
      }
    } else {
      entry->next_poll_ms = now + std::min(kSilentPoll_ms, 3 * settings_.status_every.count());
    }
    return true;
  }
  return false;
}

}  // namespace tidemill::server
