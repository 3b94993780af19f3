// Checkpoints: how long each phase took, what stalled, and from where the job can be restored.
import type { JSX } from "preact";
import { tick_step } from "./chart";
import { At, Chip, Panel, Stale, Table, Waiting, state_kind } from "./components";
import { bytes, clock_time, date_time, duration, kUnknown, micros, number, whole } from "./format";
import { use_now, use_poll, use_width } from "./live";
import type { CheckpointRun, Checkpoints, Phase } from "./types";
import { kPhases } from "./types";

const kNames: Record<Phase, string> = { align_us: "align", drain_us: "drain", store_us: "store", commit_us: "commit" };
const kHeight = 170;
const kLeft = 58;
const kTop = 10;
const kBottom = 22;
const kShown = 60;

const phase_us = (run: CheckpointRun, phase: Phase): number => number(run.phases?.[phase]) ?? 0;

function Bars(props: { runs: CheckpointRun[] }): JSX.Element {
  const [ref, width] = use_width<HTMLDivElement>(600);
  const runs = props.runs.slice(0, Math.max(10, Math.min(kShown, Math.floor((width - kLeft) / 7)))).reverse();
  const sum = (run: CheckpointRun): number =>
    Math.max(number(run.duration_us) ?? 0, kPhases.reduce((total, phase) => total + phase_us(run, phase), 0));
  const most_ms = Math.max(1, ...runs.map(sum)) / 1000;
  const step = tick_step(most_ms, 3);
  const top = Math.ceil(most_ms / step - 1e-9) * step;
  const y = (time_ms: number): number => kTop + (1 - time_ms / top) * (kHeight - kTop - kBottom);
  const slot = (width - kLeft - 8) / Math.max(runs.length, 12);
  const bar = Math.min(22, slot * 0.78);
  return (
    <figure class="chart">
      <figcaption>
        <span class="chart-title">duration by phase</span>
        <span class="legend">
          {kPhases.map((phase) => (
            <span key={phase} class="legend-item">
              <svg width="12" height="12" aria-hidden="true">
                <rect class={`phase ${kNames[phase]}`} width="12" height="12" rx="2" />
              </svg>
              {kNames[phase]}
            </span>
          ))}
          <span class="legend-item">
            <svg width="12" height="12" aria-hidden="true">
              <path class="cross" d="M2 2L10 10M10 2L2 10" />
            </svg>
            not committed
          </span>
        </span>
      </figcaption>
      <div ref={ref}>
        <svg width={width} height={kHeight} role="img" aria-label={`duration by phase of the last ${runs.length} checkpoints; the table below has the numbers`}>
          {Array.from({ length: Math.round(top / step) + 1 }, (_, i) => i * step).map((tick) => (
            <g key={tick}>
              <path class="grid" d={`M${kLeft} ${y(tick)}H${width - 8}`} />
              <text class="axis" x={kLeft - 8} y={y(tick) + 4} text-anchor="end">{duration(tick)}</text>
            </g>
          ))}
          {runs.map((run, i) => {
            let from = 0;
            const x = kLeft + i * slot + (slot - bar) / 2;
            return (
              <g key={run.id}>
                <title>{`${run.seq}, ${date_time(run.triggered_ms)}: ${micros(run.duration_us)}, ${run.result}`}</title>
                {kPhases.map((phase) => {
                  const part = phase_us(run, phase) / 1000;
                  const at = from;
                  from += part;
                  return <rect key={phase} class={`phase ${kNames[phase]}`} x={x} width={bar} y={y(at + part)} height={Math.max(0, y(at) - y(at + part))} />;
                })}
                {run.result !== "committed" && (
                  <path class="cross" d={`M${x + bar / 2 - 4} ${y(from) - 10}l8 8m0 -8l-8 8`} />
                )}
              </g>
            );
          })}
          <text class="axis" x={kLeft} y={kHeight - 5}>{clock_time(runs[0]?.triggered_ms)}</text>
          <text class="axis" x={width - 8} y={kHeight - 5} text-anchor="end">{clock_time(runs[runs.length - 1]?.triggered_ms)}</text>
        </svg>
      </div>
    </figure>
  );
}

export function CheckpointsView(props: { base: string }): JSX.Element {
  const { data, error } = use_poll<Checkpoints>(`${props.base}/checkpoints`, 2_000);
  const now = use_now();
  if (data === null) return <Waiting error={error} />;
  return (
    <>
      <Stale error={error} />
      <Panel title="Checkpoints" note="newest first, of this process">
        {data.history.length > 0 && <Bars runs={data.history} />}
        <Table
          label="checkpoints"
          rows={data.history}
          id={(c) => `${c.id} ${c.seq} ${c.triggered_ms ?? ""}`}
          empty="This process has taken no checkpoint yet."
          columns={[
            { title: "seq", value: (c) => whole(c.seq), sort: (c) => number(c.seq), number: true },
            { title: "begun", value: (c) => <At at_ms={c.triggered_ms} now={now} />, sort: (c) => c.triggered_ms },
            { title: "result", value: (c) => (c.result === "committed" ? <span class="quiet">committed</span> : <Chip kind={state_kind(c.result)} text={c.result} />), sort: (c) => c.result },
            { title: "took", value: (c) => micros(c.duration_us), sort: (c) => number(c.duration_us), number: true },
            ...kPhases.map((phase) => ({
              title: kNames[phase],
              value: (c: CheckpointRun) => micros(c.phases?.[phase]),
              sort: (c: CheckpointRun) => number(c.phases?.[phase]),
              number: true,
            })),
            { title: "stall", value: (c) => micros(c.stall_us), sort: (c) => number(c.stall_us), number: true },
            { title: "bytes", value: (c) => bytes(c.bytes), sort: (c) => number(c.bytes), number: true },
            { title: "slowest", value: (c) => (c.slowest === null ? kUnknown : `${c.slowest.operator} / ${c.slowest.subtask}`) },
            { title: "reason", value: (c) => c.reason ?? "", wrap: true },
          ]}
        />
      </Panel>
      <Panel title="Restore points" note="A job restored from one goes on from there.">
        <Table
          label="restore points"
          rows={data.restore_points}
          id={(r) => r.id}
          empty="There is none: the job would begin anew."
          columns={[
            { title: "id", value: (r) => <code>{r.id}</code> },
            { title: "kind", value: (r) => <>{r.savepoint && <Chip kind="good" text="savepoint" />} {r.final && <Chip kind="plain" text="final" />}</> },
            { title: "seq", value: (r) => whole(r.seq), sort: (r) => number(r.seq), number: true },
            { title: "created", value: (r) => <At at_ms={r.created_ms} now={now} />, sort: (r) => r.created_ms },
            { title: "watermark", value: (r) => date_time(r.watermark_ms), sort: (r) => r.watermark_ms },
            { title: "bytes", value: (r) => bytes(r.bytes), sort: (r) => number(r.bytes), number: true },
            { title: "lineage", value: (r) => <code>{r.lineage ?? kUnknown}</code> },
          ]}
        />
      </Panel>
    </>
  );
}
