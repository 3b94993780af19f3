// Keyed state: what there is, and the value of one key, of the running job or of a checkpoint.
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { get } from "./api";
import type { ApiError } from "./api";
import { Panel, Refused, Stale, Table, Waiting } from "./components";
import { bytes, date_time, kUnknown, number, si } from "./format";
import { as_error, use_poll } from "./live";
import type { Checkpoints, StateValue, States } from "./types";

export function StateView(props: { base: string }): JSX.Element {
  const { data, error } = use_poll<States>(`${props.base}/state`, 5_000);
  const points = use_poll<Checkpoints>(`${props.base}/checkpoints`, 5_000).data?.restore_points ?? [];
  const [chosen, set_chosen] = useState("");
  const [key, set_key] = useState("");
  const [from, set_from] = useState("running");
  const [answer, set_answer] = useState<{ value: StateValue | null; error: ApiError | null } | null>(null);
  const [is_busy, set_busy] = useState(false);
  if (data === null) return <Waiting error={error} />;
  const name = (s: { operator: string; state: string }): string => `${s.operator} / ${s.state}`;
  const state = data.states.find((s) => name(s) === chosen) ?? data.states[0];
  const look_up = async (event: Event): Promise<void> => {
    event.preventDefault();
    if (state === undefined) return;
    set_busy(true);
    const query = new URLSearchParams({ operator: state.operator, state: state.state, key, from });
    try {
      set_answer({ value: await get<StateValue>(`${props.base}/state/get?${query.toString()}`, AbortSignal.timeout(30_000)), error: null });
    } catch (failure) {
      set_answer({ value: null, error: as_error(failure) });
    }
    set_busy(false);
  };
  return (
    <>
      <Stale error={error} />
      <Panel title="Look a key up">
        {state === undefined ? (
          <p class="empty">This job keeps no keyed state.</p>
        ) : (
          <form class="tools" onSubmit={(e) => void look_up(e)}>
            <label>
              State{" "}
              <select value={name(state)} onChange={(e) => set_chosen(e.currentTarget.value)}>
                {data.states.map((s) => (
                  <option key={name(s)} value={name(s)}>{name(s)}</option>
                ))}
              </select>
            </label>
            <label>
              Key <span class="quiet">({state.key})</span>{" "}
              <input value={key} onInput={(e) => set_key(e.currentTarget.value)} required autocomplete="off" spellcheck={false} />
            </label>
            <label>
              From{" "}
              <select value={from} onChange={(e) => set_from(e.currentTarget.value)}>
                <option value="running">running job</option>
                <option value="checkpoint">last checkpoint</option>
                {points.map((p) => (
                  <option key={p.id} value={p.id}>{`${p.id}, ${date_time(p.created_ms)}`}</option>
                ))}
              </select>
            </label>
            <button type="submit" disabled={is_busy}>
              look up
            </button>
          </form>
        )}
        <div aria-live="polite">
          {answer?.error != null && <Refused error={answer.error} />}
          {answer?.value != null && <Found value={answer.value} />}
        </div>
      </Panel>
      <Panel title="States" note={data.checkpoint === null ? "no checkpoint yet" : `as of checkpoint ${data.checkpoint}`}>
        <Table
          label="states"
          rows={data.states}
          id={name}
          empty="This job keeps no keyed state."
          columns={[
            { title: "operator", value: (s) => s.operator, sort: (s) => s.operator },
            { title: "state", value: (s) => s.state, sort: (s) => s.state },
            { title: "kind", value: (s) => s.kind, sort: (s) => s.kind },
            { title: "key", value: (s) => <code>{s.key}</code> },
            { title: "value", value: (s) => <code>{s.value}</code>, wrap: true },
            { title: "entries", value: (s) => si(s.entries), sort: (s) => number(s.entries), number: true },
            { title: "bytes", value: (s) => bytes(s.bytes), sort: (s) => number(s.bytes), number: true },
          ]}
        />
      </Panel>
    </>
  );
}

function Found(props: { value: StateValue }): JSX.Element {
  const { value } = props;
  return (
    <div class="found">
      <dl class="facts">
        <div><dt>key</dt><dd><code>{typeof value.key === "string" ? value.key : JSON.stringify(value.key)}</code></dd></div>
        <div><dt>key group</dt><dd>{value.key_group ?? kUnknown}</dd></div>
        <div><dt>subtask</dt><dd>{value.subtask ?? kUnknown}</dd></div>
        <div><dt>watermark</dt><dd>{date_time(value.watermark_ms)}</dd></div>
        <div><dt>checkpoint</dt><dd>{value.checkpoint ?? "running"}</dd></div>
      </dl>
      {value.found ? (
        <pre tabIndex={0} role="region" aria-label="value">{JSON.stringify(value.value, null, 2)}</pre>
      ) : (
        <p class="notice warn">There is nothing for this key.</p>
      )}
    </div>
  );
}
