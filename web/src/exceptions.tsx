// What has failed, with the record that it failed at.
import type { JSX } from "preact";
import { At, Empty, Panel, Stale, Table, Waiting } from "./components";
import { duration } from "./format";
import { use_now, use_poll } from "./live";
import type { JobException, Run } from "./types";

function ended(run: Run): string {
  if (run.ended_ms === null) return "runs";
  if (run.signal !== null && run.signal !== 0) return `signal ${run.signal}`;
  return run.exit === null ? "unknown" : `exit ${run.exit}`;
}

// The processes that the server has started for this job.
function Runs(props: { url: string; now: number }): JSX.Element {
  const { data, error } = use_poll<{ runs: Run[] }>(props.url, 3_000);
  if (data === null) return <Waiting error={error} />;
  return (
    <Panel title="Runs" note="processes of this job, as the server has seen them end">
      <Table
        label="runs"
        rows={data.runs}
        id={(r) => String(r.started_ms)}
        empty="It has not been started yet."
        columns={[
          { title: "started", value: (r) => <At at_ms={r.started_ms} now={props.now} />, sort: (r) => r.started_ms },
          {
            title: "ran for",
            value: (r) => duration(r.started_ms === null ? null : (r.ended_ms ?? props.now) - r.started_ms),
            number: true,
          },
          { title: "ended by", value: ended },
          { title: "reason", value: (r) => r.reason ?? "", wrap: true },
        ]}
      />
    </Panel>
  );
}

// runs: where the server tells of the job's processes; null on a job's own page.
export function ExceptionsView(props: { base: string; runs: string | null }): JSX.Element {
  const now = use_now();
  return (
    <>
      <Failures base={props.base} now={now} />
      {props.runs !== null && <Runs url={props.runs} now={now} />}
    </>
  );
}

function Failures(props: { base: string; now: number }): JSX.Element {
  const { now } = props;
  const { data, error } = use_poll<{ exceptions: JobException[] }>(`${props.base}/exceptions`, 3_000);
  if (data === null) return <Waiting error={error} />;
  return (
    <>
      <Stale error={error} />
      <Panel title="Exceptions" note="newest first">
        {data.exceptions.length === 0 ? (
          <Empty text="Nothing has failed in this process." />
        ) : (
          <ol class="exceptions">
            {data.exceptions.map((e, i) => (
              <li key={`${e.at_ms} ${i}`}>
                <p class="quiet">
                  <At at_ms={e.at_ms} now={now} />
                  {e.operator !== null && <> · {e.operator}{e.subtask !== null && <> / {e.subtask}</>}</>}
                  {e.attempt !== null && <> · attempt {e.attempt}</>}
                  {e.origin !== null && <> · at record <code>{e.origin}</code></>}
                </p>
                <pre tabIndex={0} role="region" aria-label={`exception ${i + 1}`}>{e.message}</pre>
              </li>
            ))}
          </ol>
        )}
      </Panel>
    </>
  );
}
