// Any bytes as the commit record in the control topic: refused as damaged, or read, and then
// written and read again the same.
#include <string>

#include "connectors/kafka/commit_record_json.h"
#include "tests/fuzz/fuzz_target.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using tidemill::kafka::parse_commit_record;
  using tidemill::kafka::to_json;
  tidemill::CommitRecord record;
  if (!tidemill::fuzz::accepts({tidemill::ErrorCode::kCorrupt}, [&] {
        record = parse_commit_record(tidemill::fuzz::text_of(data, size));
      }))
    return 0;
  const std::string written = to_json(record);
  tidemill::fuzz::require(to_json(parse_commit_record(written)) == written,
                          "what was written reads back equal");
  return 0;
}
