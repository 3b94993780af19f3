// The command line of `nexmark`.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "bench/nexmark/generator.h"

namespace tidemill::nexmark {

struct Options {
  std::vector<std::string> queries;  // names, in the order asked for
  std::int64_t events = 1'000'000;
  GeneratorSettings generator;
  std::string source = "memory";  // or file, kafka
  std::string sink = "count";     // or discard, file, kafka
  std::string backend = "memory";
  std::uint64_t memory = std::uint64_t{1} << 30;  // of state in memory; rocksdb spills beyond
  int parallelism = 1;
  std::optional<Duration> disorder;  // none: what the group size needs
  int repeat = 1;
  bool verify = false;
  bool hand = false;  // the hand-written loops beside
  bool json = false;
  bool hash_input = false;
  std::string dump_input;            // a file for the events as lines, or `-`
  std::string dir = "data/nexmark";  // of file logs and their checkpoints
  // Of a job (--source file or kafka): flags that are not this program's, and what the given ones
  // of this program set.
  std::vector<std::string> job_flags;
  std::vector<std::string> job_settings;
};

// Nothing: help or version was printed. Throws Error(kConfig) naming the wrong flag and what it may
// be.
std::optional<Options> parse_options(int argc, char** argv);

}  // namespace tidemill::nexmark
