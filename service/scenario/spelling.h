// How times and rows of a scenario are spelled.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/time.h"
#include "service/scenario/value.h"

namespace tidemill::scenario {

// The time that `text` spells; "inf" and "-inf" only where `infinite`. Nothing if it spells none.
enum class Infinite { kNo, kYes };
std::optional<EventTime> read_time(std::string_view text, Infinite infinite = Infinite::kNo);
// With the largest unit that divides it; 0 bare.
std::string print(EventTime time);

// Letters, digits, _; not empty.
bool is_key(std::string_view text);

std::string window_row(const std::string& key, EventTime start, EventTime end, const Value& result);
std::string late_row(const std::string& key, EventTime time, const Value& value);

// A command to the kind `timers`: [+|-][p]TIME[/name].
bool is_timer_command(std::string_view text);
// A word that never is a row by itself: late, delete, fire, and left and right after late.
bool is_prefix(const std::vector<std::string_view>& words);
// The canonical spelling of an expected row, given as its blank-separated words; nothing if it is
// no row.
std::optional<std::string> canonical_row(const std::vector<std::string_view>& words);

}  // namespace tidemill::scenario
