// Late and bad data: how much, from where, and the bound that would have saved it.
import type { JSX } from "preact";
import { Chip, Panel, Stale, Table, Waiting } from "./components";
import { as_text, date_time, duration, kUnknown, number, whole, words } from "./format";
import { use_poll } from "./live";
import type { Late, LateSample, Reason } from "./types";

function Reasons(props: { label: string; rows: Reason[]; empty: string }): JSX.Element {
  return (
    <Table
      label={props.label}
      rows={props.rows}
      id={(r) => `${r.operator} ${r.reason} ${r.split ?? ""}`}
      empty={props.empty}
      columns={[
        { title: "operator", value: (r) => r.operator, sort: (r) => r.operator },
        { title: "reason", value: (r) => words(r.reason), sort: (r) => r.reason },
        { title: "partition", value: (r) => r.split ?? kUnknown, sort: (r) => r.split },
        { title: "count", value: (r) => whole(r.count), sort: (r) => number(r.count), number: true },
      ]}
    />
  );
}

const time_of = (value: LateSample["time"]): string => (typeof value === "number" ? date_time(value) : as_text(value));

export function LateView(props: { base: string }): JSX.Element {
  const { data, error } = use_poll<Late>(`${props.base}/late`, 2_000);
  if (data === null) return <Waiting error={error} />;
  return (
    <>
      <Stale error={error} />
      <Panel title="Disorder" note="The bound that would have saved 99.9 % of the late records, of each partition that had some.">
        <Table
          label="disorder by partition"
          rows={data.disorder}
          id={(d) => `${d.source} ${d.split}`}
          empty="No record of a partition was late: its bound is enough."
          columns={[
            { title: "source", value: (d) => d.source, sort: (d) => d.source },
            { title: "partition", value: (d) => d.split, sort: (d) => d.split },
            { title: "configured", value: (d) => duration(d.configured_ms), sort: (d) => d.configured_ms, number: true },
            { title: "needed", value: (d) => duration(d.needed_999_ms), sort: (d) => d.needed_999_ms, number: true },
            {
              title: "bound",
              value: (d) =>
                d.configured_ms === null || d.needed_999_ms === null ? (
                  ""
                ) : d.needed_999_ms > d.configured_ms ? (
                  <Chip kind="warn" text={`raise by ${duration(d.needed_999_ms - d.configured_ms)}`} />
                ) : (
                  <span class="quiet">enough</span>
                ),
            },
          ]}
        />
      </Panel>
      <Panel title="Late" wide={false} note="records behind the watermark">
        <Reasons label="late records by reason and partition" rows={data.late} empty="No record was late." />
      </Panel>
      <Panel title="Bad" wide={false} note="records that cannot be read">
        <Reasons label="bad records by reason and partition" rows={data.bad} empty="No record was bad." />
      </Panel>
      <Panel title="Samples of late records" note="the latest 32 of each operator and subtask">
        <Table
          label="samples of late records"
          rows={data.samples.map((s, i) => ({ ...s, i }))}
          id={(s) => String(s.i)}
          empty="No record was late."
          columns={[
            { title: "operator", value: (s) => `${s.operator} / ${s.subtask}` },
            { title: "reason", value: (s) => words(s.reason) },
            { title: "event time", value: (s) => time_of(s.time) },
            { title: "behind", value: (s) => duration(s.behind_ms), sort: (s) => number(s.behind_ms), number: true },
            { title: "watermark", value: (s) => time_of(s.watermark) },
            { title: "key", value: (s) => <code>{as_text(s.key)}</code> },
            { title: "origin", value: (s) => <code>{s.origin ?? kUnknown}</code> },
          ]}
        />
      </Panel>
      <Panel title="Samples of bad records" note="the latest 32 of each reason, and what they begin with">
        <Table
          label="samples of bad records"
          rows={data.bad_samples.map((s, i) => ({ ...s, i }))}
          id={(s) => String(s.i)}
          empty="No record was bad."
          columns={[
            { title: "reason", value: (s) => words(s.reason) },
            { title: "origin", value: (s) => <code>{s.origin}</code> },
            { title: "text", value: (s) => <code>{s.text}</code>, wrap: true },
          ]}
        />
      </Panel>
    </>
  );
}
