// What the job's and the server's API answer (docs/decisions/0004_operate.md). Numbers that may exceed 2^53 come as text.

export type Int = number | string;
export type Maybe<T> = T | null;

export interface Problem {
  id: string;
  severity: "warning" | "error";
  text: string;
  next: string;
  since_ms: Maybe<number>;
}

export interface SourceSplit {
  name: string;
  split: string;
  offset: Maybe<Int>;
  lag_records: Maybe<Int>;
  watermark_ms: Maybe<number>;
  idle: boolean;
}

export interface ReplayProgress {
  name: string;
  from_ms: Maybe<number>;
  until_ms: Maybe<number>;
  at_ms: Maybe<number>;
  percent: Maybe<number>;
  eta_s: Maybe<number>;
}

export interface WatermarkHolder {
  source: string;
  split: string;
  behind_ms: Maybe<number>;
  since_s: Maybe<number>;
}

export interface OutputFreshness {
  output: string;
  p50_ms: Maybe<number>;
  p99_ms: Maybe<number>;
  max_ms: Maybe<number>;
}

export interface Status {
  job: string;
  state: string;
  since_ms: Maybe<number>;
  version: string;
  pid: Maybe<number>;
  parallelism: Maybe<number>;
  started_ms: Maybe<number>;
  restarts: Maybe<number>;
  last_failure: Maybe<string>;
  replay: Maybe<ReplayProgress>;
  totals: { events: Int; rows: Int; late: Int; bad: Int };
  rates: { events_per_s: Maybe<number>; rows_per_s: Maybe<number> };
  lag_records: Maybe<Int>;
  watermark_ms: Maybe<number>;
  watermark_holder: Maybe<WatermarkHolder>;
  checkpoint: {
    last_id: Maybe<string>;
    last_ms: Maybe<number>;
    duration_us: Maybe<Int>;
    bytes: Maybe<Int>;
    interval_ms: Maybe<number>;
  };
  freshness: OutputFreshness[];
  sources: SourceSplit[];
  problems: Problem[];
}

export interface GraphNode {
  id: string;
  name: string;
  kind: "source" | "operator" | "sink";
  chain: Maybe<string | number>;
  parallelism: Maybe<number>;
  busy: Maybe<number>;
  back_pressured: Maybe<number>;
  idle: Maybe<number>;
  records_in_per_s: Maybe<number>;
  records_out_per_s: Maybe<number>;
  watermark_ms: Maybe<number>;
  late: Maybe<Int>;
  state_bytes: Maybe<Int>;
}

export interface GraphEdge {
  from: string;
  to: string;
  partitioning: string;
  records_per_s: Maybe<number>;
}

export interface Graph {
  nodes: GraphNode[];
  edges: GraphEdge[];
}

export interface FreshnessStage {
  stage: string;
  operator: string;
  replay: boolean;
  p50_ms: Maybe<number>;
  p99_ms: Maybe<number>;
  max_ms: Maybe<number>;
  count: Int;
}

export interface Freshness {
  stages: FreshnessStage[];
  history: { at_ms: number; stages: Record<string, [Maybe<number>, Maybe<number>]> }[];
}

export const kPhases = ["align_us", "drain_us", "store_us", "commit_us"] as const;
export type Phase = (typeof kPhases)[number];

export interface CheckpointRun {
  id: string;
  seq: Int;
  triggered_ms: Maybe<number>;
  duration_us: Maybe<Int>;
  phases: Maybe<Partial<Record<Phase, Maybe<Int>>>>;
  bytes: Maybe<Int>;
  stall_us: Maybe<Int>;
  slowest: Maybe<{ operator: string; subtask: number }>;
  result: "committed" | "declined" | "failed";
  reason: Maybe<string>;
}

export interface RestorePoint {
  id: string;
  seq: Int;
  created_ms: Maybe<number>;
  bytes: Maybe<Int>;
  watermark_ms: Maybe<number>;
  lineage: Maybe<string>;
  final: boolean;
  savepoint: boolean;
}

export interface Checkpoints {
  history: CheckpointRun[];
  restore_points: RestorePoint[];
}

export interface Reason {
  operator: string;
  reason: string;
  split: Maybe<string>;
  count: Int;
}

export interface LateSample {
  operator: string;
  subtask: number;
  reason: string;
  side?: Maybe<string>;
  time: Maybe<number | string>;
  watermark: Maybe<number | string>;
  behind_ms: Maybe<Int>;
  key: Maybe<number | string>;
  origin?: Maybe<string>;
}

export interface Late {
  late: Reason[];
  bad: Reason[];
  samples: LateSample[];
  bad_samples: { reason: string; origin: string; text: string }[];
  disorder: { source: string; split: string; configured_ms: Maybe<number>; needed_999_ms: Maybe<number> }[];
}

export interface Exchange {
  from: string;
  to: string;
  keys: { key: string; share: number; subtask: Maybe<number> }[];
  skew: Maybe<number>;
}

export interface Keys {
  exchanges: Exchange[];
}

export interface JobException {
  at_ms: number;
  operator: Maybe<string>;
  subtask: Maybe<number>;
  message: string;
  origin: Maybe<string>;
  attempt: Maybe<number>;
}

export interface Settings {
  settings: { key: string; value: unknown; source: string }[];
}

export interface States {
  checkpoint: Maybe<string>;
  states: {
    operator: string;
    state: string;
    kind: string;
    key: string;
    value: string;
    entries: Maybe<Int>;
    bytes: Maybe<Int>;
  }[];
}

export interface StateValue {
  found: boolean;
  operator: string;
  state: string;
  key: unknown;
  key_group: Maybe<number>;
  subtask: Maybe<number>;
  watermark_ms: Maybe<number>;
  checkpoint: Maybe<string>;
  value: unknown;
}

export interface JobLine {
  name: string;
  desired: string;
  state: string;
  since_ms: Maybe<number>;
  pid: Maybe<number>;
  restarts: Maybe<number>;
  rate: Maybe<number>;
  freshness_p99_ms: Maybe<number>;
  lag_records: Maybe<Int>;
  checkpoint_ms: Maybe<number>;
  problems: Maybe<Problem[] | number>;
  replay_of: Maybe<string>;
  binary: Maybe<string>;
}

export interface Run {
  started_ms: Maybe<number>;
  ended_ms: Maybe<number>;
  exit: Maybe<number>;
  signal: Maybe<number | string>;
  reason: Maybe<string>;
}

export interface Diff {
  keys: Int;
  equal: Int;
  different: Int;
  only_live: Int;
  only_replay: Int;
  differences: { key: unknown; window: unknown; live: unknown; replay: unknown }[];
}

export interface Promotion {
  job: string;
  replay: string;
  phase: string;
  since_ms?: Maybe<number>;
  error?: Maybe<string>;
  [more: string]: unknown;
}
