import assert from "node:assert/strict";
import { test } from "node:test";
import { ago, bytes, date_time, duration, micros, percent, rate, si, whole } from "../src/format.ts";

const plain = (text) => text.replace(/[\u202f\u00a0]/g, " ");
const each = (format, pairs) => {
  for (const [value, text] of pairs) assert.equal(plain(format(value)), text, String(value));
};

test("numbers have three digits and a unit, also where rounding goes over the edge of one", () => {
  each(si, [[0, "0"], [7, "7"], [0.4, "0.40"], [12.34, "12"], [999.4, "999"], [999.6, "1.00 k"], [1000, "1 k"], [1284004, "1.28 M"], [999_600, "1.00 M"],
    [-1500, "−1.50 k"], ["9312004411", "9.31 G"], [null, "–"], [undefined, "–"], [NaN, "–"]]);
  each(rate, [[48210, "48.2 k/s"], [null, "–"]]);
  each(bytes, [[0, "0 B"], [1023, "1023 B"], [1024, "1 KiB"], [812345678, "775 MiB"], ["1099511627776", "1 TiB"]]);
  each(percent, [[0, "0 %"], [0.0213, "2.1 %"], [0.31, "31 %"], [0.0995, "10 %"], [1, "100 %"], [null, "–"]]);
});

test("whole numbers keep all their digits beyond 2^53", () => {
  each(whole, [[0, "0"], [17211, "17 211"], ["9223372036854775807", "9 223 372 036 854 775 807"], [null, "–"]]);
});

test("durations read as a person says them", () => {
  each(duration, [[0, "0 s"], [0.83, "830 µs"], [3.2, "3.20 ms"], [999.6, "1.00 s"], [4700, "4.70 s"], [59_960, "1 m 00 s"], [245_000, "4 m 05 s"],
    [3_599_600, "1 h 00 m"], [7_800_000, "2 h 10 m"], [273_600_000, "3 d 4 h"], [-1500, "−1.50 s"], [null, "–"]]);
  each(micros, [["84120", "84.1 ms"], [null, "–"]]);
});

test("times are UTC, and what is no time is unknown", () => {
  each(date_time, [[0, "1970-01-01 00:00:00 UTC"], [1767225600000, "2026-01-01 00:00:00 UTC"], [null, "–"], [8.7e15, "–"]]);
  assert.equal(plain(ago(1_000, 4_400)), "3 s ago");
  assert.equal(plain(ago(4_000, 1_000)), "in 3 s");
});
