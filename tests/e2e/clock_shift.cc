// Preloaded into a job by the tests: moves its wall clock while it runs, and nothing else.
//
// CLOCK_SHIFT_FILE names a file of eight bytes, the shift in seconds (signed, native order), which
// may be rewritten at any time. A wait until an instant of the wall clock that begins after a shift
// is a wait until that instant of the shifted clock; one under way ends when it would have. The
// monotonic clock is untouched.
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <ctime>
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <threads.h>

namespace {

std::int64_t shift() {
  static const std::atomic<std::int64_t>* const cell = [] {
    const char* path = std::getenv("CLOCK_SHIFT_FILE");
    const int file = path == nullptr ? -1 : open(path, O_RDONLY | O_CLOEXEC);
    void* mapped = file < 0 ? MAP_FAILED : mmap(nullptr, 8, PROT_READ, MAP_SHARED, file, 0);
    if (mapped == MAP_FAILED) std::abort();
    return static_cast<const std::atomic<std::int64_t>*>(mapped);
  }();
  return cell->load(std::memory_order_relaxed);
}

template <class Function>
Function* next(const char* name) {
  // Of the two pthread_cond_timedwait on x86-64 plain dlsym may find the one of 2002.
  void* found = dlvsym(RTLD_NEXT, name, "GLIBC_2.3.2");
  if (found == nullptr) found = dlsym(RTLD_NEXT, name);
  if (found == nullptr) std::abort();
  return reinterpret_cast<Function*>(found);
}

// The real clock's name for an instant of the shifted one. Instants of the monotonic clock, which
// counts from the machine's start, are decades smaller and stay.
timespec real(const timespec* shifted) {
  constexpr std::time_t kLongAgo = 1'000'000'000;
  timespec t = *shifted;
  if (t.tv_sec > kLongAgo) t.tv_sec -= shift();
  return t;
}

}  // namespace

extern "C" {

int clock_gettime(clockid_t clock, timespec* t) noexcept {
  static auto* const original = next<int(clockid_t, timespec*)>("clock_gettime");
  const int result = original(clock, t);
  if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
    t->tv_sec += shift();
  }
  return result;
}

int gettimeofday(timeval* t, void*) noexcept {
  timespec now{};
  const int result = clock_gettime(CLOCK_REALTIME, &now);
  *t = {now.tv_sec, now.tv_nsec / 1000};
  return result;
}

std::time_t time(std::time_t* t) noexcept {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  if (t != nullptr) *t = now.tv_sec;
  return now.tv_sec;
}

int timespec_get(timespec* t, int base) noexcept {
  return clock_gettime(CLOCK_REALTIME, t) == 0 ? base : 0;
}

int cnd_timedwait(cnd_t* condition, mtx_t* mutex, const timespec* until) {
  static auto* const original = next<int(cnd_t*, mtx_t*, const timespec*)>("cnd_timedwait");
  const timespec t = real(until);
  return original(condition, mutex, &t);
}

int pthread_cond_timedwait(pthread_cond_t* condition, pthread_mutex_t* mutex,
                           const timespec* until) {
  static auto* const original =
      next<int(pthread_cond_t*, pthread_mutex_t*, const timespec*)>("pthread_cond_timedwait");
  const timespec t = real(until);
  return original(condition, mutex, &t);
}

}  // extern "C"
