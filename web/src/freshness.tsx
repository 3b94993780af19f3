// Event age at each stage, from reading to the sink's acknowledgement.
import type { JSX } from "preact";
import { Chip, Panel, Stale, Table, Waiting } from "./components";
import { Chart } from "./chart";
import { duration, number, si, words } from "./format";
import { use_poll } from "./live";
import type { Freshness, FreshnessStage } from "./types";

const kStages = ["source", "after_exchange", "output", "written", "acknowledged", "committed"];

const place = (stage: string): number => (kStages.indexOf(stage) + kStages.length + 1) % (kStages.length + 1);

export function FreshnessView(props: { base: string }): JSX.Element {
  const { data, error } = use_poll<Freshness>(`${props.base}/freshness`, 2_000);
  if (data === null) return <Waiting error={error} />;
  const stages = [...data.stages].sort((a, b) => place(a.stage) - place(b.stage));
  const times = data.history.map((h) => h.at_ms);
  const names = [...new Set(data.history.flatMap((h) => Object.keys(h.stages)))].sort(
    (a, b) => place(a.split(" ")[0] ?? "") - place(b.split(" ")[0] ?? ""),
  );
  const row_id = (s: FreshnessStage): string => `${s.stage} ${s.operator} ${String(s.replay)}`;
  return (
    <>
      <Stale error={error} />
      <Panel title="Event age by stage" note="Wall clock minus event time. Of a replay it is the age of the data.">
        <Table
          label="event age by stage"
          rows={stages}
          id={row_id}
          empty="No record has passed yet."
          columns={[
            { title: "stage", value: (s) => words(s.stage), sort: (s) => place(s.stage) },
            { title: "operator", value: (s) => <>{s.operator} {s.replay && <Chip kind="plain" text="replay" />}</>, sort: (s) => s.operator },
            { title: "p50", value: (s) => duration(s.p50_ms), sort: (s) => s.p50_ms, number: true },
            { title: "p99", value: (s) => duration(s.p99_ms), sort: (s) => s.p99_ms, number: true },
            { title: "max", value: (s) => duration(s.max_ms), sort: (s) => s.max_ms, number: true },
            { title: "count", value: (s) => si(s.count), sort: (s) => number(s.count), number: true },
          ]}
        />
      </Panel>
      {names.map((name) => {
        const [stage = "", ...operator] = name.split(" ");
        return (
          <Panel key={name} title={operator.join(" ")} wide={false} note={words(stage)}>
            <Chart
              title="event age"
              times={times}
              format={duration}
              lines={[
                { name: "p50", kind: "main", points: data.history.map((h) => h.stages[name]?.[0] ?? null) },
                { name: "p99", kind: "second", points: data.history.map((h) => h.stages[name]?.[1] ?? null) },
              ]}
            />
          </Panel>
        );
      })}
    </>
  );
}
