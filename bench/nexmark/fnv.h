// FNV-1a of 64 bits: the checksum in which Nexmark's inputs and rows are published.
#pragma once

#include <cstdint>
#include <string_view>

namespace tidemill::nexmark {

class Fnv {
 public:
  void add(std::string_view bytes) {
    for (const char byte : bytes) {
      hash_ ^= static_cast<unsigned char>(byte);
      hash_ *= 0x100000001b3ULL;
    }
  }
  [[nodiscard]] std::uint64_t value() const { return hash_; }
  static std::uint64_t of(std::string_view bytes) {
    Fnv fnv;
    fnv.add(bytes);
    return fnv.value();
  }

 private:
  std::uint64_t hash_ = 0xcbf29ce484222325ULL;
};

}  // namespace tidemill::nexmark
