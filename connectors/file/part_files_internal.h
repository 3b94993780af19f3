// What the sinks of this folder do alike: rows go to hidden files, of which a commit makes visible
// ones, and a restore by choice hidden ones again.
#pragma once

#include <cerrno>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "connectors/file/file_sink.h"
#include "engine/base/bytes.h"

namespace tidemill::file_internal {

inline constexpr std::size_t kWriteBytes = 256 * 1024;  // collected before a write
inline constexpr std::string_view kPartSuffix = ".part";
// What a checkpoint published that a restore by choice has given up; the restored one's successor's
// number follows.
inline constexpr std::string_view kGivenUpSuffix = ".given-up-";

[[noreturn]] void fail(const std::string& what, const std::filesystem::path& path,
                       int error = errno);

// "partition-P"
std::string partition_name(std::int32_t partition);
// Of a visible file, by which the files of a folder are ordered: 20 digits.
std::string file_name(std::int64_t number);
std::string part_name(std::int64_t number);
bool is_visible(const std::string& name);
bool is_part(const std::string& name);
// The number of a visible file. Throws Error(kConfig) if it is not one of ours.
std::int64_t number_of(const std::filesystem::path& file);

// Writes all of it and empties it. Throws Error(kIo).
void write_all(int fd, std::string& bytes, const std::filesystem::path& path);

// In `prepared`: a file of a folder (relative to the sink's) gets another name with the commit.
void append_rename(Bytes& prepared, const std::string& folder, const std::string& from,
                   const std::string& to);
// Row E where the manifest is the commit record: only its output still tells of a checkpoint whose
// folder is gone.
[[noreturn]] void refuse_published(const std::filesystem::path& file);
// Out of sight with the first commit of the new lineage, until which it counts.
void give_up(Bytes& prepared, const std::filesystem::path& dir, const std::string& folder,
             const std::string& name, CheckpointId first_of_choice);

// A sink whose commits do the renames in what its checkpoints prepared, any number of times with
// the same result; without what makes it and what discards its hidden files.
SinkSpec spec_of(const FileSinkSettings& settings);

}  // namespace tidemill::file_internal
