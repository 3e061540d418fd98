// A picture in a page: a widget's, a page's that follows a lab, or a recording's.
//
// Python draws. What comes is a film: a pool of SVG groups (`parts`) and of cards, and frames that
// name some of them in order.

import { Card } from "./card.js";
import { Glow } from "./glow.js";
import { Headers } from "./headers.js";
import { button, make, unpacked } from "./kit.js";
import { Lens } from "./lens.js";
import { Plan } from "./plan.js";
import { savePNG, saveSVG } from "./saving.js";
import { Stage } from "./stage.js";
import { isDark, whenItTurns } from "./theme.js";
import { Timeline } from "./timeline.js";
import { Traffic } from "./traffic.js";

const STYLE = ""; // Python fills it in, from view.css.
const PATIENCE = 1000; // Milliseconds.
const THING = 'svg > g[id]:not([id^="key-"], [id^="path-"], [id^="hop-"])';
const TURNS = { PageDown: 1, PageUp: -1 };
const ARROWS = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] };

class View {
  constructor() {
    this.turn = 0;
    this.stage = new Stage();
    this.svg = this.stage.svg;
    this.ending = new AbortController();
    this.lens = new Lens(this.svg, this.stage.root, this.ending.signal);
    this.card = new Card(() => this.close());
    this.time = new Timeline((number) => this.step(number));
    this.said = make("p", { className: "nv-said", role: "status" });
    this.trouble = make("p", { className: "nv-trouble", role: "alert", hidden: true });
    this.glow = new Glow(this.svg, this.said);
    const both = make("div", { className: "nv-both" }, this.stage.root, this.card.root);
    const style = make("style", { textContent: STYLE });
    this.headers = new Headers();
    const above = [style, this.tools(), this.trouble, this.time.root];
    this.traffic = new Traffic(this.stage.over);
    this.printed = make("pre");
    const summary = make("summary", { textContent: "What the command printed" });
    this.output = make("details", { className: "nv-printed" }, summary, this.printed);
    const below = [this.traffic.root, this.said, this.headers.root, this.output];
    this.root = make("div", { className: "nv" }, ...above, both, ...below);
    this.listen();
    whenItTurns(() => this.recolour(), this.ending.signal);
  }

  tools() {
    this.pinning = button("Pin", "Pin: keep it in view while you scroll", () => this.pin());
    this.pinning.setAttribute("aria-pressed", false);
    return make(
      "div",
      { className: "nv-tools", role: "toolbar", "aria-label": "Picture" },
      button("−", "Zoom out", () => this.lens.zoom(0.8)),
      button("+", "Zoom in", () => this.lens.zoom(1.25)),
      button("Fit", "Fit the whole picture", () => this.lens.fit()),
      this.pinning,
      button("SVG", "Save as SVG", () => saveSVG(this.svg, this.lens.size)),
      button("PNG", "Save as PNG", () => savePNG(this.svg, this.lens.size)),
    );
  }

  listen() {
    const item = (event) => event.target.closest(THING);
    this.svg.addEventListener("pointerover", (event) => this.light(item(event) ?? this.told()));
    this.svg.addEventListener("pointerleave", () => this.light(this.told()));
    this.svg.addEventListener("focusout", () => this.opened || this.light(null));
    this.svg.addEventListener("focusin", (event) => {
      this.open(item(event));
      if (item(event)) this.lens.reveal(item(event).getBBox());
    });
    this.root.addEventListener("focusin", (event) => (this.held = event.target));
    this.root.addEventListener("focusout", (event) => {
      if (event.relatedTarget) this.held = null; // It went elsewhere; nowhere is with what is gone.
    });
    this.svg.addEventListener("click", (event) => {
      if (this.lens.dragged) return;
      const disc = event.target.closest('svg > g[id^="hop-"]');
      if (disc) this.hop(+disc.id.slice(4));
      else item(event)?.focus();
    });
    const nowhere = (event) => {
      if (!event.target.closest("[tabindex], button, input, select, summary")) this.held = null;
    };
    addEventListener("pointerdown", nowhere, { signal: this.ending.signal });
    this.root.addEventListener("keydown", (event) => this.key(event));
  }

  // A notebook has a new word for the same model each time that it shows it.
  show(model, home) {
    this.model = model;
    this.home = home;
    if (!this.pinned) home.append(this.root);
    this.recolour();
    this.hold();
    model.on("change:film", () => this.model === model && this.load());
    const pass = () => this.model === model && this.traffic.show(model.get("traffic"), this.plan);
    model.on("change:traffic", pass);
    if (model.get("traffic")?.trouble) pass();
    this.load();
  }

  // An output is gone. If it was not only replaced, so is the view.
  leave(home) {
    setTimeout(() => {
      if (this.home !== home || home.isConnected) return;
      this.root.remove();
      this.ending.abort();
      this.time.stop();
      views.splice(views.indexOf(this), 1);
    }, PATIENCE);
  }

  // What had the focus, and was drawn anew or moved, has it again; for what is gone, the first thing.
  hold() {
    const active = this.root.getRootNode().activeElement;
    if (!this.held || (active && active !== document.body)) return;
    const here = this.held.isConnected ? this.held : this.stage.find(this.held.id || "none");
    (here ?? this.plan?.items[0])?.focus({ preventScroll: true });
  }

  async load() {
    const data = this.model.get("film");
    if (data === this.data) return;
    this.data = data;
    const turn = ++this.turn;
    const film = await unpacked(data);
    if (turn !== this.turn) return; // A newer one has come meanwhile.
    // A recording ends with what is so now; a journey is read from its beginning.
    const { frames } = film;
    const last = this.film ? this.time.at === this.time.last : !frames[0].hop;
    const chosen = this.film ? this.time.at : frames.findIndex(({ hop }) => hop?.chosen);
    this.film = film;
    this.time.load(frames);
    this.printed.textContent = frames[0].printed ?? "";
    this.output.hidden = !frames[0].printed;
    this.step(last ? frames.length - 1 : chosen);
  }

  // Go to a hop of the journey that is shown, by its number.
  hop(wanted) {
    const { journey } = this.frame.hop;
    const isIt = ({ hop }) => hop.journey === journey && hop.number === wanted;
    const number = this.film.frames.findIndex(isIt);
    if (number >= 0) this.step(number); // The ring around a number has none.
  }

  step(wanted) {
    const number = Math.max(0, Math.min(wanted, this.film.frames.length - 1));
    const frame = this.film.frames[number];
    const isNext = this.frame && this.frame !== frame;
    this.frame = frame;
    this.time.show(number, frame);
    this.lens.resize(frame.size);
    this.trouble.hidden = !frame.trouble;
    if (this.trouble.textContent !== (frame.trouble ?? ""))
      this.trouble.textContent = frame.trouble;
    this.draw();
    this.headers.show(frame.hop);
    this.root.classList.toggle("nv-hops", Boolean(frame.hop));
    this.glow.show(isNext ? frame.changed : [], { alone: this.time.isShown });
    if (isNext && !this.time.isShown) this.glow.say(frame.told);
    this.root.dataset.frame = (+this.root.dataset.frame || 0) + 1;
  }

  draw() {
    this.painted = isDark();
    this.svg.setAttribute("aria-label", this.frame.alt);
    this.stage.draw(this.frame.order.map((number) => this.film.parts[number]));
    this.label();
    const lit = this.stage.find(this.lit ?? "none");
    if (this.opened) this.open(this.told());
    if (!this.opened || lit) this.light(lit); // New parts have no light yet.
    this.hold();
  }

  // Let keyboards and screen readers know what there is; one thing of it is reached by Tab.
  label() {
    this.plan = new Plan([...this.stage.nodes.values()]);
    for (const node of this.plan.items) {
      node.setAttribute("role", node.id in this.frame.cards ? "button" : "img");
      node.setAttribute("aria-label", named(node));
    }
    this.mark(this.focused() ?? this.plan.items[0]);
  }

  mark(current) {
    for (const node of this.plan.items) node.setAttribute("tabindex", node === current ? 0 : -1);
  }

  focused() {
    const active = this.root.getRootNode().activeElement;
    return active?.id && this.svg.contains(active) ? active : null;
  }

  // What the card tells of.
  told() {
    return this.opened ? this.stage.find(this.opened) : null;
  }

  // Dim all but a thing and what it is joined with: what is pointed at, or what the card tells of.
  light(node) {
    const some = node && node !== this.plan.items[0];
    const isNew = some && node.id !== this.lit;
    this.lit = some ? node.id : null;
    this.svg.classList.toggle("nv-dim", Boolean(some));
    if (!some) return;
    const lit = this.plan.around(node);
    for (const each of this.plan.items) each.classList.toggle("nv-lit", lit.has(each.id));
    if (isNew) this.said.textContent = node.getAttribute("aria-label");
  }

  open(node) {
    if (!node) return this.close();
    this.mark(node);
    this.light(node);
    const card = this.film.cards[this.frame.cards[node.id]];
    this.opened = card && node.id;
    if (card) this.card.show(card);
    else this.card.hide();
  }

  // Close the card; who was in it is back at the thing that it tells of.
  close() {
    const node = this.told();
    if (this.root.contains(this.root.getRootNode().activeElement)) node?.focus();
    this.opened = null;
    this.card.hide();
    this.light(null);
  }

  key(event) {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    event.stopPropagation(); // JupyterLab has other ideas for arrows and letters.
    if (event.key === "Enter" && event.shiftKey) return this.pass(event);
    const isIts = event.target.matches("input, select"); // These have a use for keys themselves.
    if (!isIts && this.pressed(event)) event.preventDefault();
  }

  // It runs a cell, also where the view is pinned, and clicks no button.
  pass(event) {
    event.preventDefault();
    this.home.dispatchEvent(new KeyboardEvent(event.type, event));
  }

  // Do what a key is for; tell whether it is for anything.
  pressed({ key, shiftKey }) {
    const focus = this.focused();
    const [right, down] = ARROWS[key] ?? [];
    const turn = TURNS[key] ?? (focus ? undefined : right);
    if (this.time.isShown && turn) this.step(this.time.at + turn);
    else if (key === "Escape") this.close();
    else if (key === "+" || key === "=") this.lens.zoom(1.25);
    else if (key === "-") this.lens.zoom(0.8);
    else if (key === "0") this.lens.fit();
    else return Boolean(focus) && this.moved(focus, key, shiftKey);
    return true;
  }

  moved(focus, key, shiftKey) {
    const { items } = this.plan;
    const [right, down] = ARROWS[key] ?? [];
    const places = { Home: 0, End: items.length - 1, Enter: -1, " ": -1 };
    const place = ARROWS[key] ? items.indexOf(focus) + right + down : places[key];
    if (place === undefined) return false;
    if (place === -1 && !ARROWS[key]) {
      this.open(focus);
      if (this.card.isOpen) this.card.root.focus();
    } else if (ARROWS[key] && shiftKey) this.lens.pan(right, down);
    else items[place]?.focus();
    return true;
  }

  // Over the page, at its lower right; and back into the output that it came from.
  pin() {
    this.pinned = !this.pinned;
    this.root.classList.toggle("nv-pinned", this.pinned);
    this.pinning.setAttribute("aria-pressed", this.pinned);
    (this.pinned ? document.body : this.home).append(this.root);
    this.pinning.focus();
  }

  recolour() {
    this.root.classList.toggle("nv-dark", isDark());
    if (!this.film || this.painted === isDark()) return;
    this.stage.clear();
    this.draw();
    this.glow.show([]); // What glowed is drawn anew.
  }
}

// Return what a thing is called: what its title tells, and what one reads on it.
function named(node) {
  const read = [...node.querySelectorAll("text")].map((text) => text.textContent).join(" ");
  const title = node.querySelector("title")?.textContent ?? node.id;
  return title.includes(read) ? title : `${title} · ${read}`;
}

// A notebook shows an output anew when it is updated: the view that was there is taken again, with
// its zoom, its card and its focus. It is free once the old output is gone, a moment later.
const views = [];

export async function render({ model, el }) {
  for (let tries = 0; tries < 500 && !el.isConnected; tries++) {
    await new Promise((go) => setTimeout(go));
  }
  const same = (view) => view.model.get("film") === model.get("film");
  let view = views.find((each) => !each.home.isConnected && same(each));
  if (!view) views.push((view = new View()));
  view.show(model, el);
  return view;
}
