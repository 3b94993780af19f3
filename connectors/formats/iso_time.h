// ISO 8601 instants as text, to the millisecond, in the proleptic Gregorian calendar without leap
// seconds (docs/semantics.md 1).
//
// Read: YYYY-MM-DD, then `T`, `t` or a blank, then HH:MM or HH:MM:SS with any number of fraction
// digits behind `.` or `,`, then a zone: `Z`, `z`, +HH:MM, +HHMM or +HH. A text without a zone is
// no instant and is refused, and so are second 60 and hour 24. Digits beyond the millisecond are
// cut off. Years outside 0000..9999 need a sign and four to nine digits: +012026-01-01T00:00Z.
// Written: 2026-01-01T00:00:00.123Z, always UTC, always milliseconds; years outside 0000..9999 with
// sign and at least four digits, which is what java.time.Instant prints and what the reader above
// takes back.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "engine/base/time.h"

namespace tidemill {

// Nothing if `text` is not such an instant or lies outside the finite event times.
[[nodiscard]] std::optional<EventTime> parse_iso_time(std::string_view text);

// As a person gives it: such an instant, a bare day (its beginning), or epoch milliseconds.
[[nodiscard]] std::optional<EventTime> parse_given_time(const std::string& text);

// Enough for every EventTime; the infinities print as the instants their milliseconds are.
constexpr std::size_t kMaxIsoTimeSize = 32;

// Writes at most kMaxIsoTimeSize characters, without a terminating zero; returns the end.
char* write_iso_time(EventTime time, char* out);
void append_iso_time(std::string& out, EventTime time);

}  // namespace tidemill
