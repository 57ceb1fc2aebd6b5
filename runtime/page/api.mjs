// The instrument as this page sees it: questions, commands, and what it says.

/** A request that was refused, or failed: its message says what to do. */
export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

async function answer(response) {
  const body = await response.json().catch(() => ({}));
  if (!response.ok) throw new Refused(response.status, body.error?.message ?? `${response.status} ${response.statusText}`);
  return body;
}

/** Addresses are relative: the page may be behind a proxy, below any path. */
export const get = async (path) => answer(await fetch(`api/${path}`));

export const post = async (path, body = {}) =>
  answer(await fetch(`api/${path}`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
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
export const command = (topic, payload = {}, wait = 60) =>
  post(`commands/${topic}?wait=${wait}`, instrument.owner ? { ...payload, owner: instrument.owner } : payload);

/** Everything stands, whoever started it. All three are asked at once, so that none waits for another. */
export const stop = () =>
  Promise.all(["imager/image", "actuator/pump", "actuator/focus"].map((topic) => command(topic, { action: "stop" }, 10)));

let events = null;

/** Listens while the page is looked at: a browser has few connections for one server. */
export function connect() {
  events?.close();
  events = new EventSource("api/events");
  events.onopen = () => connected(true);
  events.onerror = () => {
    connected(false);
    // The browser tries again by itself, but not when it was refused.
    if (events.readyState === EventSource.CLOSED) setTimeout(() => document.hidden || connect(), 3000);
  };
  events.addEventListener("said", ({ data }) => {
    const said = JSON.parse(data);
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
