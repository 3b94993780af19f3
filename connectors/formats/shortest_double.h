// The fewest digits that read back as the same double, as std::to_chars finds them, in half the
// time: for values as sums, means and prices have them.
#pragma once

namespace tidemill {

// Writes `value` with digits on both sides of a point, and returns the end; touches at most 40
// bytes. Requires: it has a fraction, and 1e-6 <= |value| < 2^53.
char* write_shortest_double(double value, char* out);

}  // namespace tidemill
