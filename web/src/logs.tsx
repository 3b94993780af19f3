// The end of the log: follows, stops when asked or scrolled up, filters.
import type { JSX } from "preact";
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { Panel, Stale, Waiting } from "./components";
import { use_poll } from "./live";

function level(line: string): string {
  const found = /\b(error|critical|warning|warn)\b/i.exec(line.slice(0, 120))?.[1]?.toLowerCase();
  if (found === undefined) return "";
  return found.startsWith("warn") ? "warn" : "bad";
}

export function LogsView(props: { base: string }): JSX.Element {
  const [is_paused, set_paused] = useState(false);
  const [lines, set_lines] = useState(500);
  const [filter, set_filter] = useState("");
  const { data, error } = use_poll<{ lines: string[] }>(`${props.base}/logs?lines=${lines}`, 2_000);
  const [held, set_held] = useState<string[] | null>(null);
  const box = useRef<HTMLDivElement>(null);
  const follows = useRef(true);
  const shown = (is_paused ? held : null) ?? data?.lines ?? [];
  const matching = shown.filter((line) => line.toLowerCase().includes(filter.toLowerCase()));
  useLayoutEffect(() => {
    const element = box.current;
    if (element !== null && follows.current && !is_paused) element.scrollTop = element.scrollHeight;
  });
  if (data === null) return <Waiting error={error} />;
  return (
    <Panel title="Log">
      <Stale error={error} />
      <p class="tools">
        <button
          type="button"
          aria-pressed={is_paused}
          onClick={() => {
            set_held(is_paused ? null : data.lines);
            set_paused(!is_paused);
          }}
        >
          {is_paused ? "go on" : "pause"}
        </button>
        <label>
          Filter <input type="search" value={filter} onInput={(e) => set_filter(e.currentTarget.value)} />
        </label>
        <label>
          Lines{" "}
          <select value={lines} onChange={(e) => set_lines(Number(e.currentTarget.value))}>
            <option value="100">100</option>
            <option value="500">500</option>
            <option value="2000">2000</option>
          </select>
        </label>
        <span class="quiet">
          {matching.length} of {shown.length} lines
        </span>
      </p>
      <div
        class="log"
        ref={box}
        tabIndex={0}
        role="region"
        aria-label="log"
        onScroll={(e) => {
          const element = e.currentTarget;
          follows.current = element.scrollHeight - element.scrollTop - element.clientHeight < 24;
        }}
      >
        {matching.map((line, i) => (
          <div key={i} class={level(line)}>{line}</div>
        ))}
      </div>
    </Panel>
  );
}
