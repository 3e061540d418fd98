// The picture itself: SVG groups that come, stay, glide and go.

import { SVG, calm, make } from "./kit.js";
import { paint } from "./theme.js";

const GLIDES = 350; // Milliseconds.

export class Stage {
  constructor() {
    this.svg = document.createElementNS(SVG, "svg");
    this.svg.setAttribute("role", "group");
    this.svg.setAttribute("tabindex", -1); // What is in it has the focus, not it.
    this.over = document.createElementNS(SVG, "g"); // For what is no part of the picture.
    this.over.setAttribute("class", "nv-over");
    this.over.setAttribute("aria-hidden", true);
    this.root = make("div", { className: "nv-stage" }, this.svg);
    this.clear();
  }

  // Forget what is drawn: it will be drawn anew.
  clear() {
    this.nodes = new Map(); // By their markup.
    this.svg.replaceChildren(this.over);
  }

  find(id) {
    return this.svg.querySelector(`[id="${CSS.escape(id)}"]`);
  }

  // Show groups of SVG, given as markup, in this order. One that is there already is not touched, and
  // keeps its focus; one of the same id that looks otherwise glides to its new place.
  draw(markups) {
    const before = new Map([...this.nodes.values()].map((node) => [node.id, node]));
    const nodes = new Map(markups.map((it) => [it, this.nodes.get(it) ?? node(it)]));
    const fresh = [...nodes].filter(([it]) => !this.nodes.has(it)).map(([, made]) => made);
    const places = new Map(fresh.map((made) => [made, made.id && before.get(made.id)?.getBBox()]));
    this.nodes = nodes;
    this.arrange(new Set(nodes.values()));
    if (!before.size || calm.matches) return;
    for (const made of fresh) arrive(made, places.get(made));
  }

  arrange(staying) {
    staying.add(this.over);
    for (const each of [...this.svg.children]) if (!staying.has(each)) each.remove();
    let next = this.svg.firstChild;
    for (const each of staying) {
      if (each === next) next = next.nextSibling;
      else this.svg.insertBefore(each, next);
    }
  }
}

function node(markup) {
  const around = document.createElementNS(SVG, "svg");
  around.innerHTML = markup; // Written by an XML library; every name in it is text.
  const made = around.firstChild;
  paint(made);
  for (const text of made.querySelectorAll("text")) text.after(" "); // Words are read one by one.
  if (made.id.startsWith("wire-")) {
    const reach = made.querySelector("path").cloneNode(); // A thin line is hard to point at.
    reach.setAttribute("class", "nv-reach");
    reach.removeAttribute("style");
    made.append(reach);
  }
  return made;
}

function arrive(made, place) {
  if (made.id.startsWith("path-")) return; // It only grows.
  if (!place || made.id.startsWith("wire-")) {
    made.animate([{ opacity: 0 }, { opacity: 1 }], { duration: GLIDES });
    return;
  }
  const here = made.getBBox();
  const from = `translate(${place.x - here.x}px, ${place.y - here.y}px)`;
  const steps = [{ transform: from }, { transform: "none" }];
  made.animate(steps, { duration: GLIDES, easing: "ease-out" });
}
