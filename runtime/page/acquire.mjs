// An acquisition from the form to its end: what is asked is what data sets are later searched by.

import { command, get, instrument, set } from "./api.mjs";
import { el, facts, field, memory } from "./dom.mjs";
import { picture } from "./picture.mjs";
import { bytes, clock, duration, n, t, volume } from "./words.mjs";

/** Thumbnails that are shown while frames arrive. */
const SHOWN = 24;
/** What the disk has a part in may take long. */
const LONG_S = 30;
/** Typing has stopped. */
const QUIET_MS = 400;

const SAMPLE = [
  ["sample_project", { required: true, maxLength: 100 }],
  ["sample_id", { required: true, maxLength: 100 }],
  ["acq_id", { required: true, maxLength: 100 }],
  ["sample_operator", { autocomplete: "name", maxLength: 100 }],
  ["sample_ship", { maxLength: 100 }],
  ["sample_sampling_gear", { maxLength: 100 }],
];
const PLACE = [
  ["object_date", { type: "date", required: true }],
  ["object_time", { type: "time", step: "1" }],
  ["object_lat", { type: "number", step: "any", min: "-90", max: "90" }, "hint.north"],
  ["object_lon", { type: "number", step: "any", min: "-180", max: "180" }, "hint.east"],
  ["object_depth_min", { type: "number", step: "any" }],
  ["object_depth_max", { type: "number", step: "any" }],
];
const OPTICS = [
  ["acq_minimum_mesh", { type: "number", min: "0", step: "any" }],
  ["acq_maximum_mesh", { type: "number", min: "0", step: "any" }],
  ["acq_celltype", { type: "number", min: "10", max: "10000", step: "1" }],
];
const HOW = [
  ["frames", { type: "number", min: "1", max: "1000000", step: "1", value: 100 }],
  ["volume", { type: "number", min: "0.1", max: "100000", step: "any", value: 6 }],
  ["flow", { type: "number", min: "0.01", max: "45", step: "any", value: 3 }],
  ["settle", { type: "number", min: "0", max: "3600", step: "any", value: 0.5 }],
];
/** What is written down as a number. */
const NUMBERS = ["object_lat", "object_lon", "object_depth_min", "object_depth_max", "acq_minimum_mesh", "acq_maximum_mesh", "acq_celltype"];

/** The data set and the name that a frame's path says: its last four parts. */
const parts = (path) => path.split("/").slice(-4);

export function acquire(act, { protocol }) {
  const kept = memory.get("form") ?? {};
  const inputs = {};
  const make = (prefix) => ([name, properties, hint]) => {
    const input = el("input", {
      type: "text", name, id: `field-${name}`, inputMode: properties.type === "number" ? "decimal" : undefined,
      ...properties,
    });
    input.value = kept[name] ?? properties.value ?? "";
    inputs[name] = input;
    return field(t(prefix + name), input, hint && t(hint));
  };
  const fields = (legend, list, prefix, ...more) =>
    el("fieldset", {}, el("legend", {}, t(legend)), el("div", { className: "fields" }, list.map(make(prefix))), ...more);

  const fix = el("p", { className: "quiet", role: "status", id: "fix" });
  const use = el("button", { type: "button", id: "use-fix", onclick: () => act(useFix) }, t("fix.use"));
  const what = el("select", { id: "field-protocol", onchange: changed }, el("option", { value: "" }, t("how.simple")));
  const how = el("div", { className: "fields" }, HOW.map(make("how.")));
  const estimate = el("div", { id: "estimate", role: "status" });
  const warnings = el("ul", { id: "warnings", className: "warn" });
  const start = el("button", { type: "submit", className: "main", id: "start" }, t("acquire.start"));
  const form = el("form", { onsubmit: begin, oninput: changed, id: "acquire-form" },
    el("h1", {}, t("acquire.title")),
    fields("acquire.sample", SAMPLE, ""),
    fields("acquire.place", PLACE, "", el("div", { className: "row" }, use), fix),
    fields("acquire.optics", OPTICS, ""),
    el("fieldset", {}, el("legend", {}, t("acquire.how")), field(t("how.what"), what), how, estimate),
    el("section", { "aria-label": t("warn.title") }, warnings),
    start);

  const bar = el("progress", { max: 1, value: 0, "aria-label": t("acquire.how") });
  const said = el("p", { role: "status", id: "progress" });
  const hold = el("button", { type: "button", onclick: () => act(() => command(`planktor/protocol/${hold.value}`)), id: "hold" });
  const drift = el("p", { className: "bad", role: "alert", id: "drift" });
  const thumbs = el("ul", { className: "thumbs", id: "arriving" });
  const open = el("p", { className: "row" });
  const [live, end] = picture();
  const run = el("section", { hidden: true, id: "run" }, said, bar, drift, el("div", { className: "row" }, hold), open, thumbs);

  let typing = null;
  /** What was typed is there again after a look elsewhere. */
  function keep() {
    const values = Object.entries(inputs).map(([name, input]) => [name, input.value]);
    memory.set("form", { ...Object.fromEntries(values), protocol: what.value });
  }

  function changed() {
    keep();
    how.hidden = what.value !== "";
    clearTimeout(typing);
    typing = setTimeout(() => consider().catch(() => {}), QUIET_MS);
  }

  /** The same steps as the plain acquisition, as a protocol. */
  const plain = () => ({
    cell_um: Number(inputs.acq_celltype.value) || undefined,
    plan: [{ step: "repeat", times: Number(inputs.frames.value), steps: [
      { step: "pump", volume_ul: Number(inputs.volume.value), flow_ml_per_min: Number(inputs.flow.value) },
      { step: "settle", seconds: Number(inputs.settle.value) },
      { step: "capture" }, { step: "write" },
    ] }],
  });

  /** What would come of it, and of what the instrument knows. */
  async function consider() {
    const known = (await get("health")).instrument;
    showWarnings(known);
    await showEstimate(known);
  }

  async function showEstimate({ clock: { utc } }) {
    if (!instrument.mayOperate()) return;
    try {
      const asked = what.value ? { name: what.value } : { protocol: plain() };
      const { estimate: e } = await command("planktor/protocol/estimate", asked, LONG_S);
      const ends = new Date(Date.parse(utc) + 1000 * e.seconds).toISOString();
      estimate.replaceChildren(
        el("h2", {}, t("estimate.title")),
        facts([
          [t("estimate.time"), duration(e.seconds)],
          [t("estimate.ends"), `${clock(ends)} UTC`],
          [t("how.frames"), n(e.frames, 0)],
          [t("estimate.pumped"), volume(e.forwards_ul - e.backwards_ul)],
          [t("estimate.imaged"), volume(e.imaged_ul)],
          [t("estimate.disk"), t("estimate.free", bytes(e.bytes), bytes(e.free_bytes))],
        ]),
        e.bytes > e.free_bytes ? el("p", { className: "bad" }, t("estimate.toobig")) : "");
    } catch (error) {
      estimate.replaceChildren(el("p", { className: "bad" }, error.message));
    }
  }

  /** What somebody would regret afterwards. It keeps nobody from starting. */
  function showWarnings({ clock, position }) {
    const today = clock.utc.slice(0, 10);
    inputs.object_date.value ||= today;
    const lost = ["pump", "focus", "light", "camera"].map((device) => [device, instrument.state(`planktor/status/device/${device}`)])
      .filter(([, { health }]) => health && health !== "present");
    const all = [
      ...lost.map(([device, { health, reason }]) => t("warn.device", t(`device.${device}`), reason ?? t(`health.${health}`))),
      instrument.state("status/light").status !== "On" && t("warn.light"),
      { unset: t("warn.clock"), computer: t("warn.computer") }[clock.source],
      !position && t("warn.fix"),
      inputs.object_date.value !== today && t("warn.date", today),
    ].filter(Boolean);
    warnings.replaceChildren(...all.map((warning) => el("li", {}, warning)));
  }

  async function useFix() {
    const known = (await get("health")).instrument;
    const { clock, position } = known;
    if (!position) {
      fix.textContent = t("fix.none");
      return;
    }
    inputs.object_lat.value = position.latitude.toFixed(6);
    inputs.object_lon.value = position.longitude.toFixed(6);
    const [date, time] = clock.utc.split("T");
    inputs.object_date.value = date;
    inputs.object_time.value = time.slice(0, 8);
    fix.textContent = t("fix.used", n(position.age_s, 0), n(position.error_m, 0));
    keep();
    showWarnings(known);
  }

  function metadata() {
    const config = {};
    for (const [name] of [...SAMPLE, ...PLACE, ...OPTICS]) {
      const value = inputs[name].value.trim();
      if (value !== "") config[name] = NUMBERS.includes(name) ? Number(value) : value;
    }
    return config;
  }

  function begin(event) {
    event.preventDefault();
    keep();
    act(async () => {
      await command("imager/image", { action: "update_config", config: metadata() });
      thumbs.replaceChildren();
      open.replaceChildren();
      drift.textContent = "";
      // It is answered at its end; what is refused is answered at once.
      await (what.value
        ? command("planktor/protocol/run", { name: what.value }, 1)
        : command("imager/image", {
          action: "image", pump_direction: "FORWARD", nb_frame: Number(inputs.frames.value),
          volume: Number(inputs.volume.value) / 1000, flowrate: Number(inputs.flow.value), sleep: Number(inputs.settle.value),
        }, 1));
    });
  }

  /** `a1` is followed by `a2`, `net` by `net 2`. */
  function following() {
    const [, head, number] = inputs.acq_id.value.match(/^(.*?)(\d*)$/);
    inputs.acq_id.value = number ? head + String(Number(number) + 1).padStart(number.length, "0") : `${head} 2`.trim();
    keep();
  }

  function draw() {
    const { state = "idle", current = 0, total = 0 } = instrument.state("planktor/status/acquisition");
    // Its end is told before its state is.
    const running = state !== "idle" && !(run.dataset.ended === "yes" && state === "closing");
    // It ended while nobody listened: what is kept of it is among the data sets.
    if (state === "idle" && run.dataset.ended === "no") run.hidden = true;
    form.hidden = running || run.dataset.ended === "yes";
    start.disabled = !instrument.mayOperate();
    if (running) {
      run.dataset.ended = "no";
      run.hidden = false;
      said.textContent = `${t(`state.${state}`)}: ${t("acquire.progress", current, total)}`;
      bar.max = Math.max(total, 1);
      bar.value = current;
    }
    bar.hidden = hold.hidden = !running;
    hold.value = state === "paused" || state === "pausing" ? "resume" : "pause";
    hold.textContent = t(`acquire.${hold.value}`);
    hold.disabled = !["learning", "acquiring", "pausing", "paused"].includes(state);
  }

  function heard({ topic, message }) {
    if (topic === "status/light" || topic.startsWith("planktor/status/device/")) changed();
    if (topic === "status/imager" && message.type === "progress") {
      const [date, sample, acquisition, name] = parts(message.path);
      const address = `#gallery/${[date, sample, acquisition, name].map(encodeURIComponent).join("/")}`;
      thumbs.prepend(el("li", {}, el("a", { href: address }, el("img", {
        src: `api/${set(date, sample, acquisition, "thumbnails", name)}`, alt: t("frame.of", message.current, message.total),
      }))));
      while (thumbs.children.length > SHOWN) thumbs.lastChild.remove();
      open.dataset.set = [date, sample, acquisition].map(encodeURIComponent).join("/");
    }
    if (topic === "planktor/status/quality") drift.textContent = message.warning ? t("acquire.drift", message.warning) : "";
    const { status } = message;
    const failed = topic === "status/imager" && !run.hidden && run.dataset.ended === "no" && /error|not captured/i.test(status ?? "");
    if (topic === "status/imager" && (["Done", "Interrupted"].includes(status) || failed)) {
      run.dataset.ended = "yes";
      run.hidden = false;
      said.textContent = failed ? t("ended.other", message.reason ?? status) : t(`ended.${status}`);
      following();
      open.replaceChildren(
        open.dataset.set ? el("a", { className: "button", href: `#gallery/${open.dataset.set}`, id: "open-set" }, t("acquire.open")) : "",
        el("button", { type: "button", onclick: again, id: "again" }, t("acquire.next")));
    }
    draw();
  }

  function again() {
    run.hidden = true;
    run.dataset.ended = "no";
    delete open.dataset.set;
    draw();
    changed();
  }

  const deaf = instrument.listen((kind, what) => (kind === "said" ? heard(what) : kind === "session" && draw()));
  run.dataset.ended = "no";
  draw();
  act(async () => {
    const { protocols } = await get("protocols");
    for (const { name } of protocols) what.append(el("option", { value: name }, t("how.protocol", name)));
    const chosen = protocol ?? kept.protocol;
    if (protocols.some(({ name }) => name === chosen)) what.value = chosen;
    how.hidden = what.value !== "";
    await consider();
  });
  return [
    el("div", { className: "split" }, live, el("div", {}, run, form)),
    () => { clearTimeout(typing); deaf(); end(); },
  ];
}
