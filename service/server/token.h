// Who may do what: bearer tokens and their roles.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>

namespace tidemill::server {

// Each may do what the ones before it may.
enum class Role { kNone, kViewer, kOperator, kAdmin };

[[nodiscard]] std::string_view name_of(Role role);
// viewer, operator, admin.
[[nodiscard]] std::optional<Role> parse_role(std::string_view text);

// 256 random bits as text ("tm_" and 64 hexadecimal digits). Shown to its owner once, kept as its
// hash only. Throws Error(kInternal) if the system has no randomness.
[[nodiscard]] std::string new_token();
// SHA-256 as 64 hexadecimal digits.
[[nodiscard]] std::string sha256_hex(std::string_view bytes);
// Takes the same time wherever they differ.
[[nodiscard]] bool equal_in_constant_time(std::string_view a, std::string_view b);

// SHA-256 of what comes in pieces. One thread.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;
  void add(std::string_view bytes);
  [[nodiscard]] std::string hex();  // once

 private:
  void* context_;
};

// The token of "Bearer TOKEN"; nothing if the header is another.
[[nodiscard]] std::optional<std::string> bearer_token(std::string_view authorization);

}  // namespace tidemill::server
