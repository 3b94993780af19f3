// The server's first page: its jobs. And the field for the token.
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import type { ApiError } from "./api";
import { token } from "./api";
import { Ago, Chip, Panel, Stale, Table, Waiting, state_kind } from "./components";
import { duration, kUnknown, number, rate, si, words } from "./format";
import { use_now, use_poll } from "./live";
import type { JobLine } from "./types";

export function TokenForm(props: { error: ApiError | null; changed: () => void }): JSX.Element {
  const [value, set_value] = useState("");
  return (
    <Panel title="Token">
      {props.error !== null && token.get() !== "" && (
        <p class="notice bad" role="alert">{props.error.message}</p>
      )}
      <form
        class="tools"
        onSubmit={(event) => {
          event.preventDefault();
          token.set(value.trim());
          props.changed();
        }}
      >
        <label>
          Token <input type="password" value={value} onInput={(e) => set_value(e.currentTarget.value)} required autocomplete="off" />
        </label>
        <button type="submit">show the jobs</button>
      </form>
      <p class="quiet">It stays in this tab until it is closed. An admin makes one with: tidemill token create --role viewer</p>
    </Panel>
  );
}

const problem_count = (line: JobLine): number => (Array.isArray(line.problems) ? line.problems.length : (line.problems ?? 0));

function ProblemNames(props: { line: JobLine }): JSX.Element {
  const { problems } = props.line;
  if (problem_count(props.line) === 0) return <span class="quiet">none</span>;
  if (!Array.isArray(problems)) return <Chip kind="warn" text={String(problems)} />;
  return (
    <span class="chips">
      {problems.map((problem) => (
        <Chip key={problem.id} kind={problem.severity === "error" ? "bad" : "warn"} text={words(problem.id)} />
      ))}
    </span>
  );
}

export function JobsView(props: { root: string; changed: () => void }): JSX.Element {
  const { data, error } = use_poll<{ jobs: JobLine[] }>(`${props.root}/jobs`, 2_000);
  const now = use_now();
  if (error?.status === 401) return <TokenForm error={error} changed={props.changed} />;
  if (data === null) return <Waiting error={error} />;
  // What needs somebody comes first.
  const jobs = [...data.jobs].sort(
    (a, b) =>
      Number(state_kind(b.state) === "bad") - Number(state_kind(a.state) === "bad") ||
      problem_count(b) - problem_count(a) ||
      (a.name < b.name ? -1 : 1),
  );
  return (
    <Panel title="Jobs" note={`${jobs.length} on this server`}>
      <Stale error={error} />
      <Table
        label="jobs"
        rows={jobs}
        id={(j) => j.name}
        empty="No job yet. Submit one with: tidemill submit ./JOB --name NAME --config FILE"
        columns={[
          { title: "job", value: (j) => <a href={`#/job/${encodeURIComponent(j.name)}/overview`}>{j.name}</a>, sort: (j) => j.name },
          { title: "state", value: (j) => <Chip kind={state_kind(j.state)} text={words(j.state)} />, sort: (j) => j.state },
          {
            title: "problems",
            value: (j) => <ProblemNames line={j} />,
            sort: problem_count,
            wrap: true,
          },
          { title: "since", value: (j) => <Ago at_ms={j.since_ms} now={now} />, sort: (j) => j.since_ms, number: true },
          { title: "events", value: (j) => rate(j.rate), sort: (j) => j.rate, number: true },
          { title: "freshness p99", value: (j) => duration(j.freshness_p99_ms), sort: (j) => j.freshness_p99_ms, number: true },
          { title: "lag", value: (j) => si(j.lag_records), sort: (j) => number(j.lag_records), number: true },
          { title: "checkpoint", value: (j) => <Ago at_ms={j.checkpoint_ms} now={now} />, sort: (j) => j.checkpoint_ms, number: true },
          { title: "restarts", value: (j) => j.restarts ?? kUnknown, sort: (j) => j.restarts, number: true },
          { title: "replay of", value: (j) => j.replay_of ?? "", sort: (j) => j.replay_of },
        ]}
      />
    </Panel>
  );
}
