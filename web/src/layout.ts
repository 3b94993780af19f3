// Where the boxes of a graph go: layers by the longest path, few crossings by barycentres, positions by least squares.

export interface Box {
  id: string;
  layer: number;
  along: number; // centre, in the direction of the flow
  across: number; // centre, across it
}

export interface Route {
  from: string;
  to: string;
  points: { along: number; across: number }[]; // from border to border, a bend a layer
}

export interface Layout {
  boxes: Map<string, Box>;
  routes: Route[];
  along: number; // extent
  across: number;
}

export interface LayoutSizes {
  box_along: number;
  box_across: number;
  gap_along: number;
  gap_across: number;
}

interface Vertex {
  id: string | null; // null: a bend of a long edge
  layer: number;
  place: number; // within its layer
  across: number;
  before: Vertex[];
  after: Vertex[];
}

const kBend = 14; // room that a bend takes across
const kSweeps = 24;

// Edges against the flow of a depth-first walk are left out: a plan has none, and a damaged answer must not hang the page.
function without_cycles<E extends { from: string; to: string }>(ids: string[], edges: E[]): E[] {
  const out = new Map<string, E[]>(ids.map((id) => [id, []]));
  for (const edge of edges) if (out.has(edge.to) && edge.from !== edge.to) out.get(edge.from)?.push(edge);
  const state = new Map<string, "open" | "done">();
  const kept: E[] = [];
  const walk = (id: string): void => {
    state.set(id, "open");
    for (const edge of out.get(id) ?? []) {
      if (state.get(edge.to) === "open") continue;
      kept.push(edge);
      if (!state.has(edge.to)) walk(edge.to);
    }
    state.set(id, "done");
  };
  for (const id of ids) if (!state.has(id)) walk(id);
  return kept;
}

function layers_of(ids: string[], edges: { from: string; to: string }[]): Map<string, number> {
  const before = new Map<string, string[]>();
  const after = new Map<string, string[]>();
  for (const { from, to } of edges) {
    before.set(to, [...(before.get(to) ?? []), from]);
    after.set(from, [...(after.get(from) ?? []), to]);
  }
  const layer = new Map<string, number>();
  const longest = (id: string): number => {
    const known = layer.get(id);
    if (known !== undefined) return known;
    const result = Math.max(-1, ...(before.get(id) ?? []).map(longest)) + 1;
    layer.set(id, result);
    return result;
  };
  ids.forEach(longest);
  // A source stands before its first reader, not far to the left of it.
  for (const id of ids) {
    const readers = (after.get(id) ?? []).map((to) => layer.get(to) ?? 1);
    if ((before.get(id) ?? []).length === 0 && readers.length > 0) layer.set(id, Math.max(0, Math.min(...readers) - 1));
  }
  return layer;
}

const mean = (values: number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

function crossings(layers: Vertex[][]): number {
  let count = 0;
  for (const layer of layers) {
    const ends = layer.flatMap((v) => v.after.map((w) => w.place).sort((a, b) => a - b));
    for (let i = 0; i < ends.length; ++i)
      for (let j = i + 1; j < ends.length; ++j) if ((ends[i] ?? 0) > (ends[j] ?? 0)) ++count;
  }
  return count;
}

function renumber(layer: Vertex[]): void {
  layer.forEach((v, i) => (v.place = i));
}

function order(layers: Vertex[][]): Vertex[][] {
  let best = layers.map((layer) => [...layer]);
  let fewest = crossings(layers);
  for (let sweep = 0; sweep < kSweeps && fewest > 0; ++sweep) {
    const down = sweep % 2 === 0;
    for (const layer of down ? layers : [...layers].reverse()) {
      const centre = new Map<Vertex, number>();
      for (const v of layer) {
        const near = down ? v.before : v.after;
        centre.set(v, near.length > 0 ? mean(near.map((w) => w.place)) : v.place);
      }
      layer.sort((a, b) => (centre.get(a) ?? 0) - (centre.get(b) ?? 0));
      renumber(layer);
    }
    const now = crossings(layers);
    if (now < fewest) {
      fewest = now;
      best = layers.map((layer) => [...layer]);
    }
  }
  best.forEach(renumber);
  return best;
}

// The positions nearest to those wished for (least squares) that keep order and distances: pooling of neighbours that collide.
export function place(wishes: number[], distances: number[]): number[] {
  const offsets: number[] = [];
  wishes.forEach((_, i) => offsets.push(i === 0 ? 0 : (offsets[i - 1] ?? 0) + (distances[i - 1] ?? 0)));
  const pools: { sum: number; count: number }[] = [];
  wishes.forEach((wish, i) => {
    let pool = { sum: wish - (offsets[i] ?? 0), count: 1 };
    for (let last = pools[pools.length - 1]; last !== undefined && last.sum / last.count > pool.sum / pool.count; last = pools[pools.length - 1]) {
      pool = { sum: pool.sum + last.sum, count: pool.count + last.count };
      pools.pop();
    }
    pools.push(pool);
  });
  return pools.flatMap((pool) => Array<number>(pool.count).fill(pool.sum / pool.count)).map((at, i) => at + (offsets[i] ?? 0));
}

function settle(layers: Vertex[][], sizes: LayoutSizes): void {
  const extent = (v: Vertex): number => (v.id === null ? kBend : sizes.box_across + sizes.gap_across);
  const distances = layers.map((layer) => layer.slice(1).map((v, i) => (extent(v) + extent(layer[i] ?? v)) / 2));
  layers.forEach((layer, n) => {
    const at = place(layer.map(() => 0), distances[n] ?? []);
    layer.forEach((v, i) => (v.across = at[i] ?? 0));
  });
  for (let sweep = 0; sweep < kSweeps; ++sweep) {
    const down = sweep % 2 === 0;
    const order_of = layers.map((_, n) => (down ? n : layers.length - 1 - n));
    for (const n of order_of) {
      const layer = layers[n] ?? [];
      const wishes = layer.map((v) => {
        // At the end both sides pull, which straightens what one side has bent.
        const near = sweep >= kSweeps - 4 ? [...v.before, ...v.after] : down ? v.before : v.after;
        return near.length > 0 ? mean(near.map((w) => w.across)) : v.across;
      });
      const at = place(wishes, distances[n] ?? []);
      layer.forEach((v, i) => (v.across = at[i] ?? 0));
    }
  }
}

// Where on the side of its box an edge begins or ends, so that edges do not share their last bit.
function port(v: Vertex, neighbours: Vertex[], other: Vertex | undefined, sizes: LayoutSizes): number {
  if (v.id === null || other === undefined) return 0;
  const sorted = [...neighbours].sort((a, b) => a.across - b.across);
  const step = Math.min(14, (sizes.box_across - 20) / sorted.length);
  return (sorted.indexOf(other) - (sorted.length - 1) / 2) * step;
}

export function lay_out(ids: string[], all_edges: { from: string; to: string }[], sizes: LayoutSizes): Layout {
  const edges = without_cycles(ids, all_edges);
  const layer_of = layers_of(ids, edges);
  const vertices = new Map<string, Vertex>();
  let layers: Vertex[][] = [];
  const add = (id: string | null, layer: number): Vertex => {
    while (layers.length <= layer) layers.push([]);
    const v: Vertex = { id, layer, place: layers[layer]?.length ?? 0, across: 0, before: [], after: [] };
    layers[layer]?.push(v);
    return v;
  };
  for (const id of ids) vertices.set(id, add(id, layer_of.get(id) ?? 0));
  const chains: Vertex[][] = [];
  for (const edge of edges) {
    const from = vertices.get(edge.from);
    const to = vertices.get(edge.to);
    if (from === undefined || to === undefined) continue;
    const chain = [from];
    for (let layer = from.layer + 1; layer < to.layer; ++layer) chain.push(add(null, layer));
    chain.push(to);
    chain.slice(1).forEach((v, i) => {
      const previous = chain[i];
      if (previous === undefined) return;
      previous.after.push(v);
      v.before.push(previous);
    });
    chains.push(chain);
  }
  layers = order(layers);
  settle(layers, sizes);

  const all = layers.flat();
  const least = Math.min(0, ...all.map((v) => v.across)) - sizes.box_across / 2;
  const most = Math.max(0, ...all.map((v) => v.across)) + sizes.box_across / 2;
  const along = (v: Vertex): number => v.layer * (sizes.box_along + sizes.gap_along) + sizes.box_along / 2;
  const boxes = new Map<string, Box>();
  for (const [id, v] of vertices) boxes.set(id, { id, layer: v.layer, along: along(v), across: v.across - least });
  const routes = chains.map((chain): Route => {
    const points = chain.flatMap((v, i) => {
      const across = v.across - least;
      const half = sizes.box_along / 2;
      const arrives = { along: along(v) - half, across: across + port(v, v.before, chain[i - 1], sizes) };
      const leaves = { along: along(v) + half, across: across + port(v, v.after, chain[i + 1], sizes) };
      return i === 0 ? [leaves] : i === chain.length - 1 ? [arrives] : [arrives, leaves];
    });
    return { from: chain[0]?.id ?? "", to: chain[chain.length - 1]?.id ?? "", points };
  });
  return { boxes, routes, along: layers.length * (sizes.box_along + sizes.gap_along) - sizes.gap_along, across: most - least };
}
