// What has failed, with the record that it failed at.
import type { JSX } from "preact";
import { At, Empty, Panel, Stale, Waiting } from "./components";
import { use_now, use_poll } from "./live";
import type { JobException } from "./types";

export function ExceptionsView(props: { base: string }): JSX.Element {
  const { data, error } = use_poll<{ exceptions: JobException[] }>(`${props.base}/exceptions`, 3_000);
  const now = use_now();
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
