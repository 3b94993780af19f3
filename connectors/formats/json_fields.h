// Which member of a struct is which field of a JSON object: made once per type, used for reading
// and writing.
//
//   struct Click { std::string user; tidemill::EventTime at; std::optional<double> value; };
//   BOOST_DESCRIBE_STRUCT(Click, (), (user, at, value))
//   auto by_name = JsonFields<Click>::described();                        // "user", "at", "value"
//   JsonFields<Click> renamed{{"user_id", &Click::user}, {"timestamp", &Click::at}};
//
// A member is bool, std::int64_t, std::uint64_t, double, std::string, tidemill::EventTime, or
// std::optional of one of them. A plain member must be in the record; an optional one is empty when
// the field is absent or null.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <boost/describe/members.hpp>
#include <boost/describe/modifiers.hpp>
#include <boost/mp11/algorithm.hpp>

#include "engine/base/time.h"

namespace tidemill {

// Below it (2^53) every whole number is a double of its own.
inline constexpr double kExactIntegers = 9007199254740992.0;

enum class JsonKind : std::uint8_t { kBool, kInt64, kUint64, kDouble, kString, kEventTime };

// One member, its type erased: where it lies in the struct and what it holds.
struct JsonSlot {
  std::string name;
  JsonKind kind = JsonKind::kBool;
  bool is_optional = false;
  std::size_t offset = 0;
};

namespace json_detail {

template <class M>
struct Unwrapped {
  using type = M;
  static constexpr bool kIsOptional = false;
};
template <class M>
struct Unwrapped<std::optional<M>> {
  using type = M;
  static constexpr bool kIsOptional = true;
};

template <class M>
constexpr JsonKind kind_of() {
  if constexpr (std::is_same_v<M, bool>) {
    return JsonKind::kBool;
  } else if constexpr (std::is_same_v<M, std::int64_t>) {
    return JsonKind::kInt64;
  } else if constexpr (std::is_same_v<M, std::uint64_t>) {
    return JsonKind::kUint64;
  } else if constexpr (std::is_same_v<M, double>) {
    return JsonKind::kDouble;
  } else if constexpr (std::is_same_v<M, std::string>) {
    return JsonKind::kString;
  } else {
    static_assert(
        std::is_same_v<M, EventTime>,
        "a JSON field is bool, std::int64_t, std::uint64_t, double, std::string, "
        "tidemill::EventTime or std::optional of "
        "one of them: change the member's type, or leave it out with an explicit JsonFields list");
    return JsonKind::kEventTime;
  }
}

}  // namespace json_detail

// Requires: T can be made without arguments.
template <class T>
class JsonFields {
 public:
  struct Field {
    template <class M>
    Field(std::string_view name, M T::*member) {
      using Plain = json_detail::Unwrapped<M>;
      const T probe{};
      slot.name = name;
      slot.kind = json_detail::kind_of<typename Plain::type>();
      slot.is_optional = Plain::kIsOptional;
      slot.offset =
          static_cast<std::size_t>(reinterpret_cast<const char*>(std::addressof(probe.*member)) -
                                   reinterpret_cast<const char*>(std::addressof(probe)));
    }
    JsonSlot slot;
  };

  JsonFields(std::initializer_list<Field> fields) {
    for (const Field& field : fields) slots_.push_back(field.slot);
  }

  // Every public member named in T's BOOST_DESCRIBE_STRUCT line, under its own name, in that order.
  static JsonFields described() {
    JsonFields fields({});
    boost::mp11::mp_for_each<boost::describe::describe_members<T, boost::describe::mod_public>>(
        [&](auto member) { fields.slots_.push_back(Field(member.name, member.pointer).slot); });
    return fields;
  }

  [[nodiscard]] const std::vector<JsonSlot>& slots() const { return slots_; }

 private:
  std::vector<JsonSlot> slots_;
};

}  // namespace tidemill
