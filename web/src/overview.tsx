// What is wrong and what to do, then the state of the job in numbers.
import type { JSX } from "preact";
import { Ago, Chip, Empty, Panel, Table, Waiting } from "./components";
import { Chart } from "./chart";
import { bytes, date_time, duration, kUnknown, micros, number, percent, rate, roughly, si, whole, words } from "./format";
import { HeldBy } from "./graph";
import { use_now } from "./live";
import type { Live } from "./live";
import type { JobLine, Problem, ReplayProgress, Status } from "./types";

export function Problems(props: { problems: Problem[]; now: number }): JSX.Element {
  if (props.problems.length === 0) {
    return (
      <p class="notice good" role="status">
        No problem found.
      </p>
    );
  }
  return (
    <ul class="problems">
      {props.problems.map((problem) => (
        <li key={`${problem.id} ${problem.text}`} class={problem.severity === "error" ? "bad" : "warn"}>
          <p class="what">
            <Chip kind={problem.severity === "error" ? "bad" : "warn"} text={words(problem.id)} />
            <span>{problem.text}</span>
            <span class="quiet since">
              <Ago at_ms={problem.since_ms} now={props.now} />
            </span>
          </p>
          <p class="next">{problem.next}</p>
        </li>
      ))}
    </ul>
  );
}

export function Progress(props: { replay: ReplayProgress }): JSX.Element {
  const { replay } = props;
  const share = replay.percent === null ? null : Math.max(0, Math.min(1, replay.percent / 100));
  return (
    <div class="progress">
      <progress value={share ?? undefined} max="1" aria-label={`progress of ${replay.name} in event time`} />
      <p>
        <b>{percent(share)}</b> of event time, at {date_time(replay.at_ms)}
        {replay.eta_s !== null && <>, done in {roughly(replay.eta_s * 1000)}</>}
      </p>
      <p class="quiet">
        {date_time(replay.from_ms)} to {replay.until_ms === null ? "the end" : date_time(replay.until_ms)}
      </p>
    </div>
  );
}

function Facts(props: { status: Status; now: number }): JSX.Element {
  const { status, now } = props;
  return (
    <dl class="facts">
      <div><dt>started</dt><dd><Ago at_ms={status.started_ms} now={now} /></dd></div>
      <div><dt>restarts</dt><dd>{status.restarts ?? kUnknown}</dd></div>
      <div><dt>parallelism</dt><dd>{status.parallelism ?? kUnknown}</dd></div>
      <div><dt>events</dt><dd title={whole(status.totals.events)}>{si(status.totals.events)}</dd></div>
      <div><dt>rows</dt><dd title={whole(status.totals.rows)}>{si(status.totals.rows)}</dd></div>
      <div><dt>late</dt><dd>{whole(status.totals.late)}</dd></div>
      <div><dt>bad</dt><dd>{whole(status.totals.bad)}</dd></div>
      <div><dt>checkpoint took</dt><dd>{micros(status.checkpoint.duration_us)}</dd></div>
      <div><dt>state stored</dt><dd>{bytes(status.checkpoint.bytes)}</dd></div>
      <div><dt>interval</dt><dd>{duration(status.checkpoint.interval_ms)}</dd></div>
      <div><dt>pid</dt><dd>{status.pid ?? kUnknown}</dd></div>
      <div><dt>version</dt><dd>{status.version}</dd></div>
    </dl>
  );
}

// line: what the server says of a job that does not answer for itself.
export function OverviewView(props: { live: Live; line: JobLine | null }): JSX.Element {
  const { status, history, connection } = props.live;
  const { line } = props;
  const now = use_now();
  const of_line = line !== null && Array.isArray(line.problems) && line.problems.length > 0 && (
    <div class="now">
      <Panel title={`Problems (${line.problems.length})`} note={`the server says: ${words(line.state)}`}>
        <Problems problems={line.problems} now={now} />
      </Panel>
    </div>
  );
  if (status === null) return of_line === false ? <Waiting error={connection.error} /> : of_line;
  if (of_line !== false) return of_line;
  const times = history.map((s) => s.at_ms);
  return (
    <>
      <Panel title={status.problems.length === 0 ? "Problems" : `Problems (${status.problems.length})`}>
        <Problems problems={status.problems} now={now} />
        <HeldBy holder={status.watermark_holder} />
        {status.last_failure !== null && (
          <p class="last-failure">
            <b>Last failure:</b> {status.last_failure}
          </p>
        )}
      </Panel>
      {status.replay !== null && (
        <Panel title={`Replay ${status.replay.name}`}>
          <Progress replay={status.replay} />
        </Panel>
      )}
      <Panel title="Job">
        <Facts status={status} now={now} />
      </Panel>
      <Panel title="Throughput" wide={false} note="since this page was opened">
        <Chart
          title="records/s"
          times={times}
          format={si}
          lines={[
            { name: "events in", kind: "main", points: history.map((s) => s.events) },
            { name: "rows out", kind: "second", points: history.map((s) => s.rows) },
          ]}
        />
      </Panel>
      <Panel title="Backlog" wide={false} note="records not read yet">
        <Chart title="lag" times={times} format={si} lines={[{ name: "records", kind: "main", points: history.map((s) => s.lag) }]} />
      </Panel>
      <Panel title="Outputs" wide={false} note="event age when a row is out">
        {status.freshness.length === 0 ? (
          <Empty text="No row is out yet." />
        ) : (
          <Table
            label="outputs"
            rows={status.freshness}
            id={(f) => f.output}
            empty=""
            columns={[
              { title: "output", value: (f) => f.output, sort: (f) => f.output },
              { title: "p50", value: (f) => duration(f.p50_ms), sort: (f) => f.p50_ms, number: true },
              { title: "p99", value: (f) => duration(f.p99_ms), sort: (f) => f.p99_ms, number: true },
              { title: "max", value: (f) => duration(f.max_ms), sort: (f) => f.max_ms, number: true },
            ]}
          />
        )}
      </Panel>
      <Panel title="Sources" wide={false} note={`${rate(status.rates.events_per_s)} in all`}>
        <Table
          label="sources by partition"
          rows={status.sources}
          id={(s) => `${s.name} ${s.split}`}
          empty="No source has a partition yet."
          row_class={(s) => (status.watermark_holder?.source === s.name && status.watermark_holder.split === s.split ? "holder" : "")}
          columns={[
            { title: "source", value: (s) => s.name, sort: (s) => s.name },
            { title: "partition", value: (s) => s.split, sort: (s) => s.split },
            { title: "offset", value: (s) => whole(s.offset), number: true },
            { title: "lag", value: (s) => si(s.lag_records), sort: (s) => number(s.lag_records), number: true },
            { title: "watermark", value: (s) => <Ago at_ms={s.watermark_ms} now={now} />, sort: (s) => s.watermark_ms, number: true },
            { title: "idle", value: (s) => (s.idle ? <Chip kind="plain" text="idle" /> : "") },
          ]}
        />
      </Panel>
    </>
  );
}
