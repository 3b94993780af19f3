// Every setting in force and where it comes from; secrets never leave the job.
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { Panel, Stale, Table, Waiting } from "./components";
import { as_text } from "./format";
import { use_poll } from "./live";
import type { Settings } from "./types";

export function ConfigView(props: { base: string }): JSX.Element {
  const { data, error } = use_poll<Settings>(`${props.base}/config`, 0);
  const [filter, set_filter] = useState("");
  if (data === null) return <Waiting error={error} />;
  const wanted = filter.toLowerCase();
  return (
    <>
      <Stale error={error} />
      <Panel title="Configuration" note="in force; secrets are shown as ***">
        <p class="tools">
          <label>
            Filter <input type="search" value={filter} onInput={(e) => set_filter(e.currentTarget.value)} />
          </label>
        </p>
        <Table
          label="settings"
          rows={data.settings.filter((s) => `${s.key} ${as_text(s.value)} ${s.source}`.toLowerCase().includes(wanted))}
          id={(s) => s.key}
          empty="No setting has this text."
          columns={[
            { title: "key", value: (s) => <code>{s.key}</code>, sort: (s) => s.key },
            { title: "value", value: (s) => <code>{as_text(s.value)}</code>, wrap: true },
            { title: "from", value: (s) => s.source, sort: (s) => s.source },
          ]}
        />
      </Panel>
    </>
  );
}
