// The graph: boxes with their load, edges with their rates; below it the same as a table.
import type { JSX } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { Ago, Chip, Panel, Table, Waiting } from "./components";
import { bytes, date_time, duration, kUnknown, number, percent, rate, roughly, si, whole } from "./format";
import { lay_out } from "./layout";
import type { Layout } from "./layout";
import { use_now, use_width } from "./live";
import type { Live } from "./live";
import type { Graph, GraphEdge, GraphNode, WatermarkHolder } from "./types";

interface Size {
  width: number;
  height: number;
}

// Large graphs are drawn with less in each box, so that what is in it can still be read when all of it is shown.
const kBox: Size = { width: 198, height: 78 };
const kDenseBox: Size = { width: 152, height: 60 };
const kDenseFrom = 24; // operators

interface View {
  x: number;
  y: number;
  scale: number;
}

function load_words(node: GraphNode): string {
  return `busy ${percent(node.busy)}, back-pressured ${percent(node.back_pressured)}`;
}

function load_kind(node: GraphNode): string {
  if ((node.back_pressured ?? 0) >= 0.5) return "pressed";
  if ((node.busy ?? 0) >= 0.8) return "hot";
  if ((node.busy ?? 0) >= 0.4) return "warm";
  return "calm";
}

const shorten = (text: string, most: number): string => (text.length <= most ? text : `${text.slice(0, most - 1)}…`);

function holds(node: GraphNode, holder: WatermarkHolder | null): boolean {
  return holder !== null && node.kind === "source" && node.name === holder.source;
}

function NodeBox(props: {
  node: GraphNode;
  x: number;
  y: number;
  is_dense: boolean;
  now: number;
  holder: WatermarkHolder | null;
  is_selected: boolean;
  is_tab_stop: boolean;
  select: () => void;
}): JSX.Element {
  const { node, now, is_dense } = props;
  const { width, height } = is_dense ? kDenseBox : kBox;
  const bar = width - 24;
  const busy = Math.max(0, Math.min(1, node.busy ?? 0));
  const pressed = Math.max(0, Math.min(1 - busy, node.back_pressured ?? 0));
  const is_holder = holds(node, props.holder);
  const age = node.watermark_ms === null ? kUnknown : roughly(now - node.watermark_ms);
  return (
    <g
      id={`node-${node.id}`}
      class={`node ${node.kind} ${load_kind(node)} ${props.is_selected ? "selected" : ""} ${is_holder ? "holder" : ""}`}
      transform={`translate(${props.x - width / 2} ${props.y - height / 2})`}
      tabindex={props.is_tab_stop ? 0 : -1}
      role="button"
      aria-pressed={props.is_selected}
      aria-label={`${node.kind} ${node.name}: ${load_words(node)}, watermark ${age} ago${is_holder ? ", holds the watermark back" : ""}`}
      onClick={props.select}
    >
      <title>{node.name}</title>
      <rect class="box" width={width} height={height} rx="6" />
      <path class="kind" d={`M0 6a6 6 0 0 1 5 -6V${height}a6 6 0 0 1 -5 -6Z`} />
      <text class="name" x="14" y="20">
        {shorten(node.name, is_dense ? 16 : node.parallelism === null ? 26 : 22)}
      </text>
      {!is_dense && (
        <text class="faint" x={width - 10} y="20" text-anchor="end">
          {node.parallelism === null ? "" : `×${node.parallelism}`}
        </text>
      )}
      <rect class="track" x="14" y="29" width={bar} height="8" rx="2" />
      <rect class="busy" x="14" y="29" width={busy * bar} height="8" />
      <rect class="pressure" x={14 + busy * bar} y="29" width={pressed * bar} height="8" fill="url(#hatch)" />
      <text class="small" x="14" y="52">
        {is_dense ? `${percent(node.busy)} · ${percent(node.back_pressured)}` : `busy ${percent(node.busy)}`}
      </text>
      <text class={is_dense && is_holder ? "small held" : "small"} x={width - 10} y="52" text-anchor="end">
        {is_dense ? `${is_holder ? "⚑ " : ""}${age}` : `pressure ${percent(node.back_pressured)}`}
      </text>
      {!is_dense && (
        <>
          <text class={is_holder ? "small held" : "small"} x="14" y="68">
            {is_holder ? "⚑ holds watermark" : "watermark"}
          </text>
          <text class="small" x={width - 10} y="68" text-anchor="end">
            {age}
          </text>
        </>
      )}
    </g>
  );
}

interface Point {
  x: number;
  y: number;
}

function edge_path(points: Point[], is_down: boolean): string {
  return points
    .map((p, i) => {
      const from = points[i - 1];
      if (from === undefined) return `M${p.x} ${p.y}`;
      // Within a layer, past a box: straight.
      if (i % 2 === 0) return `L${p.x} ${p.y}`;
      const middle = is_down ? (from.y + p.y) / 2 : (from.x + p.x) / 2;
      return is_down
        ? `C${from.x} ${middle} ${p.x} ${middle} ${p.x} ${p.y}`
        : `C${middle} ${from.y} ${middle} ${p.y} ${p.x} ${p.y}`;
    })
    .join("");
}

function Edge(props: { edge: GraphEdge; points: Point[]; is_down: boolean; most: number; is_near: boolean }): JSX.Element {
  const { edge, points } = props;
  const share = props.most > 0 ? Math.sqrt(Math.max(0, edge.records_per_s ?? 0) / props.most) : 0;
  const a = points[points.length - 2] ?? { x: 0, y: 0 };
  const b = points[points.length - 1] ?? { x: 0, y: 0 };
  return (
    <g class={`edge ${edge.partitioning === "forward" ? "forward" : "exchange"} ${props.is_near ? "near" : ""}`}>
      <path d={edge_path(points, props.is_down)} stroke-width={(1 + 2.5 * share).toFixed(2)} marker-end="url(#arrow)" />
      {edge.records_per_s !== null && (
        <text x={(a.x + b.x) / 2} y={(a.y + b.y) / 2 - (props.is_down ? -4 : 5)} text-anchor="middle">
          {rate(edge.records_per_s)}
        </text>
      )}
    </g>
  );
}

// Pan, zoom and fit; the view stays fitted until somebody moves it.
function use_view(width: number, height: number, content: { width: number; height: number }) {
  const [moved, set_moved] = useState<View | null>(null);
  const margin = 24;
  const scale = Math.min(1.15, (width - margin) / content.width, (height - margin) / content.height);
  const fitted: View = {
    scale,
    x: (width - content.width * scale) / 2,
    y: (height - content.height * scale) / 2,
  };
  const view = moved ?? fitted;
  const pan = (dx: number, dy: number): void => set_moved((now) => ({ ...(now ?? fitted), x: (now ?? fitted).x + dx, y: (now ?? fitted).y + dy }));
  const zoom = (factor: number, at: Point = { x: width / 2, y: height / 2 }): void =>
    set_moved((now) => {
      const from = now ?? fitted;
      const to = Math.max(0.1, Math.min(3, from.scale * factor));
      const k = to / from.scale;
      return { scale: to, x: at.x - (at.x - from.x) * k, y: at.y - (at.y - from.y) * k };
    });
  return { view, pan, zoom, fit: () => set_moved(null) };
}

// The nearest box in the direction of an arrow key.
function neighbour(places: Map<string, Point>, from: string, key: string): string | null {
  const at = places.get(from);
  if (at === undefined) return null;
  let best: string | null = null;
  let least = Infinity;
  for (const [id, p] of places) {
    const dx = p.x - at.x;
    const dy = p.y - at.y;
    const ahead = key === "ArrowRight" ? dx : key === "ArrowLeft" ? -dx : key === "ArrowDown" ? dy : -dy;
    const aside = key === "ArrowRight" || key === "ArrowLeft" ? Math.abs(dy) : Math.abs(dx);
    if (id === from || ahead <= 1) continue;
    const distance = ahead + 2 * aside;
    if (distance < least) {
      least = distance;
      best = id;
    }
  }
  return best;
}

function Drawing(props: {
  graph: Graph;
  holder: WatermarkHolder | null;
  selected: string | null;
  select: (id: string | null) => void;
}): JSX.Element {
  const { graph, selected } = props;
  const [ref, width] = use_width<HTMLDivElement>(360);
  const now = use_now();
  const is_down = width < 640;
  const is_dense = graph.nodes.length >= kDenseFrom;
  const box = is_dense ? kDenseBox : kBox;
  const shape = `${is_down}|${graph.nodes.map((n) => n.id).join()}|${graph.edges.map((e) => `${e.from}>${e.to}`).join()}`;
  // Rates change each second, the shape does not.
  const layout: Layout = useMemo(
    () =>
      lay_out(
        graph.nodes.map((n) => n.id),
        graph.edges,
        is_down
          ? { box_along: box.height, box_across: box.width, gap_along: 52, gap_across: 18 }
          : { box_along: box.width, box_across: box.height, gap_along: is_dense ? 72 : 84, gap_across: 18 },
      ),
    [shape],
  );
  const content = is_down ? { width: layout.across, height: layout.along } : { width: layout.along, height: layout.across };
  const height = Math.max(280, Math.min(is_down ? 520 : 620, content.height * Math.min(1, (width - 24) / content.width) + 56));
  const { view, pan, zoom, fit } = use_view(width, height, content);
  const point = (p: { along: number; across: number }): Point => (is_down ? { x: p.across, y: p.along } : { x: p.along, y: p.across });
  const places = new Map([...layout.boxes].map(([id, box]) => [id, point(box)]));
  const pointers = useRef(new Map<number, Point>());
  const dragged = useRef(0);
  const edges = new Map(graph.edges.map((edge) => [`${edge.from}>${edge.to}`, edge]));
  const most = Math.max(0, ...graph.edges.map((edge) => edge.records_per_s ?? 0));
  const stop = selected ?? graph.nodes[0]?.id ?? null;
  const svg = useRef<SVGSVGElement>(null);

  useEffect(() => {
    // A listener of the DOM's own, since those of the tree are passive for the wheel in some browsers.
    const element = svg.current;
    const wheel = (event: WheelEvent): void => {
      // The page scrolls as always; with Ctrl (which a pinch on a touch pad is too) the graph zooms.
      if (!event.ctrlKey) return;
      event.preventDefault();
      const at = element?.getBoundingClientRect();
      zoom(Math.exp(-event.deltaY / 300), { x: event.clientX - (at?.left ?? 0), y: event.clientY - (at?.top ?? 0) });
    };
    element?.addEventListener("wheel", wheel, { passive: false });
    return () => element?.removeEventListener("wheel", wheel);
  });

  const key_down = (event: JSX.TargetedKeyboardEvent<SVGSVGElement>): void => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const arrows: Record<string, [number, number]> = { ArrowLeft: [60, 0], ArrowRight: [-60, 0], ArrowUp: [0, 60], ArrowDown: [0, -60] };
    const arrow = arrows[event.key];
    if (arrow !== undefined && event.shiftKey) pan(...arrow);
    else if (arrow !== undefined) {
      const focused = graph.nodes.find((node) => `node-${node.id}` === document.activeElement?.id);
      const to = focused === undefined ? stop : neighbour(places, focused.id, event.key);
      if (to !== null) document.getElementById(`node-${to}`)?.focus({ preventScroll: true });
    } else if (event.key === "+" || event.key === "=") zoom(1.25);
    else if (event.key === "-") zoom(0.8);
    else if (event.key === "0") fit();
    else if (event.key === "Escape") props.select(null);
    else if (event.key === "Enter" || event.key === " ") {
      const focused = graph.nodes.find((node) => `node-${node.id}` === document.activeElement?.id);
      if (focused === undefined) return;
      props.select(focused.id === selected ? null : focused.id);
    } else return;
    event.preventDefault();
  };
  const pointer_down = (event: JSX.TargetedPointerEvent<SVGSVGElement>): void => {
    pointers.current.set(event.pointerId, { x: event.clientX, y: event.clientY });
    dragged.current = 0;
  };
  const pointer_move = (event: JSX.TargetedPointerEvent<SVGSVGElement>): void => {
    const before = pointers.current.get(event.pointerId);
    if (before === undefined) return;
    const to = { x: event.clientX, y: event.clientY };
    const other = [...pointers.current].find(([id]) => id !== event.pointerId)?.[1];
    pointers.current.set(event.pointerId, to);
    dragged.current += Math.abs(to.x - before.x) + Math.abs(to.y - before.y);
    // A click is not a drag, and a captured pointer gives no click to a box.
    if (dragged.current > 4) event.currentTarget.setPointerCapture(event.pointerId);
    if (other === undefined) pan(to.x - before.x, to.y - before.y);
    else {
      const at = event.currentTarget.getBoundingClientRect();
      const apart = (p: Point): number => Math.max(1, Math.hypot(p.x - other.x, p.y - other.y));
      zoom(apart(to) / apart(before), { x: (to.x + other.x) / 2 - at.left, y: (to.y + other.y) / 2 - at.top });
    }
  };
  const pointer_up = (event: JSX.TargetedPointerEvent<SVGSVGElement>): void => {
    pointers.current.delete(event.pointerId);
  };

  return (
    <>
      <div class="graph-tools">
        <Legend is_dense={is_dense} />
        <span class="buttons">
          <button type="button" onClick={() => zoom(1.25)} aria-label="zoom in">+</button>
          <button type="button" onClick={() => zoom(0.8)} aria-label="zoom out">−</button>
          <button type="button" onClick={fit}>fit</button>
        </span>
      </div>
      <div class={is_dense ? "graph dense" : "graph"} ref={ref}>
      <svg
        ref={svg}
        width={width}
        height={height}
        role="group"
        aria-label={`graph of ${graph.nodes.length} operators; arrow keys move between them, the table below has the same`}
        onKeyDown={key_down}
        onPointerDown={pointer_down}
        onPointerMove={pointer_move}
        onPointerUp={pointer_up}
        onPointerCancel={pointer_up}
      >
        <defs>
          <pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
            <rect class="hatch-ground" width="6" height="6" />
            <rect class="hatch-line" width="2.5" height="6" />
          </pattern>
          <marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" markerUnits="userSpaceOnUse" orient="auto">
            <path class="arrow-head" d="M0 0.500L8 4L0 7.500Z" />
          </marker>
        </defs>
        <g transform={`translate(${view.x} ${view.y}) scale(${view.scale})`}>
          {layout.routes.map((route) => {
            const edge = edges.get(`${route.from}>${route.to}`);
            return edge === undefined ? null : (
              <Edge
                key={`${route.from}>${route.to}`}
                edge={edge}
                points={route.points.map(point)}
                is_down={is_down}
                most={most}
                is_near={selected !== null && (edge.from === selected || edge.to === selected)}
              />
            );
          })}
          {graph.nodes.map((node) => {
            const at = places.get(node.id);
            return at === undefined ? null : (
              <NodeBox
                key={node.id}
                node={node}
                x={at.x}
                y={at.y}
                is_dense={is_dense}
                now={now}
                holder={props.holder}
                is_selected={node.id === selected}
                is_tab_stop={node.id === stop}
                select={() => {
                  if (dragged.current <= 4) props.select(node.id === selected ? null : node.id);
                }}
              />
            );
          })}
        </g>
      </svg>
      </div>
    </>
  );
}

function Legend(props: { is_dense: boolean }): JSX.Element {
  return (
    <span class="legend">
      <span class="legend-item">
        <svg width="18" height="8" aria-hidden="true"><rect class="busy" width="18" height="8" /></svg>
        busy
      </span>
      <span class="legend-item">
        <svg width="18" height="8" aria-hidden="true"><rect width="18" height="8" fill="url(#hatch)" /></svg>
        back-pressured: waits for what comes after it
      </span>
      <span class="legend-item">
        <svg width="26" height="8" aria-hidden="true"><path class="exchange" d="M0 4H26" /></svg>
        sent by key
      </span>
      {props.is_dense && <span>in a box: busy · back-pressured, and how far its watermark is behind</span>}
    </span>
  );
}

function Details(props: { node: GraphNode; graph: Graph; now: number; close: () => void }): JSX.Element {
  const { node, graph } = props;
  const name_of = (id: string): string => graph.nodes.find((n) => n.id === id)?.name ?? id;
  return (
    <section class="details" aria-label={`operator ${node.name}`}>
      <header>
        <h3>{node.name}</h3>
        <Chip kind="plain" text={node.kind} />
        <button type="button" onClick={props.close} aria-label={`close ${node.name}`}>
          ×
        </button>
      </header>
      <dl class="facts">
        <div><dt>records in</dt><dd>{rate(node.records_in_per_s)}</dd></div>
        <div><dt>records out</dt><dd>{rate(node.records_out_per_s)}</dd></div>
        <div><dt>busy</dt><dd>{percent(node.busy)}</dd></div>
        <div><dt>back-pressured</dt><dd>{percent(node.back_pressured)}</dd></div>
        <div><dt>idle</dt><dd>{percent(node.idle)}</dd></div>
        <div><dt>watermark</dt><dd title={date_time(node.watermark_ms)}><Ago at_ms={node.watermark_ms} now={props.now} /></dd></div>
        <div><dt>late</dt><dd>{whole(node.late)}</dd></div>
        <div><dt>state</dt><dd>{bytes(node.state_bytes)}</dd></div>
        <div><dt>parallelism</dt><dd>{node.parallelism ?? kUnknown}</dd></div>
        <div><dt>task</dt><dd>{node.chain ?? kUnknown}</dd></div>
      </dl>
      <ul class="ends">
        {graph.edges.filter((e) => e.to === node.id).map((e) => (
          <li key={`in ${e.from}`}>← {name_of(e.from)} <span class="quiet">{e.partitioning}, {rate(e.records_per_s)}</span></li>
        ))}
        {graph.edges.filter((e) => e.from === node.id).map((e) => (
          <li key={`out ${e.to}`}>→ {name_of(e.to)} <span class="quiet">{e.partitioning}, {rate(e.records_per_s)}</span></li>
        ))}
      </ul>
    </section>
  );
}

export function HeldBy(props: { holder: WatermarkHolder | null }): JSX.Element | null {
  const { holder } = props;
  if (holder === null) return null;
  return (
    <p class="held-by">
      <span aria-hidden="true">⚑</span> Watermark held back by <b>{holder.source}</b> partition <b>{holder.split}</b>
      {holder.behind_ms !== null && <>, {duration(holder.behind_ms)} behind the fastest</>}
      {holder.since_s !== null && <>, for {duration(holder.since_s * 1000)}</>}
    </p>
  );
}

export function GraphView(props: { live: Live }): JSX.Element {
  const { graph, status } = props.live;
  const [selected, set_selected] = useState<string | null>(null);
  const now = use_now();
  if (graph === null) return <Waiting error={props.live.connection.error} />;
  const node = graph.nodes.find((n) => n.id === selected);
  return (
    <>
      <Panel title="Graph" note="drag, arrow keys, + − 0; Ctrl and wheel or two fingers zoom">
        <HeldBy holder={status?.watermark_holder ?? null} />
        <Drawing graph={graph} holder={status?.watermark_holder ?? null} selected={selected} select={set_selected} />
        {node !== undefined && <Details node={node} graph={graph} now={now} close={() => set_selected(null)} />}
      </Panel>
      <Panel title="Operators">
        <Table
          label="operators"
          rows={graph.nodes}
          id={(n) => n.id}
          empty="The job has no operators yet."
          row_class={(n) => (n.id === selected ? "selected" : "")}
          columns={[
            { title: "operator", value: (n) => <button type="button" class="link" onClick={() => set_selected(n.id === selected ? null : n.id)}>{n.name}</button>, sort: (n) => n.name },
            { title: "kind", value: (n) => n.kind, sort: (n) => n.kind },
            { title: "×", value: (n) => n.parallelism ?? kUnknown, number: true },
            { title: "busy", value: (n) => percent(n.busy), sort: (n) => n.busy, number: true },
            { title: "back-pressured", value: (n) => percent(n.back_pressured), sort: (n) => n.back_pressured, number: true },
            { title: "in", value: (n) => rate(n.records_in_per_s), sort: (n) => n.records_in_per_s, number: true },
            { title: "out", value: (n) => rate(n.records_out_per_s), sort: (n) => n.records_out_per_s, number: true },
            { title: "watermark", value: (n) => <Ago at_ms={n.watermark_ms} now={now} />, sort: (n) => n.watermark_ms, number: true },
            { title: "late", value: (n) => si(n.late), sort: (n) => number(n.late), number: true },
            { title: "state", value: (n) => bytes(n.state_bytes), sort: (n) => number(n.state_bytes), number: true },
          ]}
        />
      </Panel>
    </>
  );
}
