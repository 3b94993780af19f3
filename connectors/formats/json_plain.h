// JSON in, the short way: records as nearly all of a stream are. What it does not take may still be
// good; JsonReader decides then.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "connectors/formats/json_fields.h"

namespace tidemill {

// Takes an object without blanks, with just the listed fields in the order of the list, without
// escapes, exponents, nulls, and numbers of more than 15 digits. What it reads is what JsonReader
// reads of the same bytes. Immutable.
class PlainJson {
 public:
  explicit PlainJson(const std::vector<JsonSlot>& slots);

  // Requires: 64 bytes behind the record may be read; `row` points to the struct the slots were
  // made for. False: not one of these records; the members hold anything valid.
  [[nodiscard]] bool read(std::string_view record, char* row) const;

 private:
  static constexpr std::size_t kWords = 4;

  // `{"name":` or `,"name":`, compared eight bytes at a time.
  struct Field {
    std::array<std::uint64_t, kWords> text{};
    std::array<std::uint64_t, kWords> mask{};
    std::size_t size = 0;
    JsonKind kind{};
    std::size_t offset = 0;

    [[nodiscard]] bool is_at(const char* at) const;
  };

  std::vector<Field> fields_;  // none: there is no short way
};

}  // namespace tidemill
