// What a key costs in memory: a value of 8 bytes each of so many keys, in the tables of the memory
// backend.
//
//   key_memory u64|text KEYS
//
// Prints one JSON object: bytes a key that are the user's own (key and value; a text of 24
// characters), those that tables charge, and by how much the process has grown.
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <string_view>
#include <unistd.h>

#include "bench/state/subtask.h"
#include "state/keyed_value.h"

namespace tidemill {
namespace {

std::size_t resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  std::size_t all = 0;
  std::size_t resident = 0;
  statm >> all >> resident;
  return resident * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

std::uint64_t make_key(std::uint64_t n, std::uint64_t*) { return n * 7919; }
std::string make_key(std::uint64_t n, std::string*) {
  char text[32];
  std::snprintf(text, sizeof text, "user-%019" PRIu64, n);
  return text;
}

template <class K>
int measure(const char* name, std::uint64_t keys, std::size_t key_bytes) {
  BenchSubtask subtask;
  KeyedValue<K, std::int64_t> counts(subtask.context(), "counts");
  const std::size_t before = resident_bytes();
  for (std::uint64_t n = 0; n < keys; ++n)
    counts[make_key(n, static_cast<K*>(nullptr))] = static_cast<std::int64_t>(n);
  counts.prefetch({});  // charges what has come
  const std::size_t after = resident_bytes();
  const std::int64_t* last = counts.find(make_key(keys - 1, static_cast<K*>(nullptr)));
  if (last == nullptr || *last != static_cast<std::int64_t>(keys - 1)) return 1;
  const auto each = [&](std::size_t bytes) {
    return static_cast<double>(bytes) / static_cast<double>(keys);
  };
  std::printf(R"({"key": "%s", "keys": %)" PRIu64
              R"(, "payload": %zu, "tables": %.1f, "resident": %.1f})"
              "\n",
              name, keys, key_bytes + sizeof(std::int64_t), each(subtask.backend().budget().used()),
              each(after - before));
  return 0;
}

}  // namespace
}  // namespace tidemill

int main(int argc, char** argv) {
  const std::string_view kind = argc > 1 ? argv[1] : "";
  const std::uint64_t keys = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 0;
  if (keys > 0 && kind == "u64") return tidemill::measure<std::uint64_t>("u64", keys, 8);
  if (keys > 0 && kind == "text") return tidemill::measure<std::string>("text", keys, 24);
  std::fprintf(stderr, "key_memory u64|text KEYS\n");
  return 2;
}
