// The calls of one API: a job's own, or a job's within the server's. Knows no view.

export class ApiError extends Error {
  constructor(
    readonly status: number, // 0: no connection
    message: string,
    readonly next: string,
  ) {
    super(message);
  }
}

const kTokenKey = "tidemill.token";
// Event streams say something each second; a connection that has been silent for longer than this is dead.
const kSilence_ms = 6_000;

// Server's clock minus the browser's, by the Date header. Ages are told by the clock that has made the times.
let clock_offset_ms = 0;
export const now_ms = (): number => Date.now() + clock_offset_ms;

function learn_clock(response: Response): void {
  const date = Date.parse(response.headers.get("date") ?? "");
  if (Number.isNaN(date)) return;
  // The header has whole seconds: less than two apart is no difference.
  const offset = date + 500 - Date.now();
  clock_offset_ms = Math.abs(offset) < 2_000 ? 0 : offset;
}

export const token = {
  get: (): string => sessionStorage.getItem(kTokenKey) ?? "",
  set: (value: string): void => {
    if (value === "") sessionStorage.removeItem(kTokenKey);
    else sessionStorage.setItem(kTokenKey, value);
  },
};

function headers(accept: string): Headers {
  const result = new Headers({ accept });
  if (token.get() !== "") result.set("authorization", `Bearer ${token.get()}`);
  return result;
}

async function refusal(response: Response): Promise<ApiError> {
  let error = `the answer was ${response.status} ${response.statusText}`;
  let next = "";
  try {
    const body: unknown = await response.json();
    if (typeof body === "object" && body !== null) {
      if ("error" in body && typeof body.error === "string") error = body.error;
      if ("next" in body && typeof body.next === "string") next = body.next;
    }
  } catch {
    // No JSON: the status line has to do.
  }
  return new ApiError(response.status, error, next);
}

async function request(url: string, accept: string, signal: AbortSignal): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(url, { headers: headers(accept), signal, cache: "no-store", credentials: "omit" });
  } catch (error) {
    if (signal.aborted) throw error;
    throw new ApiError(0, "no connection", "");
  }
  learn_clock(response);
  if (!response.ok) throw await refusal(response);
  return response;
}

export async function get<T>(url: string, signal: AbortSignal): Promise<T> {
  const response = await request(url, "application/json", signal);
  try {
    return (await response.json()) as T;
  } catch (error) {
    if (signal.aborted) throw error;
    throw new ApiError(response.status, "the answer is no JSON", "see whether something between here and the job changes answers");
  }
}

// Calls `take` with the data of each event until the stream ends, which is an error as everything else that ends it.
// EventSource cannot send a token, so the stream is read by fetch.
export async function events(url: string, take: (data: string) => void, signal: AbortSignal): Promise<never> {
  const silence = new AbortController();
  const stop = (): void => silence.abort();
  signal.addEventListener("abort", stop);
  let timer = setTimeout(stop, kSilence_ms);
  try {
    const response = await request(url, "text/event-stream", silence.signal);
    if (response.body === null) throw new ApiError(0, "no connection", "");
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    for (;;) {
      const { done, value } = await reader.read();
      if (done) throw new ApiError(0, "the stream has ended", "");
      clearTimeout(timer);
      timer = setTimeout(stop, kSilence_ms);
      text += value;
      const blocks = text.split(/\r?\n\r?\n/);
      text = blocks.pop() ?? "";
      for (const block of blocks) {
        const data = block
          .split(/\r?\n/)
          .filter((line) => line.startsWith("data:"))
          .map((line) => line.slice(line.startsWith("data: ") ? 6 : 5));
        if (data.length > 0) take(data.join("\n"));
      }
    }
  } catch (error) {
    if (signal.aborted || error instanceof ApiError) throw error;
    throw new ApiError(0, "no connection", "");
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", stop);
  }
}
