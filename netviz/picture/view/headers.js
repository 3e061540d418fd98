// A packet's headers at a hop: each layer a table, with what is otherwise than at the hop before
// marked, and the bytes.

import { make } from "./kit.js";

const A_LINE = 16; // Bytes.

export class Headers {
  constructor() {
    const told = { className: "nv-headers", hidden: true, role: "region" };
    this.root = make("section", { ...told, "aria-label": "The packet at this hop" });
  }

  show(hop) {
    this.root.hidden = !hop;
    if (!hop) return;
    const layers = make("div", { className: "nv-layers" }, ...hop.layers.map(layerTable));
    const why = make("ul", {}, ...hop.why.map(because));
    const heading = make("h3", { textContent: hop.place });
    this.root.replaceChildren(heading, why, layers, ...(hop.bytes ? dump(hop) : []));
  }
}

// What one can look up oneself, and how.
function because([text, command]) {
  return make("li", {}, `${text}: `, make("code", { textContent: command }));
}

function layerTable({ name, note, fields }) {
  const rows = fields.map(([field, value, before]) => {
    const isNew = before !== null;
    const said = isNew ? `${before} → ${value}` : value;
    const head = make("th", { scope: "row", textContent: isNew ? `● ${field}` : field });
    const told = { className: isNew ? "nv-changed" : "" };
    return make("tr", told, head, make("td", { textContent: said }));
  });
  const caption = make("caption", { textContent: note ? `${name} · ● ${note}` : name });
  const told = { className: note === "taken off" ? "nv-off" : note ? "nv-on" : "" };
  return make("table", told, caption, make("tbody", {}, ...rows));
}

function dump({ bytes: digits, changed, length }) {
  const pairs = digits.match(/../g) ?? [];
  const isNew = (n) => changed.some(([from, to]) => from <= n && n < to);
  const shown = make("pre");
  pairs.forEach((pair, n) => {
    const at = n.toString(16).padStart(4, "0");
    const gap = n % A_LINE ? " " : `${n ? "\n" : ""}${at}  `;
    shown.append(gap, isNew(n) ? make("b", { textContent: pair }) : pair);
  });
  const rest = length - pairs.length;
  if (rest > 0) shown.append(`\n${rest} more bytes`);
  const marked = changed.length ? "; underlined: what is otherwise than before" : "";
  return [make("h4", { textContent: `${length} bytes${marked}` }), shown];
}
