// How the instrument is, and what happened lately, in words.

import { get, instrument } from "./api.mjs";
import { el, facts } from "./dom.mjs";
import { bytes, clock, duration, has, n, place, t } from "./words.mjs";

const DEVICES = ["pump", "focus", "light", "camera", "bubbler", "display", "eeprom"];
/** Looked at again so often, while it is shown. */
const EVERY_MS = 5000;
/** Lines of the journal. */
const LINES = 200;

export function health(act) {
  const devices = el("div", {});
  const rest = el("div", {}, t("wait.loading"));
  const journal = el("ol", { className: "journal", id: "journal" });

  /** The newest line that is shown; of another start of the program numbers begin again. */
  let newest = 0;
  function drawDevices() {
    devices.replaceChildren(facts(DEVICES.map((device) => {
      const { health, reason } = instrument.state(`planktor/status/device/${device}`);
      const colour = health === "present" ? "good" : health === "lost" ? "bad" : "quiet";
      return [t(`device.${device}`), health && el("span", {}, el("strong", { className: colour }, t(`health.${health}`)), reason ? ` – ${reason}` : "")];
    })));
  }

  async function load() {
    const { instrument: i, broker, disk, uptime_s } = await get("health");
    const { status, owner } = instrument.state("planktor/status/lease");
    const yes = (is) => el("strong", { className: is ? "good" : "bad" }, t(is ? "health.present" : "health.lost"));
    const { position: p, instrument: who } = i;
    rest.replaceChildren(facts([
      [t("health.instrument"), el("span", {}, [who.name !== "unknown" && who.name, who.hardware_version, who.product, who.serial_number].filter(Boolean).join(", "),
        who.trouble && el("strong", { className: "warn" }, ` EEPROM: ${who.trouble}`))],
      [t("health.clock"), el("span", {}, `${i.clock.utc.slice(0, 10)} ${clock(i.clock.utc)} UTC, `,
        el("strong", { className: { gps: "good", computer: "warn" }[i.clock.source] ?? "bad" }, t(`source.${i.clock.source}`)))],
      [t("health.position"), p
        ? [place(p.latitude, p.longitude), p.error_m && t("health.within", n(p.error_m, 0)), t("health.age", n(p.age_s, 0))].filter(Boolean).join(", ")
        : el("strong", { className: "warn" }, t("health.nofix"))],
      [t("health.broker"), yes(broker)],
      [t("health.disk"), disk && t("estimate.free", bytes(disk.free_bytes), bytes(disk.bytes))],
      [t("health.lease"), status === "Held" ? owner : t("health.nobody")],
      [t("health.stage"), `${n(i.stage.height_um, 0)} µm${i.stage.uncertain ? `, ${t("health.uncertain")}` : ""}`],
      [t("camera.title"), i.camera && `${i.camera.width} × ${i.camera.height}, ${n(i.camera.exposure_us, 0)} µs, ISO ${i.camera.iso}`],
      [t("health.uptime"), duration(uptime_s)],
    ]));
  }

  const line = (said) => el("li", {}, el("time", { dateTime: said.utc }, clock(said.utc)), describe(said));
  const deaf = instrument.listen((kind, what) => {
    if (kind === "restart") newest = 0;
    if (kind !== "said") return;
    drawDevices();
    // States are told again after a break.
    if (what.number <= newest) return;
    newest = what.number;
    journal.prepend(line(what));
    while (journal.children.length > LINES) journal.lastChild.remove();
  });
  const timer = setInterval(() => document.hidden || load().catch(() => {}), EVERY_MS);
  drawDevices();
  act(async () => {
    await load();
    const lines = await get("journal");
    newest = lines.at(-1)?.number ?? 0;
    journal.replaceChildren(...lines.slice(-LINES).reverse().map(line));
  });
  return [
    el("div", { className: "split" },
      el("div", {}, el("h1", {}, t("health.title")), el("h2", {}, t("health.devices")), devices, el("h2", {}, t("health.rest")), rest),
      el("section", { "aria-label": t("journal.title") }, el("h2", {}, t("journal.title")), journal)),
    () => { clearInterval(timer); deaf(); },
  ];
}

/** What was said, as a sentence: who, what, and why. */
export function describe({ topic, message }) {
  const device = topic.match(/^planktor\/status\/device\/(.*)$/)?.[1];
  const who = device ? t(`device.${device}`) : t(`topic.${topic}`).replace(/^topic\./, "");
  const state = message.health ? t(`health.${message.health}`)
    : message.state ? `${t(`state.${message.state}`)}${message.total ? `, ${t("acquire.progress", message.current, message.total)}` : ""}`
      : message.type === "progress" ? t("acquire.progress", message.current, message.total)
        : message.status !== undefined ? (has(`said.${message.status}`) ? t(`said.${message.status}`, message.owner) : message.status)
          : message.line ?? (message.seconds !== undefined ? duration(message.seconds) : JSON.stringify(message));
  const more = [
    message.duration !== undefined && `${n(message.duration, 2)} s`,
    message.value !== undefined && message.status === "On" && `${n(100 * message.value, 0)} %`,
    message.reason,
  ].filter(Boolean);
  return `${who}: ${state}${more.length ? ` (${more.join(", ")})` : ""}`;
}
