// The frame: which job, which view, how it is, whether what is shown is of now.
import type { ComponentChildren, JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { ApiError, get, token } from "./api";
import { Sparkline } from "./chart";
import { CheckpointsView } from "./checkpoints";
import { Chip, Guard, Waiting, state_kind } from "./components";
import { ConfigView } from "./config";
import { ExceptionsView } from "./exceptions";
import { ago, clock_time, date_time, duration, kUnknown, rate, roughly, si, words } from "./format";
import { FreshnessView } from "./freshness";
import { GraphView } from "./graph";
import { JobsView, TokenForm } from "./jobs";
import { KeysView } from "./keys";
import { LateView } from "./late";
import { as_error, use_live, use_now, use_poll } from "./live";
import type { Live } from "./live";
import { LogsView } from "./logs";
import { OverviewView } from "./overview";
import { ReplaysView } from "./replays";
import { StateView } from "./state";
import type { JobLine, Status } from "./types";

// Relative, so that a proxy may put the page below a path of its own.
const kRoot = "api/v1";

const kViews = [
  ["overview", "Overview"],
  ["graph", "Graph"],
  ["freshness", "Freshness"],
  ["checkpoints", "Checkpoints"],
  ["late", "Late & bad"],
  ["keys", "Keys"],
  ["exceptions", "Exceptions"],
  ["state", "State"],
  ["replays", "Replays"],
  ["config", "Configuration"],
  ["logs", "Logs"],
] as const;
type ViewName = (typeof kViews)[number][0];

interface Route {
  job: string | null; // null: of a job's own page its only one, of the server's the list
  view: ViewName;
}

// #/VIEW, or #/job/NAME/VIEW.
export function parse_route(hash: string): Route {
  const parts = hash.replace(/^#\/?/, "").split("/");
  let job: string | null = null;
  if (parts[0] === "job" && parts[1] !== undefined && parts[1] !== "") {
    try {
      job = decodeURIComponent(parts[1]);
    } catch {
      job = null; // Not made by this page.
    }
    parts.splice(0, 2);
  }
  const view = kViews.find(([name]) => name === parts[0])?.[0] ?? "overview";
  return { job, view };
}

function use_route(): Route {
  const [route, set_route] = useState(parse_route(location.hash));
  useEffect(() => {
    const changed = (): void => set_route(parse_route(location.hash));
    addEventListener("hashchange", changed);
    return () => removeEventListener("hashchange", changed);
  }, []);
  return route;
}

type Theme = "auto" | "light" | "dark";
const kThemeKey = "tidemill.theme";
const kThemes: Theme[] = ["auto", "light", "dark"];

export function stored_theme(): Theme {
  return kThemes.find((theme) => theme === localStorage.getItem(kThemeKey)) ?? "auto";
}

function ThemeSwitch(): JSX.Element {
  const [theme, set_theme] = useState(stored_theme);
  const next = kThemes[(kThemes.indexOf(theme) + 1) % kThemes.length] ?? "auto";
  const change = (): void => {
    localStorage.setItem(kThemeKey, next);
    document.documentElement.dataset.theme = next;
    set_theme(next);
  };
  return (
    <button type="button" class="theme" onClick={change} aria-label={`colours: ${theme}; change to ${next}`}>
      <span aria-hidden="true">◐</span> {theme}
    </button>
  );
}

function Top(props: { title: string | null; list: boolean; children?: ComponentChildren }): JSX.Element {
  return (
    <header class="top">
      <span class="brand">
        <svg viewBox="0 0 32 32" width="22" height="22" aria-hidden="true">
          <rect width="32" height="32" rx="7" />
          <path d="M5 12c3.700-4 7.300-4 11 0s7.300 4 11 0M5 20c3.700-4 7.300-4 11 0s7.300 4 11 0" />
        </svg>
        {props.list ? <a href="#/">Tidemill</a> : <span>Tidemill</span>}
      </span>
      <h1>{props.title ?? "Jobs"}</h1>
      {props.children}
      <ThemeSwitch />
    </header>
  );
}

// Somebody is there, and refuses: the server for a job that does not run.
const was_answered = (live: Live): boolean => (live.connection.error?.status ?? 0) !== 0;

function ConnectionMark(props: { live: Live; now: number }): JSX.Element {
  const { connection } = props.live;
  const kind = connection.state === "live" ? "good" : connection.state === "lost" ? "bad" : "plain";
  const lost = was_answered(props.live) ? "no live data" : "no connection";
  return <span class={`connection ${kind}`}>{connection.state === "lost" ? lost : connection.state}</span>;
}

function ConnectionLost(props: { live: Live; now: number }): JSX.Element | null {
  const { connection, status } = props.live;
  if (connection.state !== "lost") return null;
  const { error } = connection;
  return (
    <div class="notice bad lost" role="alert">
      <p>
        {was_answered(props.live) ? error?.message : "No connection"}
        {(status !== null || !was_answered(props.live)) && ` since ${clock_time(connection.since_ms)} UTC (${roughly(props.now - connection.since_ms)})`}.
        {status !== null && " What is shown is from then."}
      </p>
      <p class="next">
        {error !== null && error.next !== "" ? error.next : "Trying again by itself. Is the process alive? Its last log line says why it ended."}
      </p>
    </div>
  );
}

function Figure(props: { name: string; value: string; more?: string; title?: string; points?: (number | null)[] }): JSX.Element {
  return (
    <div class="figure" title={props.title}>
      <dt>{props.name}</dt>
      <dd>
        <b>{props.value}</b> <span class="quiet">{props.more ?? "\u00a0"}</span>
      </dd>
      {props.points !== undefined && <Sparkline points={props.points} />}
    </div>
  );
}

// The numbers that everybody looks at first, on every view.
function Figures(props: { live: Live; now: number }): JSX.Element {
  const { status, history } = props.live;
  const worst = status?.freshness.reduce<Status["freshness"][number] | null>(
    (most, f) => (most === null || (f.p99_ms ?? -1) > (most.p99_ms ?? -1) ? f : most),
    null,
  );
  const watermark = status?.watermark_ms ?? null;
  const committed = status?.checkpoint.last_ms ?? null;
  return (
    <dl class="figures">
      <Figure name="events in" value={rate(status?.rates.events_per_s)} points={history.map((s) => s.events)} />
      <Figure name="rows out" value={rate(status?.rates.rows_per_s)} points={history.map((s) => s.rows)} />
      <Figure name="lag" value={si(status?.lag_records)} more="records" points={history.map((s) => s.lag)} />
      <Figure
        name="watermark"
        value={watermark === null ? kUnknown : roughly(props.now - watermark)}
        more="behind now"
        title={date_time(watermark)}
        points={history.map((s) => s.age)}
      />
      <Figure name="freshness p99" value={duration(worst?.p99_ms)} more={worst?.output ?? "\u00a0"} />
      <Figure
        name="last commit"
        value={committed === null ? kUnknown : ago(committed, props.now)}
        more={status == null ? "\u00a0" : `every ${duration(status.checkpoint.interval_ms)}`}
        title={date_time(committed)}
      />
    </dl>
  );
}

// Links, since each view has an address; one tab stop, arrow keys as in any list of tabs.
function Tabs(props: { view: ViewName; prefix: string; problems: number }): JSX.Element {
  const list = useRef<HTMLDivElement>(null);
  useEffect(() => {
    list.current?.querySelector("[aria-selected=true]")?.scrollIntoView({ block: "nearest", inline: "nearest" });
  }, [props.view]);
  const key_down = (event: JSX.TargetedKeyboardEvent<HTMLDivElement>): void => {
    const tabs = [...event.currentTarget.querySelectorAll("a")];
    const at = tabs.findIndex((tab) => tab === document.activeElement);
    const to =
      event.key === "ArrowRight" ? (at + 1) % tabs.length
      : event.key === "ArrowLeft" ? (at + tabs.length - 1) % tabs.length
      : event.key === "Home" ? 0
      : event.key === "End" ? tabs.length - 1
      : null;
    if (to === null) {
      if (event.key === " ") {
        event.preventDefault();
        tabs[at]?.click();
      }
      return;
    }
    event.preventDefault();
    tabs[to]?.focus();
    tabs[to]?.click();
  };
  return (
    <div class="tabs" role="tablist" aria-label="views" ref={list} onKeyDown={key_down}>
      {kViews.map(([name, title]) => (
        <a
          key={name}
          id={`tab-${name}`}
          role="tab"
          href={`${props.prefix}/${name}`}
          aria-selected={name === props.view}
          aria-controls="view"
          tabIndex={name === props.view ? 0 : -1}
        >
          {title}
          {name === "overview" && props.problems > 0 && <span class="count">{props.problems}<span class="hidden"> problems</span></span>}
        </a>
      ))}
    </div>
  );
}

function Job(props: { base: string; prefix: string; root: string | null; name: string; view: ViewName; reset: () => void }): JSX.Element {
  const live = use_live(props.base);
  const now = use_now();
  const { status, connection } = live;
  // A job that does not run says nothing; the server knows what became of it.
  const asks_server = props.root !== null && connection.state === "lost";
  const jobs = use_poll<{ jobs: JobLine[] }>(asks_server ? `${props.root}/jobs` : null, 3_000).data;
  const line = jobs?.jobs.find((one) => one.name === props.name) ?? null;
  const state = line?.state ?? status?.state ?? "";
  const problems = (Array.isArray(line?.problems) ? line.problems : status?.problems)?.length ?? 0;
  useEffect(() => {
    document.title = `${connection.state === "lost" ? "✕ " : problems > 0 ? `(${problems}) ` : ""}${props.name} – Tidemill`;
  }, [connection.state, problems, props.name]);
  const { base, view } = props;
  if (connection.error?.status === 401) {
    return (
      <>
        <Top title={props.name} list={props.root !== null} />
        <main><div class="view"><TokenForm error={connection.error} changed={props.reset} /></div></main>
      </>
    );
  }
  return (
    <div class={connection.state === "lost" && status !== null ? "job stale" : "job"}>
      <Top title={props.name} list={props.root !== null}>
        {state !== "" && <Chip kind={state_kind(state)} text={words(state)} />}
        {status !== null && <span class="quiet since" title={date_time(status.since_ms)}>{line !== null || status.since_ms === null ? "" : `for ${roughly(now - status.since_ms)}`}</span>}
        <ConnectionMark live={live} now={now} />
      </Top>
      <main>
      <ConnectionLost live={live} now={now} />
      <Guard><Figures live={live} now={now} /></Guard>
      <Tabs view={view} prefix={props.prefix} problems={problems} />
      <div class="view" id="view" role="tabpanel" aria-labelledby={`tab-${view}`} tabIndex={-1}>
        <Guard key={view}>
          {view === "overview" && <OverviewView live={live} line={line} />}
          {view === "graph" && <GraphView live={live} />}
          {view === "freshness" && <FreshnessView base={base} />}
          {view === "checkpoints" && <CheckpointsView base={base} />}
          {view === "late" && <LateView base={base} />}
          {view === "keys" && <KeysView base={base} />}
          {view === "exceptions" && <ExceptionsView base={base} runs={props.root === null ? null : base} />}
          {view === "state" && <StateView base={base} />}
          {view === "replays" && <ReplaysView live={live} root={props.root} job={props.name} />}
          {view === "config" && <ConfigView base={base} />}
          {view === "logs" && <LogsView base={base} />}
        </Guard>
      </div>
      </main>
    </div>
  );
}

type Host = { kind: "job"; name: string } | { kind: "server" };

// A job answers for itself; the server has no status of its own, or wants a token first.
async function find_host(signal: AbortSignal): Promise<Host> {
  try {
    const status = await get<Status>(`${kRoot}/status`, signal);
    return { kind: "job", name: status.job };
  } catch (error) {
    if (error instanceof ApiError && [401, 403, 404].includes(error.status)) return { kind: "server" };
    throw error;
  }
}

export function App(): JSX.Element {
  const [host, set_host] = useState<Host | null>(null);
  const [error, set_error] = useState<ApiError | null>(null);
  // Counts up with each token given, so that everything begins anew with it.
  const [attempt, set_attempt] = useState(0);
  const route = use_route();
  useEffect(() => {
    const abort = new AbortController();
    let timer = 0;
    const ask = async (): Promise<void> => {
      try {
        set_host(await find_host(abort.signal));
        set_error(null);
      } catch (failure) {
        if (abort.signal.aborted) return;
        set_error(as_error(failure));
        timer = window.setTimeout(() => void ask(), 2_000);
      }
    };
    void ask();
    return () => {
      abort.abort();
      clearTimeout(timer);
    };
  }, []);
  if (host === null) return <main><div class="view"><Waiting error={error} /></div></main>;
  const reset = (): void => set_attempt(attempt + 1);
  if (host.kind === "job") {
    return <Job base={kRoot} prefix="#" root={null} name={host.name} view={route.view} reset={reset} />;
  }
  if (route.job === null) {
    document.title = "Tidemill";
    return (
      <>
        <Top title={null} list={true}>
          {token.get() !== "" && (
            <button type="button" onClick={() => { token.set(""); reset(); }}>
              forget the token
            </button>
          )}
        </Top>
        <main><div class="view"><JobsView key={attempt} root={kRoot} changed={reset} /></div></main>
      </>
    );
  }
  const path = encodeURIComponent(route.job);
  return (
    <Job
      key={`${route.job} ${attempt}`}
      base={`${kRoot}/jobs/${path}`}
      prefix={`#/job/${path}`}
      root={kRoot}
      name={route.job}
      view={route.view}
      reset={reset}
    />
  );
}
