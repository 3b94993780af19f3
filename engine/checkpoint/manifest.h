// What a completed checkpoint contains. On disk: "TMCP", u32 format version, u64 length, u64
// XXH3-64 of the payload, payload (Protobuf, manifest.proto); integers big-endian. See
// docs/checkpoint_format.md.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/base/bytes.h"
#include "engine/base/time.h"
#include "engine/checkpoint/commit_protocol.h"
#include "engine/checkpoint/snapshot_store.h"
#include "engine/operator/snapshot.h"
#include "engine/runtime/job.h"

namespace tidemill {

struct Manifest {
  // What a sink needs for publishing after the commit.
  struct Prepared {
    std::string operator_name;
    Bytes bytes;
  };

  std::string job;
  std::string checkpoint;  // "<seq>-<uuid>"
  CheckpointId seq = 0;
  std::string lineage;
  std::string parent;           // checkpoint id, empty for the first of a lineage
  std::int64_t created_ms = 0;  // wall clock, for people
  std::uint32_t key_groups = 0;
  std::uint32_t parallelism = 0;
  std::vector<SourcePositions> sources;
  RestoredOperators operators;
  std::vector<Prepared> prepared;
  std::vector<StoredFile> files;
  std::string backend;
  bool is_final = false;  // every bounded source had ended
  // The input was being ended by a drain: with is_final it has, and nothing can be added to it.
  bool is_drained = false;
};

Bytes encode(const Manifest& manifest);
// Throws Error(kCorrupt) naming `where` and what is wrong with it.
Manifest decode_manifest(ByteView bytes, const std::string& where);
// Identifies the exact content, for the commit record.
std::uint64_t manifest_hash(ByteView encoded);

}  // namespace tidemill
