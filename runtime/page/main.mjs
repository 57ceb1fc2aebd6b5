// The frame around everything: which part is shown, who is here, STOP, and what went wrong.

import { connect, disconnect, get, instrument, post, stop } from "./api.mjs";
import { acquire } from "./acquire.mjs";
import { el, field, memory } from "./dom.mjs";
import { gallery } from "./gallery.mjs";
import { health } from "./health.mjs";
import { operate } from "./operate.mjs";
import { protocols } from "./protocols.mjs";
import { language, setLanguage, t } from "./words.mjs";

const PARTS = { operate, acquire, gallery, protocols, health };
const main = document.getElementById("main");
const message = document.getElementById("message");
const stopButton = document.getElementById("stop");
const languageButton = document.getElementById("language");
let leave = () => {};

/** A STOP that was not answered: that stays until one is. */
let unanswered = "";

function say(text, good = false) {
  message.className = good && !unanswered ? "good" : "";
  message.textContent = [unanswered, text].filter(Boolean).join(" – ");
}

/** Does something that can fail; what went wrong is said, and stays until something goes well. */
async function act(what, tellDone = false) {
  try {
    await what();
    say(tellDone ? t("done") : "", true);
  } catch (error) {
    if (error.status === 401) await known();
    say(error.message);
  }
}

async function known() {
  const before = instrument.session?.role;
  try {
    instrument.session = await get("session");
  } catch { /* the connection says so */ }
  drawWho();
  drawConnection();
  if (instrument.session && before !== instrument.session.role) show();
  else instrument.tell("session");
}

function drawWho() {
  const { role, login, name, board, machine } = instrument.session ?? {};
  const who = document.getElementById("who");
  const words = [machine !== "unknown" && machine, board === "twin" && t("twin"), t(`who.${role ?? "nobody"}`), name].filter(Boolean).join(" · ");
  const out = name || (login && role === "operator")
    ? el("button", { type: "button", onclick: () => act(async () => { await post("logout"); await known(); }) }, t("logout.do")) : null;
  who.replaceChildren(words, " ", ...(out ? [out] : []));
}

/** Where somebody has to log in to look, or wants to, to operate. */
function login() {
  const { login, role } = instrument.session ?? {};
  if (!login || role === "operator") return null;
  const name = el("input", { type: "text", autocomplete: "username", required: true });
  const secret = el("input", login === "code"
    ? { type: "text", inputMode: "numeric", autocomplete: "one-time-code", required: true, id: "code" }
    : { type: "password", autocomplete: "current-password", required: true, id: "password" });
  const go = (event) => {
    event.preventDefault();
    act(async () => {
      await post("login", login === "code" ? { code: secret.value.trim() } : { name: name.value.trim(), password: secret.value });
      await begin();
    });
  };
  return el("form", { onsubmit: go, id: "login" }, el("h1", {}, t("login.title")), el("p", {}, t("login.to")),
    login === "code" ? field(t("login.code"), secret, t("login.code.hint")) : [field(t("login.name"), name), field(t("login.password"), secret)],
    el("button", { type: "submit", className: "main" }, t("login.do")));
}

/** What the address says: `#part/…`. */
function show() {
  const [part = "", ...rest] = location.hash.slice(1).split("/");
  const name = part in PARTS ? part : "operate";
  leave();
  leave = () => {};
  const form = login();
  if (instrument.session?.role) {
    const parts = rest.map(decodeURIComponent);
    const [element, end] = PARTS[name](act, { parts, protocol: parts[0] });
    leave = end;
    main.replaceChildren(...(form ? [el("details", {}, el("summary", {}, t("login.title")), form)] : []), element);
  } else {
    // The session is not known yet, or nobody can log in.
    main.replaceChildren(...(form ? [form] : instrument.session ? [el("p", { id: "shut-out" }, t("login.none"))] : []));
  }
  document.title = `${t(`tab.${name}`)} – Planktor`;
  for (const link of document.querySelectorAll("#tabs a")) {
    if (link.hash === `#${name}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}

function drawFrame() {
  setLanguage(language);
  const tabs = Object.keys(PARTS).map((name) => el("a", { href: `#${name}` }, t(`tab.${name}`)));
  document.getElementById("tabs").replaceChildren(...tabs);
  stopButton.textContent = t("stop.label");
  languageButton.textContent = t("language");
  languageButton.lang = language === "fr" ? "en" : "fr";
  drawConnection();
  drawWho();
  show();
}

function drawConnection() {
  const connection = document.getElementById("connection");
  const shutOut = instrument.session && !instrument.session.role;
  connection.textContent = shutOut ? "" : t(instrument.connected ? "connection.on" : "connection.off");
  connection.className = instrument.connected ? "good" : "bad";
}

stopButton.addEventListener("click", async () => {
  say(t("stop.doing"));
  try {
    await stop();
    unanswered = "";
    say(t("stop.done"), true);
  } catch (error) {
    unanswered = t("stop.failed", error.message);
    say("");
    if (error.status === 401) await known();
  }
});
languageButton.addEventListener("click", () => {
  setLanguage(language === "fr" ? "en" : "fr");
  drawFrame();
});
/** Who may look listens; a program that is not there yet is asked again. */
async function begin() {
  await known();
  if (instrument.session?.role) connect();
  else if (!instrument.session) setTimeout(begin, 3000);
}

addEventListener("hashchange", () => {
  say("");
  show();
  main.focus();
  scrollTo(0, 0);
});
document.addEventListener("visibilitychange", () => (document.hidden ? disconnect() : begin()));
instrument.owner = memory.get("name");
instrument.listen((kind, now) => {
  if (kind !== "connection") return;
  drawConnection();
  if (now) known();
});

drawFrame();
await begin();
