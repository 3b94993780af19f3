// Reads ahead into the cache.
#pragma once

namespace tidemill {

// The line of `at` into the cache; any address will do. GCC takes a function in which there is only
// a __builtin_prefetch for one without effects, and drops its calls where it has not been inlined
// by then: the empty assembly is an effect.
inline void prefetch_line(const void* at) {
  __builtin_prefetch(at);
  asm volatile("");
}

}  // namespace tidemill
