// The server's answers, or its sentence as an error. Every URL is relative, so the page works under any path of a proxy.

const TOKEN = "convscope-token";
const PATIENCE = 5;

/** What the server refused, in its own words. */
export class Refusal extends Error {
  constructor(sentence, code, status) {
    super(sentence);
    Object.assign(this, { code, status });
  }
}

/** The admin token, given as `#token=…` or typed in; kept for this tab only. */
export const token = {
  read: () => sessionStorage.getItem(TOKEN) ?? "",
  keep: (value) => sessionStorage.setItem(TOKEN, value),
  forget: () => sessionStorage.removeItem(TOKEN),
  /** Takes the token out of the address, where it would be copied along with the link. */
  adopt() {
    const parts = new URLSearchParams(location.hash.slice(1));
    const given = parts.get("token");
    if (!given) return;
    this.keep(given);
    parts.delete("token");
    history.replaceState(null, "", location.pathname + location.search + (parts.size ? `#${parts}` : ""));
  },
};

/** The response to a request; a full queue is waited for, anything else that is not a success is thrown. */
export async function request(path, { query = {}, admin = false, headers = {}, ...options } = {}) {
  const given = Object.entries(query).filter(([, value]) => value != null && value !== "");
  const url = given.length ? `${path}?${new URLSearchParams(given)}` : path;
  if (admin) headers = { ...headers, authorization: `Bearer ${token.read()}` };
  for (let tries = 1; ; tries++) {
    const response = await reach(url, { ...options, headers });
    if (response.ok) return response;
    if (response.status !== 429 || tries === PATIENCE) throw await refusal(response);
    await pause(Number(response.headers.get("retry-after-ms")) || 500, options.signal);
  }
}

/** A JSON answer. */
export const json = async (path, options = {}) =>
  (await request(path, { ...options, headers: { ...options.headers, accept: "application/json" } })).json();

/** A body of bytes: a picture. */
export const blob = async (path, options) => (await request(path, options)).blob();

/** Sends `value` as JSON, with the admin token. */
export const send = (path, value, method = "POST") =>
  json(path, { method, admin: true, headers: { "content-type": "application/json" }, body: value && JSON.stringify(value) });

/** Resolves after a while, rejects when `signal` is given up. */
export function pause(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const timer = setTimeout(resolve, milliseconds);
    signal?.addEventListener("abort", () => (clearTimeout(timer), reject(signal.reason)), { once: true });
  });
}

async function reach(url, options) {
  try {
    return await fetch(url, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refusal("The server does not answer. Is convscope still running?", "unreachable", 0);
  }
}

async function refusal(response) {
  const body = await response.json().catch(() => ({}));
  return new Refusal(body.error ?? `The server answered ${response.status}.`, body.code, response.status);
}
