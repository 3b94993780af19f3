// Crash points and rule breakers of the test build. Neither exists in a release binary: the macros
// expand to nothing and to `false`.
//
// TIDEMILL_CRASH_AT=point[:n]  the process sends itself SIGKILL at the n-th time (default: first)
// it reaches `point`. TIDEMILL_BREAK=rule[,rule]   the named rules are not kept, so that a test can
// show that it would notice.
#pragma once

namespace tidemill::fault {

#ifdef TIDEMILL_TESTING
void crash_point(const char* point);
bool is_broken(const char* rule);
#endif

}  // namespace tidemill::fault

#ifdef TIDEMILL_TESTING
#define TM_CRASH_POINT(point) ::tidemill::fault::crash_point(point)
#define TM_BROKEN(rule) ::tidemill::fault::is_broken(rule)
#else
#define TM_CRASH_POINT(point) static_cast<void>(0)
#define TM_BROKEN(rule) false
#endif
