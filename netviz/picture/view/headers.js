// Why a packet came to a hop, and its headers there: each layer a table, with what is otherwise than
// at the hop before marked, and the bytes.

import { make, typed } from "./kit.js";

const WIDE = 460; // Pixels, in which there is room for 16 bytes in a row.

export class Headers {
  constructor() {
    const told = { className: "nv-headers", hidden: true, role: "region" };
    this.heading = make("h3");
    this.why = make("ul", { "aria-live": "polite" });
    this.rest = make("div");
    const parts = [this.heading, this.why, this.rest];
    this.root = make("section", { ...told, "aria-label": "The packet at this hop" }, ...parts);
  }

  show(hop) {
    this.root.hidden = !hop;
    if (!hop) return;
    const layers = make("div", { className: "nv-layers" }, ...hop.layers.map(layerTable));
    this.heading.textContent = hop.place;
    this.why.replaceChildren(...hop.why.map(because));
    const row = this.root.clientWidth < WIDE ? 8 : 16;
    this.rest.replaceChildren(layers, ...(hop.bytes ? dump(hop, row) : []));
  }
}

// A reason, and how one can look it up oneself.
function because([text, command]) {
  return make("li", {}, text, command ? typed(command) : "");
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

function dump({ bytes: digits, changed, length }, row) {
  const pairs = digits.match(/../g) ?? [];
  const isNew = (n) => changed.some(([from, to]) => from <= n && n < to);
  const shown = make("pre");
  pairs.forEach((pair, n) => {
    const at = n.toString(16).padStart(4, "0");
    const gap = n % row ? " " : `${n ? "\n" : ""}${at}  `;
    shown.append(gap, isNew(n) ? make("b", { textContent: pair }) : pair);
  });
  const rest = length - pairs.length;
  if (rest > 0) shown.append(`\n${rest} more bytes`);
  const marked = changed.length ? "; underlined: what is otherwise than before" : "";
  return [make("h4", { textContent: `${length} bytes${marked}` }), shown];
}
