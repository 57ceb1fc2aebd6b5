// The acquisition protocols that are kept: show, use, change, delete.

import { command, get, instrument } from "./api.mjs";
import { el, field } from "./dom.mjs";
import { t } from "./words.mjs";

export function protocols(act) {
  const list = el("ul", { className: "thumbs" });
  const name = el("input", { type: "text", maxLength: 64, required: true, id: "protocol-name" });
  const json = el("textarea", { rows: 14, spellcheck: false, required: true, id: "protocol-json" });
  const done = el("p", { role: "status", id: "protocol-kept" });
  const may = { disabled: !instrument.mayOperate() };

  const show = (of) => act(async () => {
    const { protocol } = await get(`protocols/${encodeURIComponent(of)}`);
    name.value = of;
    json.value = JSON.stringify(protocol, null, 2);
    json.focus();
  });
  const remove = (of) => act(async () => {
    if (!confirm(`${of}: ${t("protocols.sure")}`)) return;
    await command("planktor/protocol/delete", { name: of }, 30);
    await load();
  });
  function store(event) {
    event.preventDefault();
    act(async () => {
      let protocol;
      try { protocol = JSON.parse(json.value); } catch (error) { throw new Error(t("protocols.badjson", error.message)); }
      await command("planktor/protocol/store", { name: name.value, protocol }, 30);
      done.textContent = t("protocols.kept", name.value);
      await load();
    });
  }
  async function load() {
    const { protocols } = await get("protocols");
    list.replaceChildren(...protocols.map(({ name, description }) => el("li", {},
      el("strong", {}, name), el("p", { className: "quiet" }, description ?? ""),
      el("div", { className: "row" },
        el("a", { className: "button", href: `#acquire/${encodeURIComponent(name)}` }, t("protocols.use")),
        el("button", { type: "button", onclick: () => show(name) }, t("protocols.show")),
        el("button", { type: "button", className: "bad", onclick: () => remove(name), ...may }, t("protocols.delete"))))));
  }
  act(load);
  return [el("div", {},
    el("h1", {}, t("protocols.title")), list,
    el("form", { onsubmit: store },
      el("h2", {}, t("protocols.new")),
      field(t("protocols.name"), name), field(t("protocols.json"), json),
      el("button", { type: "submit", className: "main", ...may }, t("protocols.store")), done)), () => {}];
}
