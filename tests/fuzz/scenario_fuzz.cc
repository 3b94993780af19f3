// Any bytes as a scenario file: read, or refused with the place of the mistake.
#include "service/scenario/mistake.h"
#include "service/scenario/parser.h"
#include "tests/fuzz/fuzz_target.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    (void)tidemill::scenario::parse(tidemill::fuzz::text_of(data, size));
  } catch (const tidemill::scenario::Mistake& mistake) {
    tidemill::fuzz::require(mistake.what()[0] != '\0', "a mistake has words");
  }
  return 0;
}
