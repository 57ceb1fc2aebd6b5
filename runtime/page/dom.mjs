// Makes elements, and nothing else: text is always text, never markup.

/** An element with properties, listeners (`onclick`…), attributes (`aria-…`, `data-…`) and children. */
export function el(name, properties = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key in element && !key.includes("-")) element[key] = value;
    else element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== undefined && child !== null && child !== false));
  return element;
}

/** A labelled field; `hint` is read with it. */
export function field(label, input, hint) {
  return el("label", {}, label, hint ? el("small", {}, ` ${hint}`) : null, input);
}

/** A table of names and values; what has no value is left out. */
export function facts(rows) {
  const known = rows.filter(([, value]) => value !== undefined && value !== null && value !== "");
  return el("table", {}, el("tbody", {}, known.map(([name, value]) =>
    el("tr", {}, el("th", { scope: "row" }, name), el("td", {}, value)))));
}

/** What a browser kept from last time; private windows keep nothing. */
export const memory = {
  get(key) {
    try { return JSON.parse(localStorage.getItem(`planktor.${key}`)); } catch { return null; }
  },
  set(key, value) {
    try { localStorage.setItem(`planktor.${key}`, JSON.stringify(value)); } catch { /* it is asked again */ }
  },
};
