// The parts that views are made of.
import type { ComponentChildren, JSX } from "preact";
import { useErrorBoundary, useState } from "preact/hooks";
import type { ApiError } from "./api";
import { ago, clock_time, date_time } from "./format";
import type { Maybe } from "./types";

export function Panel(props: {
  title: string;
  note?: ComponentChildren;
  wide?: boolean;
  children: ComponentChildren;
}): JSX.Element {
  return (
    <section class={props.wide === false ? "panel" : "panel wide"}>
      <header>
        <h2>{props.title}</h2>
        {props.note !== undefined && <p class="note">{props.note}</p>}
      </header>
      {props.children}
    </section>
  );
}

export interface Column<Row> {
  title: string;
  value: (row: Row) => ComponentChildren;
  sort?: (row: Row) => number | string | null; // none: not sortable
  number?: boolean;
  wrap?: boolean;
}

function compare(a: number | string | null, b: number | string | null): number {
  if (a === b) return 0;
  if (a === null) return 1;
  if (b === null) return -1;
  return a < b ? -1 : 1;
}

// A table that scrolls sideways within itself when it has to; a heading with an order is a button.
export function Table<Row>(props: {
  label: string;
  columns: Column<Row>[];
  rows: Row[];
  id: (row: Row) => string;
  empty: string;
  row_class?: (row: Row) => string;
}): JSX.Element {
  const [order, set_order] = useState<{ column: string; down: boolean } | null>(null);
  if (props.rows.length === 0) return <Empty text={props.empty} />;
  const by = props.columns.find((column) => column.title === order?.column)?.sort;
  const sign = order?.down === true ? -1 : 1;
  const rows = by === undefined ? props.rows : [...props.rows].sort((a, b) => sign * compare(by(a), by(b)));
  const click = (column: Column<Row>): void => {
    const first = column.number === true;
    set_order((now) =>
      now?.column !== column.title
        ? { column: column.title, down: first }
        : now.down === first
          ? { column: column.title, down: !first }
          : null,
    );
  };
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label={props.label}>
      <table>
        <thead>
          <tr>
            {props.columns.map((column) => (
              <th
                key={column.title}
                scope="col"
                class={column.number === true ? "number" : ""}
                aria-sort={order?.column !== column.title ? undefined : order.down ? "descending" : "ascending"}
              >
                {column.sort === undefined ? (
                  column.title
                ) : (
                  <button type="button" class="sort" onClick={() => click(column)}>
                    {column.title}
                    <span aria-hidden="true" class="arrow">
                      {order?.column !== column.title ? "" : order.down ? "▾" : "▴"}
                    </span>
                  </button>
                )}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={props.id(row)} class={props.row_class?.(row) ?? ""}>
              {props.columns.map((column) => (
                <td key={column.title} class={`${column.number === true ? "number" : ""} ${column.wrap === true ? "wrap" : ""}`}>
                  {column.value(row)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

// An answer that is not as agreed costs its own view only. Give it a key, so that another view begins anew.
export function Guard(props: { children: ComponentChildren }): JSX.Element {
  const [error, again] = useErrorBoundary() as [unknown, () => void];
  if (error === undefined || error === null) return <>{props.children}</>;
  return (
    <div class="notice bad" role="alert">
      <p>This cannot be shown, the answer is not as expected: {String(error)}</p>
      <p class="next">Do page and job have the same version? The answers themselves are at /api/v1.</p>
      <button type="button" onClick={again}>try again</button>
    </div>
  );
}

export const Empty = (props: { text: string }): JSX.Element => <p class="empty">{props.text}</p>;

// What to show of a call that has no data (yet).
export function Waiting(props: { error: ApiError | null }): JSX.Element {
  return props.error === null ? <p class="empty">Loading…</p> : <Refused error={props.error} />;
}

export function Refused(props: { error: ApiError }): JSX.Element {
  return (
    <div class="notice bad" role="status">
      <p>{props.error.message}</p>
      {props.error.next !== "" && <p class="next">{props.error.next}</p>}
    </div>
  );
}

// Above data of an earlier call, when the last one failed.
export function Stale(props: { error: ApiError | null }): JSX.Element | null {
  if (props.error === null) return null;
  return (
    <p class="notice warn" role="status">
      Not up to date: {props.error.message}
    </p>
  );
}

export function Ago(props: { at_ms: Maybe<number> | undefined; now: number }): JSX.Element {
  return <time title={date_time(props.at_ms)}>{ago(props.at_ms, props.now)}</time>;
}

// Time of day with its age; the date is in the title.
export function At(props: { at_ms: Maybe<number> | undefined; now: number }): JSX.Element {
  return (
    <time title={date_time(props.at_ms)}>
      {clock_time(props.at_ms)} <span class="quiet">{ago(props.at_ms, props.now)}</span>
    </time>
  );
}

export function Chip(props: { kind: "good" | "warn" | "bad" | "plain"; text: string }): JSX.Element {
  return <span class={`chip ${props.kind}`}>{props.text}</span>;
}

export function state_kind(state: string): "good" | "warn" | "bad" | "plain" {
  if (state === "running") return "good";
  if (state === "failed" || state === "crash_loop" || state === "lost") return "bad";
  if (state === "restarting" || state === "backing_off" || state === "starting" || state === "stopping" || state === "declined") return "warn";
  return "plain";
}

// A share of 1 as a bar; the number stands beside it.
export function Bar(props: { share: number; kind?: string }): JSX.Element {
  const share = Math.max(0, Math.min(1, props.share));
  return (
    <svg class="bar" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">
      <rect class="track" width="100" height="8" rx="2" />
      <rect class={props.kind ?? "fill"} width={100 * share} height="8" rx="2" />
    </svg>
  );
}
