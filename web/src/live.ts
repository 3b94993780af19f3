// What the views are fed by: the event stream of a job, and calls repeated while a view is open.
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import type { RefObject } from "preact";
import { ApiError, events, get, now_ms } from "./api";
import type { Graph, Status } from "./types";

export interface Connection {
  state: "connecting" | "live" | "lost";
  since_ms: number; // of "lost": when something was heard last
  error: ApiError | null;
}

export interface Sample {
  at_ms: number;
  events: number | null;
  rows: number | null;
  lag: number | null;
  age: number | null; // of the watermark
}

export interface Live {
  status: Status | null;
  graph: Graph | null;
  connection: Connection;
  history: Sample[]; // while the page is open, at most kHistory
}

const kHistory = 600;
const kRetry_ms = [500, 1_000, 2_000, 5_000];

function sample(status: Status): Sample {
  const at_ms = now_ms();
  const lag = status.lag_records === null ? null : Number(status.lag_records);
  return {
    at_ms,
    events: status.rates.events_per_s,
    rows: status.rates.rows_per_s,
    lag,
    age: status.watermark_ms === null ? null : at_ms - status.watermark_ms,
  };
}

const wait = (time_ms: number, signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    const timer = setTimeout(resolve, time_ms);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      resolve();
    });
  });

export const as_error = (error: unknown): ApiError =>
  error instanceof ApiError ? error : new ApiError(0, String(error), "");

const kNothing: Live = {
  status: null,
  graph: null,
  connection: { state: "connecting", since_ms: 0, error: null },
  history: [],
};

export function use_live(base: string): Live {
  const [live, set_live] = useState<Live>(kNothing);
  useEffect(() => {
    const abort = new AbortController();
    set_live({ ...kNothing, connection: { state: "connecting", since_ms: now_ms(), error: null } });
    let failures = 0;
    const take = (data: string): void => {
      const { status, graph } = JSON.parse(data) as { status: Status; graph: Graph };
      failures = 0;
      set_live((before) => ({
        status,
        graph,
        connection: { state: "live", since_ms: now_ms(), error: null },
        history: [...before.history.slice(1 - kHistory), sample(status)],
      }));
    };
    const run = async (): Promise<void> => {
      while (!abort.signal.aborted) {
        try {
          await events(`${base}/events`, take, abort.signal);
        } catch (error) {
          if (abort.signal.aborted) return;
          set_live((before) => ({
            ...before,
            // Since the last event, or, when there was none, since the first try.
            connection: { state: "lost", since_ms: before.connection.since_ms, error: as_error(error) },
          }));
        }
        await wait(kRetry_ms[Math.min(failures++, kRetry_ms.length - 1)] ?? 0, abort.signal);
      }
    };
    void run();
    return () => abort.abort();
  }, [base]);
  return live;
}

export interface Polled<T> {
  data: T | null;
  error: ApiError | null; // of the last try; data is then what was known before
}

// Gets `url` now and every `every_ms` (0: once). null asks nothing.
export function use_poll<T>(url: string | null, every_ms: number): Polled<T> {
  const [polled, set_polled] = useState<Polled<T> & { url: string | null }>({ data: null, error: null, url });
  useEffect(() => {
    if (url === null) return;
    const abort = new AbortController();
    const run = async (): Promise<void> => {
      do {
        try {
          const data = await get<T>(url, abort.signal);
          if (!abort.signal.aborted) set_polled({ data, error: null, url });
        } catch (error) {
          if (abort.signal.aborted) return;
          set_polled((before) => ({ data: before.url === url ? before.data : null, error: as_error(error), url }));
        }
        await wait(every_ms, abort.signal);
      } while (every_ms > 0 && !abort.signal.aborted);
    };
    void run();
    return () => abort.abort();
  }, [url, every_ms]);
  return polled.url === url ? polled : { data: null, error: null };
}

// The time, again each second.
export function use_now(): number {
  const [now, set_now] = useState(now_ms());
  useEffect(() => {
    const timer = setInterval(() => set_now(now_ms()), 1_000);
    return () => clearInterval(timer);
  }, []);
  return now;
}

// Width in pixels of the element that gets the ref.
export function use_width<E extends HTMLElement>(guess: number): [RefObject<E>, number] {
  const ref = useRef<E>(null);
  const [width, set_width] = useState(guess);
  useLayoutEffect(() => {
    const element = ref.current;
    if (element === null) return;
    set_width(element.clientWidth);
    const observer = new ResizeObserver(() => set_width(element.clientWidth));
    observer.observe(element);
    return () => observer.disconnect();
  }, []);
  return [ref, width];
}
