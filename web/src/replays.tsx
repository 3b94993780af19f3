// Replays of a job: how far in event time, when done, and what differs from live.
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { get } from "./api";
import type { ApiError } from "./api";
import { Chip, Empty, Panel, Refused, Table, Waiting, state_kind } from "./components";
import { as_text, whole, words } from "./format";
import { as_error, use_poll } from "./live";
import type { Live } from "./live";
import { Progress } from "./overview";
import type { Diff, JobLine, Promotion, Status } from "./types";

function DiffOf(props: { url: string }): JSX.Element {
  const [answer, set_answer] = useState<{ diff: Diff | null; error: ApiError | null } | null>(null);
  const [is_busy, set_busy] = useState(false);
  const compare = async (): Promise<void> => {
    set_busy(true);
    try {
      set_answer({ diff: await get<Diff>(props.url, AbortSignal.timeout(120_000)), error: null });
    } catch (error) {
      set_answer({ diff: null, error: as_error(error) });
    }
    set_busy(false);
  };
  const diff = answer?.diff ?? null;
  return (
    <>
      <p class="tools">
        <button type="button" onClick={() => void compare()} disabled={is_busy}>
          {is_busy ? "comparing…" : "compare with live"}
        </button>
      </p>
      <div aria-live="polite">
        {answer?.error != null && <Refused error={answer.error} />}
        {diff !== null && (
          <>
            <dl class="facts">
              <div><dt>keys</dt><dd>{whole(diff.keys)}</dd></div>
              <div><dt>equal</dt><dd>{whole(diff.equal)}</dd></div>
              <div><dt>different</dt><dd>{whole(diff.different)}</dd></div>
              <div><dt>only live</dt><dd>{whole(diff.only_live)}</dd></div>
              <div><dt>only replay</dt><dd>{whole(diff.only_replay)}</dd></div>
            </dl>
            <Table
              label="first differences"
              rows={diff.differences.map((d, i) => ({ ...d, i }))}
              id={(d) => String(d.i)}
              empty="Live and replay are equal."
              columns={[
                { title: "key", value: (d) => <code>{as_text(d.key)}</code> },
                { title: "window", value: (d) => <code>{as_text(d.window)}</code> },
                { title: "live", value: (d) => <code>{as_text(d.live)}</code>, wrap: true },
                { title: "replay", value: (d) => <code>{as_text(d.replay)}</code>, wrap: true },
              ]}
            />
          </>
        )}
      </div>
    </>
  );
}

function Replay(props: { root: string; job: string; line: JobLine }): JSX.Element {
  const { line } = props;
  const { data, error } = use_poll<Status>(`${props.root}/jobs/${encodeURIComponent(line.name)}/status`, 2_000);
  return (
    <Panel title={line.name}>
      <p>
        <Chip kind={state_kind(line.state)} text={words(line.state)} />{" "}
        <a href={`#/job/${encodeURIComponent(line.name)}/overview`}>its own page</a>
      </p>
      {data?.replay != null ? <Progress replay={data.replay} /> : <Waiting error={error} />}
      <DiffOf url={`${props.root}/jobs/${encodeURIComponent(props.job)}/diff?replay=${encodeURIComponent(line.name)}`} />
    </Panel>
  );
}

function OfServer(props: { root: string; job: string }): JSX.Element {
  const jobs = use_poll<{ jobs: JobLine[] }>(`${props.root}/jobs`, 3_000);
  const promotions = use_poll<{ promotions: Promotion[] }>(`${props.root}/promotions`, 3_000);
  if (jobs.data === null) return <Waiting error={jobs.error} />;
  const replays = jobs.data.jobs.filter((line) => line.replay_of === props.job);
  const moves = (promotions.data?.promotions ?? []).filter((p) => p.job === props.job);
  return (
    <>
      {moves.length > 0 && (
        <Panel title="Promotions">
          <Table
            label="promotions"
            rows={moves}
            id={(p) => `${p.job} ${p.replay}`}
            empty=""
            columns={[
              { title: "replay", value: (p) => p.replay },
              { title: "phase", value: (p) => <Chip kind={p.phase === "done" ? "good" : "plain"} text={words(p.phase)} /> },
              { title: "error", value: (p) => p.error ?? "", wrap: true },
            ]}
          />
        </Panel>
      )}
      {replays.length === 0 && <Empty text={`No replay of ${props.job}. Begin one with: tidemill replay ${props.job} --from-time … --until-time … --as NAME`} />}
      {replays.map((line) => (
        <Replay key={line.name} root={props.root} job={props.job} line={line} />
      ))}
    </>
  );
}

// root: of the server's API, null on a job's own page.
export function ReplaysView(props: { live: Live; root: string | null; job: string }): JSX.Element {
  const own = props.live.status?.replay ?? null;
  return (
    <>
      {own !== null && (
        <Panel title={`This job is the replay ${own.name}`}>
          <Progress replay={own} />
        </Panel>
      )}
      {props.root !== null ? (
        <OfServer root={props.root} job={props.job} />
      ) : (
        own === null && <Empty text="This job is no replay. Replays beside it are jobs of their own: the server's page lists them, each has a page like this one." />
      )}
    </>
  );
}
