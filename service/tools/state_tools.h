// The state in a checkpoint for people: what there is, what a key has, what differs between two.
// Reads files only; the program that wrote them and a server are not needed. Answers are JSON, of
// the shape that a job's API gives (docs/decisions/0004_operate.md).
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <string>

#include "engine/checkpoint/manifest.h"
#include "state/state_reader.h"

namespace tidemill::tools {

// One checkpoint. One thread.
class OpenedCheckpoint {
 public:
  // `place`: the folder of a checkpoint, or that of a job. `id`: of a job's folder; a number alone
  // will do, empty or "latest" is the newest. Throws Error(kConfig) saying what is there,
  // Error(kCorrupt), Error(kIo).
  explicit OpenedCheckpoint(const std::filesystem::path& place, const std::string& id = "");

  [[nodiscard]] const Manifest& manifest() const { return manifest_; }
  [[nodiscard]] const std::filesystem::path& folder() const { return folder_; }
  [[nodiscard]] const StateReader& reader() const { return *reader_; }

 private:
  Manifest manifest_;
  std::filesystem::path folder_;
  std::unique_ptr<StateReader> reader_;
};

// {checkpoint, states: [{operator, state, kind, key, value, entries, bytes}]}; also what belongs to
// no key (kind "operator"). `counts`: rows are counted, which reads all of them.
std::string states_json(const OpenedCheckpoint& checkpoint, bool counts);

// {found, operator, state, key, key_group, subtask, watermark_ms, checkpoint, value}: `value` is
// that of the key, or by windows an array of {window_ms, value}, of timers and maps one of {key,
// value}. Throws Error(kConfig) if there is no such state, or the text is no key of it.
std::string key_json(const OpenedCheckpoint& checkpoint, const StateName& name,
                     const std::string& key);

// Which states, and which of their keys, are looked at; what is empty is no choice.
struct StateFilter {
  std::string op;
  std::string state;
  std::string key;
};
// {a, b, states: [{operator, state, same, only_a, only_b, different, in_parts, differences: [{key,
// window_ms, a, b}]}]}, with up to `samples` of each kind a state; of those in parts only the
// program could tell whether they differ. Reads both as streams. Throws Error(kConfig) if no state
// is meant.
std::string difference_json(const OpenedCheckpoint& a, const OpenedCheckpoint& b,
                            const StateFilter& filter, std::size_t samples);

}  // namespace tidemill::tools
