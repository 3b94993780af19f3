#include "state/give_way.h"

#include <sys/resource.h>
#include <unistd.h>
#include <utility>

namespace tidemill {

void give_way() {
  constexpr int kNicer = 5;
  thread_local bool has_given_way = false;
  if (std::exchange(has_given_way, true)) return;
  const auto thread = static_cast<id_t>(::gettid());
  ::setpriority(PRIO_PROCESS, thread, ::getpriority(PRIO_PROCESS, thread) + kNicer);
}

}  // namespace tidemill
