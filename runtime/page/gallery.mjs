// The data sets: all of them, one of them, one frame of it.

import { command, get, instrument, set } from "./api.mjs";
import { el, facts } from "./dom.mjs";
import { bytes, clock, duration, has, n, place, t } from "./words.mjs";

/** An acquisition is answered at its end; what is refused is answered in this time. */
const STARTS_S = 3;

const address = (...parts) => `#gallery/${parts.map(encodeURIComponent).join("/")}`;
const loading = () => el("p", { role: "status" }, t("wait.loading"));

export function gallery(act, { parts }) {
  const box = el("div", {}, loading());
  const [date, sample, acquisition, name] = parts;
  act(async () => {
    const shown = name ? frame(date, sample, acquisition, name) : acquisition ? one(act, date, sample, acquisition) : list(act);
    box.replaceChildren(...(await shown));
  });
  return [box, () => {}];
}

const ends = { complete: "good", stopped: "warn", failed: "bad" };
const badge = (end) => el("span", { className: `badge ${ends[end] ?? "quiet"}` }, t(`end.${end ?? "open"}`));

async function list(act) {
  const all = el("ul", { className: "thumbs", id: "sets" });
  const more = el("button", { type: "button", hidden: true }, t("gallery.more"));
  async function load(before) {
    const { datasets, next } = await get(`datasets?limit=24${before ? `&before=${encodeURIComponent(before)}` : ""}`);
    all.append(...datasets.map(card));
    more.hidden = !next;
    more.onclick = () => act(() => load(next));
    if (!all.children.length) all.append(el("li", {}, t("gallery.none")));
  }
  await load();
  return [el("h1", {}, t("gallery.title")), all, more];
}

function card({ date, sample, acquisition, frames, planned, end, shown }) {
  const count = planned ? t("gallery.frames", frames, planned) : t("gallery.count", frames);
  return el("li", {}, el("a", { href: address(date, sample, acquisition) },
    shown ? el("img", { src: `api/${set(date, sample, acquisition, "thumbnails", shown)}`, alt: "", loading: "lazy" }) : null,
    el("strong", {}, `${sample} / ${acquisition}`), el("br"), `${date} · ${count}`, el("br"), badge(end)));
}

/** Metadata that have a name in plain words come first, all others below. */
function words(metadata) {
  const value = (key, value) => {
    if (key === "planktor_time") return `${t(`source.${value?.source}`)}, ${value?.utc ?? ""}`;
    if (key === "planktor_position") return value ? `${place(value.latitude, value.longitude)}, ${t("health.age", n(value.age_s, 0))}` : t("health.nofix");
    return typeof value === "object" && value !== null ? JSON.stringify(value) : String(value);
  };
  const all = Object.entries(metadata ?? {});
  const named = (known) => all.filter(([key]) => has(key) === known).map(([key, v]) => [t(key), value(key, v)]);
  return [facts(named(true)), el("details", {}, el("summary", {}, t("set.others")), facts(named(false)))];
}

async function one(act, date, sample, acquisition) {
  const { metadata, head, end, frames } = await get(set(date, sample, acquisition));
  const verdict = el("span", { role: "status", id: "verdict" });
  const check = () => act(async () => {
    verdict.replaceChildren(t("set.verifying"));
    const { valid, complete, report } = await get(set(date, sample, acquisition, "verify"));
    const [word, colour] = complete ? ["set.valid", "good"] : valid ? ["set.partly", "warn"] : ["set.invalid", "bad"];
    verdict.replaceChildren(el("strong", { className: `badge ${colour}` }, t(word)), ` ${report}`);
  });
  const planned = head?.planned;
  /** What ended early goes on; where its plan moves the stage, somebody has to say that it stands right. */
  const goOn = () => act(async () => {
    const data_set = `${date}/${sample}/${acquisition}`;
    try {
      await command("planktor/resume", { data_set }, STARTS_S);
    } catch (error) {
      if (!error.message.includes("stage_as_it_stands") || !confirm(t("set.stage"))) throw error;
      await command("planktor/resume", { data_set, stage_as_it_stands: true }, STARTS_S);
    }
    location.hash = "#acquire";
  });
  const early = head && end?.end !== "complete" && instrument.mayOperate();
  return [
    el("p", {}, el("a", { href: "#gallery" }, t("set.back"))),
    el("h1", {}, `${sample} / ${acquisition}`),
    el("p", {}, `${date} · `, planned ? t("gallery.frames", frames.length, planned) : t("gallery.count", frames.length), " ", badge(end?.end), end?.reason ? ` ${end.reason}` : ""),
    el("div", { className: "row" },
      el("button", { type: "button", onclick: check, id: "verify" }, t("set.verify")),
      early ? el("button", { type: "button", onclick: goOn, id: "resume" }, t("set.resume")) : null,
      el("a", { className: "button", href: `api/${set(date, sample, acquisition, "report")}`, target: "_blank", rel: "noopener", id: "report" }, t("set.report")),
      el("a", { className: "button", href: `api/${set(date, sample, acquisition, "zip")}`, download: "" }, t("set.zip")),
      verdict),
    el("h2", {}, t("set.frames")),
    el("ul", { className: "thumbs", id: "frames" }, frames.map(({ name }, i) =>
      el("li", {}, el("a", { href: address(date, sample, acquisition, name) }, el("img", {
        src: `api/${set(date, sample, acquisition, "thumbnails", name)}`, alt: t("frame.of", i + 1, frames.length), loading: "lazy",
      }))))),
    el("h2", {}, t("set.metadata")),
    ...words(metadata),
  ];
}

async function frame(date, sample, acquisition, name) {
  const { frames } = await get(set(date, sample, acquisition));
  const i = frames.findIndex((frame) => frame.name === name);
  const beside = (j, word) => (frames[j] ? el("a", { className: "button", href: address(date, sample, acquisition, frames[j].name) }, t(word)) : null);
  const file = `api/${set(date, sample, acquisition, "frames", name)}`;
  const r = frames[i]?.record;
  const title = t("frame.of", i + 1, frames.length);
  return [
    el("p", {}, el("a", { href: address(date, sample, acquisition) }, `${sample} / ${acquisition}`)),
    el("h1", {}, title),
    el("div", { className: "row" }, beside(i - 1, "frame.before"), beside(i + 1, "frame.after"),
      el("a", { className: "button", href: file, download: name }, t("frame.save"))),
    el("div", { className: "full scroll", tabIndex: 0, role: "region", "aria-label": title }, el("a", { href: file }, el("img", { src: file, alt: title, id: "full" }))),
    r ? facts([
      [t("frame.exposed"), `${r.exposure.utc.slice(0, 10)} ${clock(r.exposure.utc)}`],
      [t("frame.settled"), duration((r.exposure.from_ns - (r.motion?.to_ns ?? r.settled_ns)) / 1e9)],
      [t("frame.pumped"), `${n(r.pumped_nl / 1000, 1)} µL`],
      [t("frame.height"), `${n(r.height_um, 0)} µm${r.height_uncertain ? `, ${t("health.uncertain")}` : ""}`],
      [t("frame.light"), r.light === null ? undefined : `${n(100 * r.light, 0)} %`],
      [t("frame.position"), r.fix ? place(r.fix.latitude, r.fix.longitude) : t("health.nofix")],
      [t("frame.size"), `${name}, ${bytes(r.size)}`],
    ]) : null,
  ];
}
