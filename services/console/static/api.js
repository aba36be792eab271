// Calls to the console itself. Whatever goes wrong becomes a Problem that says what to do.

export class Problem extends Error {
  constructor(status, { detail, title, fix, tried, reason } = {}) {
    super(detail || title || "Something went wrong.");
    Object.assign(this, { status, fix: fix ?? "", tried: tried ?? "", reason: reason ?? "" });
  }
}

const AWAY = {
  detail: "The console does not answer.",
  fix: "Start it again (docker compose up -d console, or scripts/demo --keep), then open the address that it prints.",
};
const ENDED = {
  detail: "This session has ended: the console was restarted.",
  fix: "Open the address that it printed: docker compose logs console | grep Open",
};

/** request("POST", "/api/handshake", {json: {...}, signal}) returns what was answered, parsed. */
export async function request(method, path, { json, signal } = {}) {
  let response;
  try {
    response = await fetch(path, {
      method,
      signal,
      headers: json === undefined ? {} : { "Content-Type": "application/json" },
      body: json === undefined ? undefined : JSON.stringify(json),
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, { ...AWAY, tried: `${method} ${path}` });
  }
  return answerOf(response.status, await response.text(), `${method} ${path}`);
}

/** Parse an answer, or throw the Problem in it; XMLHttpRequest's too. */
export function answerOf(status, text, tried) {
  if (status === 401) throw new Problem(401, { ...ENDED, tried });
  if (status === 0) throw new Problem(0, { ...AWAY, tried });
  let content = null;
  try {
    content = text ? JSON.parse(text) : null;
  } catch {
    content = { detail: text };
  }
  if (status >= 400) throw new Problem(status, { tried: `${tried}: HTTP ${status}`, ...content });
  return content;
}

export const get = (path, options) => request("GET", path, options);
export const post = (path, json, options) => request("POST", path, { ...options, json });
export const remove = (path, options) => request("DELETE", path, options);

/** Listen to server-sent events: handlers are {name: (data) => ...}; ends with the signal. */
export function events(path, handlers, { signal, onerror } = {}) {
  const source = new EventSource(path);
  for (const [name, handle] of Object.entries(handlers)) {
    source.addEventListener(name, (event) => handle(JSON.parse(event.data)));
  }
  source.onerror = () => onerror?.(source.readyState === EventSource.CLOSED);
  signal?.addEventListener("abort", () => source.close());
  return source;
}
