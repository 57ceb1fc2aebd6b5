// By hand: light, focus, pump, camera, single pictures, and who has the say.

import { command, instrument } from "./api.mjs";
import { el, field, memory } from "./dom.mjs";
import { picture } from "./picture.mjs";
import { n, t } from "./words.mjs";

/** Safe steps: none goes further than a finger would. */
const FOCUS_UM = [10, 100, 1000];
const PUMP_ML = [[0.01, "10 µL"], [0.1, "100 µL"], [1, "1 mL"]];
const LEASE_S = 600;

export function operate(act) {
  const [live, end] = picture();
  const parts = [light(act), focus(act), pump(act), lease(act), capture(act), camera(act), bubbler(act)];
  const draw = () => parts.forEach(([, update]) => update());
  const deaf = instrument.listen((kind) => kind === "said" && draw());
  draw();
  return [
    el("div", { className: "split" }, live, el("div", {}, parts.map(([element]) => element))),
    () => { end(); deaf(); },
  ];
}

const group = (title, ...children) => el("fieldset", {}, el("legend", {}, t(title)), ...children);
const button = (word, onclick, properties = {}) => el("button", { type: "button", onclick, ...properties }, word);

function light(act) {
  const is = el("p", { className: "quiet", id: "light-is" });
  const level = el("input", {
    type: "range", min: "0", max: "100", step: "1", id: "light-level",
    onchange: () => act(() => command("light", { action: "on", value: level.value / 100 })),
  });
  const element = group("light.title",
    el("div", { className: "row" },
      button(t("light.on"), () => act(() => command("light", { action: "on" })), { id: "light-on" }),
      button(t("light.off"), () => act(() => command("light", { action: "off" })), { id: "light-off" }),
      button(t("light.save"), () => act(() => command("light", { action: "save" }), true))),
    field(t("light.level"), level), is);
  return [element, () => {
    const { status, value, reason } = instrument.state("status/light");
    is.textContent = reason ?? (status === "On" ? t("light.is", n(value * 100, 0)) : t("light.dark"));
    if (document.activeElement !== level) level.value = 100 * (value ?? 0);
  }];
}

function focus(act) {
  const is = el("p", { className: "quiet", id: "focus-is" });
  const move = (direction, um) =>
    act(() => command("actuator/focus", { action: "move", direction, distance: um / 1000 }));
  const jog = (direction, word) => FOCUS_UM.map((um) =>
    button(t(word, um), () => move(direction, um), { "data-jog": `${direction}-${um}` }));
  const element = group("focus.title",
    el("div", { className: "jog" }, jog("UP", "focus.up")),
    el("div", { className: "jog" }, jog("DOWN", "focus.down")), is);
  return [element, () => {
    const { status } = instrument.state("status/focus");
    is.textContent = t(status === "Started" ? "focus.moves" : "focus.rests");
  }];
}

function pump(act) {
  const is = el("p", { className: "quiet", id: "pump-is" });
  const flow = el("input", { type: "number", min: "0.1", max: "45", step: "0.1", value: "3", inputMode: "decimal" });
  const move = (direction, volume) =>
    act(() => command("actuator/pump", { action: "move", direction, volume, flowrate: Number(flow.value) }));
  const jog = (direction, word) => PUMP_ML.map(([ml, name]) =>
    button(t(word, name), () => move(direction, ml), { "data-jog": `${direction}-${ml}` }));
  const element = group("pump.title",
    el("div", { className: "jog" }, jog("FORWARD", "pump.forward")),
    el("div", { className: "jog" }, jog("BACKWARD", "pump.backward")),
    field(t("pump.flow"), flow), is);
  return [element, () => {
    const { status } = instrument.state("status/pump");
    is.textContent = t(status === "Started" ? "pump.moves" : "pump.rests");
  }];
}

function lease(act) {
  const is = el("p", { id: "lease-is" });
  const name = el("input", { type: "text", maxLength: 100, value: memory.get("name") ?? "", autocomplete: "name", id: "lease-name" });
  const take = (take_over) => act(async () => {
    const owner = name.value.trim();
    if (!owner) throw new Error(t("lease.needs"));
    memory.set("name", owner);
    instrument.owner = owner;
    await command("planktor/lease", { action: "take", seconds: LEASE_S, take_over });
  });
  const own = button(t("lease.take"), () => take(false), { id: "lease-take" });
  const over = button(t("lease.over"), () => take(true), { id: "lease-over" });
  const release = button(t("lease.release"), () => act(() => command("planktor/lease", { action: "release" })), { id: "lease-release" });
  const element = group("lease.title", is, field(t("lease.name"), name), el("div", { className: "row" }, own, over, release));
  return [element, () => {
    const { status, owner } = instrument.state("planktor/status/lease");
    const held = status === "Held";
    is.textContent = held ? t("lease.held", owner) : t("lease.free");
    own.hidden = held && owner !== instrument.owner;
    over.hidden = !held || owner === instrument.owner;
    release.hidden = !held || owner !== instrument.owner;
  }];
}

function capture(act) {
  const files = el("p", { id: "captured" });
  const take = () => act(async () => {
    const { jpeg } = await command("imager/image", { action: "capture" }, 30);
    const name = jpeg?.split("/").pop();
    files.replaceChildren(t("capture.done"), " ", el("a", { href: `api/captures/${encodeURIComponent(name)}` }, name));
  });
  return [group("capture.title", el("div", { className: "row" }, button(t("capture.do"), take, { id: "capture" })), files), () => {}];
}

function camera(act) {
  const shutter = el("input", { type: "number", min: "1", max: "1000000", value: "125", inputMode: "numeric" });
  const iso = el("input", { type: "number", min: "1", max: "1000", value: "150", inputMode: "numeric" });
  const set = () => act(() => command("imager/image", {
    action: "settings", settings: { shutter_speed: Number(shutter.value), iso: Number(iso.value) },
  }), true);
  const element = group("camera.title",
    el("div", { className: "fields" }, field(t("camera.shutter"), shutter), field(t("camera.iso"), iso)),
    button(t("camera.set"), set));
  return [element, () => {}];
}

function bubbler(act) {
  const set = (action) => act(() => command("actuator/bubbler", { action }));
  const element = group("bubbler.title", el("div", { className: "row" },
    button(t("light.on"), () => set("on")), button(t("light.off"), () => set("off"))));
  return [element, () => { element.hidden = instrument.state("planktor/status/device/bubbler").health !== "present"; }];
}
