// The hottest keys of each exchange, and how unevenly they load the subtasks.
import type { JSX } from "preact";
import { Bar, Chip, Empty, Panel, Stale, Table, Waiting } from "./components";
import { kUnknown, percent } from "./format";
import { use_poll } from "./live";
import type { Keys } from "./types";

export function KeysView(props: { base: string }): JSX.Element {
  const { data, error } = use_poll<Keys>(`${props.base}/keys`, 2_000);
  if (data === null) return <Waiting error={error} />;
  if (data.exchanges.length === 0) return <Empty text="Nothing is sent by key in this job." />;
  return (
    <>
      <Stale error={error} />
      {data.exchanges.map((exchange) => (
        <Panel key={`${exchange.from} ${exchange.to}`} title={`${exchange.from} → ${exchange.to}`} wide={false}>
          <p class="skew">
            Skew <b>{exchange.skew === null ? kUnknown : `${exchange.skew.toFixed(2)}×`}</b>
            {exchange.skew !== null && (
              <>
                {" "}
                {exchange.skew >= 2 && <Chip kind="warn" text="uneven" />}{" "}
                <span class="quiet">the busiest subtask against an even share</span>
              </>
            )}
          </p>
          <Table
            label={`hottest keys from ${exchange.from} to ${exchange.to}`}
            rows={exchange.keys}
            id={(k) => `${k.key} ${k.subtask ?? ""}`}
            empty="No key has 2 % of the records or more."
            columns={[
              { title: "key", value: (k) => <code>{k.key}</code>, sort: (k) => k.key },
              { title: "share", value: (k) => percent(k.share), sort: (k) => k.share, number: true },
              { title: "of all", value: (k) => <Bar share={k.share} /> },
              { title: "subtask", value: (k) => k.subtask ?? kUnknown, sort: (k) => k.subtask, number: true },
            ]}
          />
        </Panel>
      ))}
    </>
  );
}
