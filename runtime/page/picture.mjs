// The live picture with its figures: sharpness and brightness as numbers and as a small trace, to focus by.

import { instrument } from "./api.mjs";
import { el } from "./dom.mjs";
import { n, t } from "./words.mjs";

/** A picture that is older is not live. During an acquisition there is one a stroke. */
const STALE_S = 3;
/** The server ends a stream after an hour: it is asked for again before that. */
const AGAIN_MS = 3_000_000;
/** Pictures that the trace shows. */
const TRACE = 120;
const EMPTY = "data:image/gif;base64,R0lGODlhAQABAAAAACwAAAAAAQABAAA=";

/** The picture, and a function that ends it. */
export function picture() {
  const values = [];
  let zoom = null;
  let again = null;
  let newest = Date.now();
  const image = el("img", { alt: t("picture.alt"), tabIndex: 0, onclick: point, onkeydown: key, onerror: retry });
  const sharpness = el("dd", { id: "sharpness" }, "–");
  const brightness = el("dd", { id: "brightness" }, "–");
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("class", "trace");
  svg.setAttribute("viewBox", `0 0 ${TRACE} 100`);
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", t("picture.trace"));
  const line = svg.appendChild(document.createElementNS(svg.namespaceURI, "polyline"));
  const best = svg.appendChild(document.createElementNS(svg.namespaceURI, "line"));
  const stale = el("p", { className: "warn", role: "status", id: "stale" });
  const whole = el("button", { type: "button", hidden: true, onclick: () => look(null) }, t("picture.whole"));
  const middle = el("button", { type: "button", onclick: () => look({ x: 50, y: 50 }) }, t("picture.zoom"));
  const forget = el("button", { type: "button", onclick: () => { values.length = 0; draw(); } }, t("picture.forget"));
  const box = el("section", { className: "picture", "aria-label": t("picture.title") },
    image,
    el("dl", { className: "figures" },
      el("div", {}, el("dt", {}, t("picture.sharpness")), sharpness),
      el("div", {}, el("dt", {}, t("picture.brightness")), brightness)),
    svg,
    stale,
    el("div", { className: "row" }, middle, whole, forget));

  function look(at) {
    // Another view may have other figures.
    if (JSON.stringify(at) !== JSON.stringify(zoom)) values.length = 0;
    zoom = at;
    box.classList.toggle("zoomed", at !== null);
    whole.hidden = at === null;
    middle.hidden = at !== null;
    image.src = `preview.mjpg${at ? `?zoom=1&x=${at.x}&y=${at.y}` : ""}`;
  }
  function point(event) {
    if (zoom) return look(null);
    const { left, top, width, height } = image.getBoundingClientRect();
    const part = (at, from, side) => Math.min(100, Math.max(0, Math.round((100 * (at - from)) / side)));
    look({ x: part(event.clientX, left, width), y: part(event.clientY, top, height) });
  }
  function key(event) {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    look(zoom ? null : { x: 50, y: 50 });
  }
  function retry() {
    clearTimeout(again);
    again = setTimeout(() => document.hidden || look(zoom), 2000);
  }
  function draw() {
    const most = Math.max(...values, 1);
    line.setAttribute("points", values.map((value, x) => `${x},${96 - (92 * value) / most}`).join(" "));
    for (const [name, value] of Object.entries({ x1: 0, x2: TRACE, y1: 4, y2: 4 })) best.setAttribute(name, value);
  }
  const deaf = instrument.listen((kind, what) => {
    if (kind === "quiet") image.src = EMPTY;
    if (kind === "connection" && what) return look(zoom);
    if (kind !== "picture") return;
    newest = Date.now();
    age();
    values.push(what.sharpness);
    if (values.length > TRACE) values.shift();
    sharpness.textContent = n(what.sharpness, what.sharpness < 100 ? 1 : 0);
    brightness.textContent = `${n(100 * what.brightness, 0)} %`;
    draw();
  });
  function age() {
    const seconds = Math.floor((Date.now() - newest) / 1000);
    const { state = "idle" } = instrument.state("planktor/status/acquisition");
    const old = seconds > STALE_S && state === "idle";
    box.classList.toggle("stale", old);
    const text = old ? t("picture.stale", seconds < 10 ? seconds : 10 * Math.floor(seconds / 10)) : "";
    if (stale.textContent !== text) stale.textContent = text;
  }
  const clock = setInterval(age, 1000);
  const renew = setInterval(() => document.hidden || look(zoom), AGAIN_MS);
  const hide = () => (document.hidden ? (image.src = EMPTY) : look(zoom));
  document.addEventListener("visibilitychange", hide);
  look(null);
  return [box, () => {
    deaf();
    clearTimeout(again);
    clearInterval(clock);
    clearInterval(renew);
    document.removeEventListener("visibilitychange", hide);
    image.onerror = null;
    image.src = EMPTY;
  }];
}
