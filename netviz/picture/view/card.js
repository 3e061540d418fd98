// What a box tells of itself, and the commands that tell the same.

import { button, make, typed } from "./kit.js";

export class Card {
  // `left` is called when it is closed by its button.
  constructor(left) {
    this.left = left;
    const told = { className: "nv-card", hidden: true, tabIndex: -1 };
    this.root = make("section", { ...told, role: "region", "aria-label": "Details" });
  }

  get isOpen() {
    return !this.root.hidden;
  }

  show({ t: title, a: about, s: sections }) {
    const scrolled = this.root.scrollTop;
    const close = button("×", "Close", () => this.left());
    close.className = "nv-close";
    const parts = sections.flatMap(([heading, command, lines]) => [
      make("h4", { textContent: heading }),
      typed(command),
      make("pre", { textContent: lines.join("\n") || "nothing" }),
    ]);
    const first = [make("h3", { textContent: title }), make("p", { textContent: about })];
    this.root.replaceChildren(close, ...first, ...parts);
    this.root.setAttribute("aria-label", title);
    this.root.hidden = false;
    this.root.scrollTop = scrolled;
  }

  hide() {
    this.root.hidden = true;
  }
}
