// A key as people read it, in metrics and in samples.
#pragma once

#include <array>
#include <concepts>
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>
#include <type_traits>

namespace tidemill {

// Numbers and texts (the first 64 bytes) as they are, of other keys the hash; of one without
// content nothing.
template <class K>
std::string key_text(const K& key, std::uint64_t hash) {
  constexpr std::size_t kMostText = 64;
  if constexpr (std::is_empty_v<K>) {
    return {};
  } else if constexpr (std::integral<K>) {
    return std::to_string(key);
  } else if constexpr (std::convertible_to<const K&, std::string_view>) {
    return std::string(std::string_view(key).substr(0, kMostText));
  } else {
    std::array<char, 18> hex{};
    std::snprintf(hex.data(), hex.size(), "#%016llx", static_cast<unsigned long long>(hash));
    return hex.data();
  }
}

}  // namespace tidemill
