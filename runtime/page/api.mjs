// The instrument as this page sees it: questions, commands, and what it says.

/** A request that was refused, or failed: its message says what to do. */
export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** Nothing is waited for longer; a command's own wait is shorter. */
const LONGEST_MS = 70_000;
/** Moves are answered at their end, which the events tell as well: no connection is held for that. */
const WAIT_S = 2;
const STOP_MS = 5_000;

async function answer(response) {
  const body = await response.json().catch(() => ({}));
  if (!response.ok) throw new Refused(response.status, body.error?.message ?? `${response.status} ${response.statusText}`);
  return body;
}

/** Addresses are relative: the page may be behind a proxy, below any path. */
export const get = async (path) => answer(await fetch(`api/${path}`));

export const post = async (path, body = {}, within = LONGEST_MS) =>
  answer(await fetch(`api/${path}`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(within),
  }));

/** Where a data set or a file of it is found; every part may hold anything. */
export const set = (...parts) => {
  const [date, sample, acquisition, ...rest] = parts.map(encodeURIComponent);
  return ["datasets", date, sample, acquisition, ...rest].join("/");
};

/** What is known: the state of each topic, the latest figures, and who listens. */
export const instrument = {
  states: new Map(),
  session: null,
  connected: false,
  owner: null,
  listeners: new Set(),
  /** Calls back for everything that is said, until the function that it gives is called. */
  listen(listener) {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  },
  tell(kind, what) {
    for (const listener of [...this.listeners]) listener(kind, what);
  },
  state(topic) {
    return this.states.get(topic) ?? {};
  },
  mayOperate() {
    return this.session?.role === "operator";
  },
};

/** Gives a command; resolves with its answer when it is done, or with nothing while it is under way. */
export const command = (topic, payload = {}, wait = WAIT_S) =>
  post(`commands/${topic}?wait=${wait}`, instrument.owner ? { ...payload, owner: instrument.owner } : payload);

/**
 * Everything stands, whoever started it. All three are asked at once, so that none waits for another. A browser has few
 * connections for one server: this page's own are given up first, so that a stop never waits for one.
 */
export async function stop() {
  disconnect();
  instrument.tell("quiet");
  try {
    await Promise.all(["imager/image", "actuator/pump", "actuator/focus"].map((topic) =>
      post(`commands/${topic}?wait=4`, { action: "stop" }, STOP_MS)));
  } finally {
    connect();
  }
}

let events = null;
/** The last event that was heard: `boot-number`. */
let last = null;

/** Listens while the page is looked at: a browser has few connections for one server. */
export function connect() {
  events?.close();
  events = new EventSource(`api/events${last ? `?after=${last}` : ""}`);
  events.onopen = () => connected(true);
  events.onerror = () => {
    connected(false);
    // The browser tries again by itself, but not when it was refused.
    if (events.readyState === EventSource.CLOSED) setTimeout(() => document.hidden || connect(), 3000);
  };
  events.addEventListener("said", ({ data, lastEventId }) => {
    const said = JSON.parse(data);
    const [boot, number] = lastEventId.split("-");
    // Another start of the program: what was known is not true any more.
    if (last && !last.startsWith(`${boot}-`)) {
      instrument.states.clear();
      instrument.tell("restart");
    }
    // First comes the state of every topic, in no order with what was heard before.
    if (!last?.startsWith(`${boot}-`) || Number(number) > Number(last.split("-")[1])) last = lastEventId;
    if (said.retained) instrument.states.set(said.topic, said.message);
    instrument.tell("said", said);
  });
  events.addEventListener("picture", ({ data }) => instrument.tell("picture", JSON.parse(data)));
}

export function disconnect() {
  events?.close();
  events = null;
}

function connected(now) {
  instrument.connected = now;
  instrument.tell("connection", now);
}
