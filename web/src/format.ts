// Numbers and times as text: no locale, a thin number of digits, UTC.
import type { Int, Maybe } from "./types";

export const kUnknown = "–";

export function number(value: Maybe<Int> | undefined): Maybe<number> {
  if (value === null || value === undefined) return null;
  const n = typeof value === "string" ? Number(value) : value;
  return Number.isFinite(n) ? n : null;
}

// Three significant digits: 7.32, 73.2, 732.
function digits(n: number): string {
  const size = Math.abs(n);
  if (size >= 99.95 || Number.isInteger(n)) return n.toFixed(0);
  return n.toFixed(size >= 9.995 ? 1 : 2);
}

function scaled(n: number, step: number, units: readonly string[]): string {
  let size = Math.abs(n);
  let unit = 0;
  // 999.95 would be rounded to 1000.
  while (size >= (step === 1000 ? 999.5 : 1023.5) && unit + 1 < units.length) {
    size /= step;
    ++unit;
  }
  const text = unit === 0 && size >= 10 ? size.toFixed(0) : digits(size);
  return `${n < 0 ? "−" : ""}${text}${units[unit] === "" ? "" : `\u202f${units[unit]}`}`;
}

// 1.24 k, 73.2 M.
export function si(value: Maybe<Int> | undefined): string {
  const n = number(value);
  return n === null ? kUnknown : scaled(n, 1000, ["", "k", "M", "G", "T", "P"]);
}

export function rate(value: Maybe<Int> | undefined): string {
  return number(value) === null ? kUnknown : `${si(value)}/s`;
}

export function bytes(value: Maybe<Int> | undefined): string {
  const n = number(value);
  return n === null ? kUnknown : scaled(n, 1024, ["B", "KiB", "MiB", "GiB", "TiB", "PiB"]);
}

// A whole number with its thousands apart; text beyond 2^53 keeps every digit.
export function whole(value: Maybe<Int> | undefined): string {
  if (value === null || value === undefined) return kUnknown;
  return String(value).replace(/\B(?=(\d{3})+(?!\d))/g, "\u202f");
}

export function percent(share: Maybe<number> | undefined): string {
  if (share === null || share === undefined) return kUnknown;
  const n = share * 100;
  return `${n > 0 && n < 9.95 ? n.toFixed(1) : n.toFixed(0)}\u202f%`;
}

const two = (n: number): string => String(n).padStart(2, "0");

// 830 µs, 3.2 ms, 4.7 s, 4 m 05 s, 2 h 10 m, 3 d 4 h.
export function duration(value_ms: Maybe<Int> | undefined): string {
  const n = number(value_ms);
  if (n === null) return kUnknown;
  if (n < 0) return `−${duration(-n)}`;
  if (n === 0) return "0\u202fs";
  if (n < 0.9995) return `${digits(n * 1000)}\u202fµs`;
  if (n < 999.5) return `${digits(n)}\u202fms`;
  if (n < 59_950) return `${digits(n / 1000)}\u202fs`;
  const seconds = Math.round(n / 1000);
  if (seconds < 3600) return `${Math.floor(seconds / 60)}\u202fm\u00a0${two(seconds % 60)}\u202fs`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 24 * 60) return `${Math.floor(minutes / 60)}\u202fh\u00a0${two(minutes % 60)}\u202fm`;
  const hours = Math.floor(minutes / 60);
  return `${Math.floor(hours / 24)}\u202fd\u00a0${hours % 24}\u202fh`;
}

export function micros(value_us: Maybe<Int> | undefined): string {
  const n = number(value_us);
  return n === null ? kUnknown : duration(n / 1000);
}

// Whole seconds, for what changes once a second.
export function roughly(value_ms: number): string {
  if (Math.abs(value_ms) < 59_950) return `${Math.round(value_ms / 1000)}\u202fs`;
  return duration(value_ms);
}

function valid(at_ms: Maybe<number> | undefined): at_ms is number {
  return typeof at_ms === "number" && Math.abs(at_ms) <= 8.64e15;
}

export function date_time(at_ms: Maybe<number> | undefined): string {
  if (!valid(at_ms)) return kUnknown;
  return `${new Date(at_ms).toISOString().slice(0, 19).replace("T", " ")}\u00a0UTC`;
}

export function clock_time(at_ms: Maybe<number> | undefined): string {
  return valid(at_ms) ? new Date(at_ms).toISOString().slice(11, 19) : kUnknown;
}

export function ago(at_ms: Maybe<number> | undefined, now_ms: number): string {
  if (!valid(at_ms)) return kUnknown;
  const age = now_ms - at_ms;
  return age < 0 ? `in ${roughly(-age)}` : `${roughly(age)} ago`;
}

// "partition_idle" -> "partition idle".
export const words = (id: string): string => id.replace(/_/g, " ");

export function as_text(value: unknown): string {
  if (value === null || value === undefined) return kUnknown;
  return typeof value === "string" ? value : JSON.stringify(value);
}
