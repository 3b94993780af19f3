#include "engine/checkpoint/manifest.h"

#include <utility>

#include "engine/base/hash.h"
#include "engine/checkpoint/manifest.pb.h"

namespace tidemill {
namespace {

constexpr ByteView kMagic = "TMCP";
constexpr std::uint32_t kVersion = 1;
constexpr std::size_t kHeaderBytes = 4 + 4 + 8 + 8;

void put(const SplitPosition& from, checkpoint::Position& to) {
  to.set_split(from.split);
  to.set_offset(from.offset);
  to.set_watermark_ms(from.watermark.ms);
  to.set_max_time_ms(from.max_time.ms);
  to.set_is_finished(from.is_finished);
  to.set_tail_offset(from.tail_offset);
  to.set_tail_timestamp(from.tail_timestamp);
  to.set_tail_hash(from.tail_hash);
  to.set_generator(from.generator);
}

SplitPosition get(const checkpoint::Position& from) {
  SplitPosition to;
  to.split = from.split();
  to.offset = from.offset();
  to.watermark = {from.watermark_ms()};
  to.max_time = {from.max_time_ms()};
  to.is_finished = from.is_finished();
  to.tail_offset = from.tail_offset();
  to.tail_timestamp = from.tail_timestamp();
  to.tail_hash = from.tail_hash();
  to.generator = from.generator();
  return to;
}

Error corrupt(const std::string& where, const std::string& what) {
  return Error(ErrorCode::kCorrupt, "checkpoint manifest is damaged: " + what + ": " + where +
                                        "; restore another checkpoint with --restore ID "
                                        "--accept-duplicates (--list-checkpoints shows them)");
}

}  // namespace

Bytes encode(const Manifest& m) {
  checkpoint::Manifest out;
  out.set_job(m.job);
  out.set_checkpoint(m.checkpoint);
  out.set_seq(m.seq);
  out.set_lineage(m.lineage);
  out.set_parent(m.parent);
  out.set_created_ms(m.created_ms);
  out.set_key_groups(m.key_groups);
  out.set_parallelism(m.parallelism);
  out.set_backend(m.backend);
  out.set_is_final(m.is_final);
  out.set_is_drained(m.is_drained);
  for (const SourcePositions& s : m.sources) {
    auto& source = *out.add_sources();
    source.set_name(s.source);
    for (const SplitPosition& p : s.splits) put(p, *source.add_positions());
  }
  for (const auto& [name, restored] : m.operators) {
    auto& op = *out.add_operators();
    op.set_name(name);
    for (std::size_t i = 0; i < restored.subtasks.size(); ++i) {
      auto& subtask = *op.add_subtasks();
      subtask.set_index(static_cast<std::uint32_t>(i));
      for (const StatePart& part : restored.subtasks[i].parts) {
        auto& p = *subtask.add_parts();
        p.set_name(part.name);
        p.set_content(part.bytes);
        p.set_type(part.type);
      }
    }
  }
  for (const Manifest::Prepared& p : m.prepared) {
    auto& op = *out.add_operators();
    op.set_name(p.operator_name);
    op.add_subtasks()->set_prepared(p.bytes);
  }
  for (const StoredFile& f : m.files) {
    auto& file = *out.add_files();
    file.set_name(f.name);
    file.set_size(f.size);
    file.set_checksum(f.checksum);
  }
  const Bytes payload = out.SerializeAsString();
  Bytes bytes(kMagic);
  append_u32(bytes, kVersion);
  append_u64(bytes, payload.size());
  append_u64(bytes, hash_bytes(payload));
  bytes += payload;
  return bytes;
}

Manifest decode_manifest(ByteView bytes, const std::string& where) {
  if (bytes.size() < kHeaderBytes)
    throw corrupt(where, "only " + std::to_string(bytes.size()) + " bytes long");
  ByteReader in(bytes);
  if (in.take(4) != kMagic) throw corrupt(where, "it does not begin as one");
  if (const std::uint32_t version = in.u32(); version != kVersion) {
    throw Error(ErrorCode::kCorrupt, "checkpoint manifest has format version " +
                                         std::to_string(version) + ", this program reads " +
                                         std::to_string(kVersion) + ": " + where +
                                         "; use the program version that wrote it");
  }
  const std::uint64_t length = in.u64();
  const std::uint64_t checksum = in.u64();
  if (length != in.size())
    throw corrupt(where, "payload of " + std::to_string(in.size()) + " bytes, " +
                             std::to_string(length) + " announced");
  const ByteView payload = in.take(in.size());
  if (hash_bytes(payload) != checksum) throw corrupt(where, "checksum does not match");
  checkpoint::Manifest from;
  if (!from.ParseFromArray(payload.data(), static_cast<int>(payload.size())))
    throw corrupt(where, "payload cannot be parsed");

  Manifest m;
  m.job = from.job();
  m.checkpoint = from.checkpoint();
  m.seq = from.seq();
  m.lineage = from.lineage();
  m.parent = from.parent();
  m.created_ms = from.created_ms();
  m.key_groups = from.key_groups();
  m.parallelism = from.parallelism();
  m.backend = from.backend();
  m.is_final = from.is_final();
  m.is_drained = from.is_drained();
  for (const auto& source : from.sources()) {
    SourcePositions positions{source.name(), {}};
    for (const auto& p : source.positions()) positions.splits.push_back(get(p));
    m.sources.push_back(std::move(positions));
  }
  for (const auto& op : from.operators()) {
    for (const auto& subtask : op.subtasks()) {
      if (!subtask.prepared().empty()) {
        m.prepared.push_back({op.name(), subtask.prepared()});
        continue;
      }
      RestoredOperator::Subtask restored;
      for (const auto& part : subtask.parts())
        restored.parts.push_back({part.name(), part.content(), part.type()});
      m.operators[op.name()].subtasks.push_back(std::move(restored));
    }
  }
  // A source finds its positions where every other operator finds its parts.
  for (const SourcePositions& s : m.sources) {
    auto& restored = m.operators[s.source];
    if (restored.subtasks.empty()) restored.subtasks.emplace_back();
    restored.subtasks.front().positions = s.splits;
  }
  for (const auto& f : from.files()) m.files.push_back({f.name(), f.size(), f.checksum()});
  return m;
}

std::uint64_t manifest_hash(ByteView encoded) { return hash_bytes(encoded); }

}  // namespace tidemill
