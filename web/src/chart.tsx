// Lines over time, as SVG. Colour is never alone: lines differ by dashes and carry their last value.
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { clock_time, kUnknown } from "./format";
import { use_width } from "./live";

export interface Line {
  name: string;
  kind: "main" | "second";
  points: (number | null)[];
}

// 1, 2 or 5 times a power of ten, so that about `count` steps reach `most`.
export function tick_step(most: number, count: number): number {
  const raw = most / count;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].find((factor) => factor * power >= raw * 0.999) ?? 10;
  return step * power;
}

// A gap in the data is a gap in the line.
function path(points: (number | null)[], x: (i: number) => number, y: (value: number) => number): string {
  let text = "";
  let is_down = false;
  points.forEach((value, i) => {
    if (value === null) {
      is_down = false;
      return;
    }
    text += `${is_down ? "L" : "M"}${x(i).toFixed(1)} ${y(value).toFixed(1)}`;
    is_down = true;
  });
  return text;
}

const kLeft = 58;
const kRight = 10;
const kTop = 10;
const kBottom = 22;

export function Chart(props: {
  title: string;
  times: number[];
  lines: Line[];
  format: (value: number) => string;
  height?: number;
  most?: number; // at least this far up
}): JSX.Element {
  const [ref, width] = use_width<HTMLDivElement>(480);
  const [at, set_at] = useState<number | null>(null);
  const height = props.height ?? 150;
  const { times, lines } = props;
  const greatest = Math.max(props.most ?? 0, ...lines.flatMap((line) => line.points.map((p) => p ?? 0)));
  const step = tick_step(greatest > 0 ? greatest : 1, 3);
  const top = Math.max(step, Math.ceil(greatest / step - 1e-9) * step);
  const first = times[0] ?? 0;
  const last = times[times.length - 1] ?? 1;
  const x_of = (time: number): number => kLeft + ((time - first) / Math.max(1, last - first)) * (width - kLeft - kRight);
  const x = (i: number): number => x_of(times[i] ?? first);
  const y = (value: number): number => kTop + (1 - value / top) * (height - kTop - kBottom);
  const ticks = Array.from({ length: Math.round(top / step) + 1 }, (_, i) => i * step);
  const shown = at !== null && at < times.length ? at : times.length - 1;
  const value = (line: Line): string => {
    const v = line.points[shown];
    return v === null || v === undefined ? kUnknown : props.format(v);
  };
  const summary = lines.map((line) => `${line.name} ${value(line)}`).join(", ");
  const move = (event: JSX.TargetedPointerEvent<SVGSVGElement>): void => {
    const pointer = event.clientX - event.currentTarget.getBoundingClientRect().left;
    let best = 0;
    for (let i = 1; i < times.length; ++i) if (Math.abs(x(i) - pointer) < Math.abs(x(best) - pointer)) best = i;
    set_at(best);
  };
  return (
    <figure class="chart">
      <figcaption>
        <span class="chart-title">{props.title}</span>
        <span class="legend">
          {lines.map((line) => (
            <span key={line.name} class="legend-item">
              <svg width="18" height="8" aria-hidden="true">
                <path class={`line ${line.kind}`} d="M1 4H17" />
              </svg>
              {line.name} <b>{value(line)}</b>
            </span>
          ))}
          <span class="quiet">{at === null ? "now" : clock_time(times[shown])}</span>
        </span>
      </figcaption>
      <div ref={ref}>
        <svg
          width={width}
          height={height}
          role="img"
          aria-label={`${props.title}, ${clock_time(first)} to ${clock_time(last)} UTC: ${summary}`}
          onPointerMove={move}
          onPointerLeave={() => set_at(null)}
        >
          {ticks.map((tick) => (
            <g key={tick}>
              <path class="grid" d={`M${kLeft} ${y(tick)}H${width - kRight}`} />
              <text class="axis" x={kLeft - 8} y={y(tick) + 4} text-anchor="end">
                {props.format(tick)}
              </text>
            </g>
          ))}
          <text class="axis" x={kLeft} y={height - 5}>
            {clock_time(first)}
          </text>
          <text class="axis" x={width - kRight} y={height - 5} text-anchor="end">
            {clock_time(last)}
          </text>
          {lines.map((line) => (
            <path key={line.name} class={`line ${line.kind}`} d={path(line.points, x, y)} />
          ))}
          {at !== null && at < times.length && <path class="cursor" d={`M${x(at)} ${kTop}V${height - kBottom}`} />}
          {lines.map((line) => {
            const v = line.points[shown];
            return v === null || v === undefined ? null : (
              <circle key={line.name} class={`dot ${line.kind}`} cx={x(shown)} cy={y(v)} r="3" />
            );
          })}
        </svg>
      </div>
    </figure>
  );
}

// A line without axes, for beside a number.
export function Sparkline(props: { points: (number | null)[] }): JSX.Element {
  const most = Math.max(1e-9, ...props.points.map((p) => p ?? 0));
  const n = Math.max(1, props.points.length - 1);
  const d = path(
    props.points,
    (i) => (100 * i) / n,
    (value) => 22 - (20 * value) / most,
  );
  return (
    <svg class="sparkline" viewBox="0 0 100 24" preserveAspectRatio="none" aria-hidden="true">
      <path d={d} />
    </svg>
  );
}
