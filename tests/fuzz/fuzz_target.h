// What the fuzz targets share. A target is a function of any bytes that returns, or aborts because
// something that must hold does not.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <initializer_list>
#include <string_view>

#include "engine/base/error.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace tidemill::fuzz {

inline void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "broken: %s\n", what);
  std::abort();
}

inline std::string_view text_of(const std::uint8_t* data, std::size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

// Runs `read`. True if it accepted its input; a refusal must be an Error with one of these codes,
// and words. Anything else that it throws ends the process.
template <class Read>
bool accepts(std::initializer_list<ErrorCode> refusals, Read&& read) {
  try {
    read();
    return true;
  } catch (const Error& error) {
    require(std::find(refusals.begin(), refusals.end(), error.code()) != refusals.end(),
            error.what());
    require(error.what()[0] != '\0', "a refusal has words");
    return false;
  }
}

}  // namespace tidemill::fuzz
