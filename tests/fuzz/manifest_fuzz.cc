// Any bytes as a checkpoint's manifest, and any bytes as the payload of one whose checksum is
// right: refused as damaged, or read, and then written and read again the same.
#include <string>

#include "engine/base/bytes.h"
#include "engine/base/hash.h"
#include "engine/checkpoint/manifest.h"
#include "tests/fuzz/fuzz_target.h"

namespace {

using tidemill::Bytes;
using tidemill::ByteView;
using tidemill::ErrorCode;
using tidemill::Manifest;

Bytes with_header(ByteView payload) {
  Bytes bytes("TMCP");
  tidemill::append_u32(bytes, 1);
  tidemill::append_u64(bytes, payload.size());
  tidemill::append_u64(bytes, tidemill::hash_bytes(payload));
  return bytes.append(payload);
}

void read_and_write(ByteView bytes) {
  Manifest manifest;
  if (!tidemill::fuzz::accepts({ErrorCode::kCorrupt},
                               [&] { manifest = tidemill::decode_manifest(bytes, "here"); }))
    return;
  // Read and written once it has its normal form.
  const Bytes once = encode(tidemill::decode_manifest(encode(manifest), "again"));
  tidemill::fuzz::require(encode(tidemill::decode_manifest(once, "twice")) == once,
                          "what was written reads back equal");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteView bytes = tidemill::fuzz::text_of(data, size);
  read_and_write(bytes);
  read_and_write(with_header(bytes));
  return 0;
}
