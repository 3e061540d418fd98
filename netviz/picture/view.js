// A picture in a page: a widget's, a page's that follows a lab, or a recording's.
//
// Python draws. What comes is a film: a pool of SVG groups (`parts`) and of cards, and frames that
// name some of them in order. A group that is in the next frame as well stays as it is, and so keeps
// its focus; one of the same id that looks otherwise glides to its new place.

const SVG = "http://www.w3.org/2000/svg";
const DARK = {}; // Python fills it in: a light colour, and the same in the dark.
const STYLE = ""; // And this, from view.css.
const KEEPS_GLOWING = 2500; // Milliseconds.
const GLIDES = 350;
const PLAYS = 1200;
const still = matchMedia("(prefers-color-scheme: dark)");
const calm = matchMedia("(prefers-reduced-motion: reduce)");

const make = (name, told = {}, ...inside) => {
  const made = Object.assign(document.createElement(name), told);
  for (const [key, value] of Object.entries(told)) if (key.includes("-")) made.setAttribute(key, value);
  made.append(...inside);
  return made;
};
const shown = (seconds) => (seconds === undefined ? "" : `${seconds.toFixed(1)} s`);

async function unpacked(data) {
  const packed = new Blob([data]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(packed).json();
}

class View {
  constructor() {
    this.nodes = new Map(); // By their markup.
    this.glowing = new Map(); // Until when, by id.
    this.lines = [];
    this.turn = this.at = 0;
    this.build();
    still.addEventListener("change", () => this.recolour());
    // JupyterLab says on its body which theme it has.
    new MutationObserver(() => this.recolour()).observe(document.body, { attributeFilter: ["data-jp-theme-light"] });
  }

  // A notebook has a new word for the same model each time that it shows it.
  show(model, home) {
    this.model = model;
    this.home = home;
    if (!this.pinned) home.append(this.root);
    this.recolour();
    model.on("change:film", () => this.model === model && this.load());
    this.load();
  }

  build() {
    const button = (text, label, act) => make("button", { type: "button", textContent: text, title: label, "aria-label": label, onclick: act });
    this.svg = document.createElementNS(SVG, "svg");
    this.svg.setAttribute("role", "group");
    this.svg.setAttribute("tabindex", -1); // What is in it has the focus, not it.
    this.stage = make("div", { className: "nv-stage" }, this.svg);
    this.card = make("section", { className: "nv-card", hidden: true, tabIndex: -1, "aria-label": "Details" });
    this.said = make("p", { className: "nv-said", role: "status" });
    this.tools = make("div", { className: "nv-tools", role: "toolbar", "aria-label": "Picture" },
      button("−", "Zoom out", () => this.zoom(0.8)), button("+", "Zoom in", () => this.zoom(1.25)),
      button("Fit", "Fit the whole picture", () => this.fit()),
      (this.pinning = button("Pin", "Keep it in view while you scroll", () => this.pin())),
      button("SVG", "Save as SVG", () => this.saveSVG()), button("PNG", "Save as PNG", () => this.savePNG()));
    this.slider = make("input", { type: "range", min: 0, value: 0, "aria-label": "Moment", oninput: () => this.step(+this.slider.value) });
    this.moment = make("div", { className: "nv-moment", role: "status" });
    this.time = make("div", { className: "nv-time", hidden: true },
      button("◀", "Step back", () => this.step(this.at - 1)), this.slider, button("▶", "Step forward", () => this.step(this.at + 1)),
      (this.playing = button("Play", "Play from here, a step a second", () => this.play())), this.moment);
    this.root = make("div", { className: "nv" }, make("style", { textContent: STYLE }), this.tools, this.time, make("div", { className: "nv-both" }, this.stage, this.card), this.said);
    this.listen();
  }

  listen() {
    const item = (event) => event.target.closest("svg > g[id]");
    this.svg.addEventListener("pointerover", (event) => this.light(item(event)));
    this.svg.addEventListener("pointerleave", () => this.light(this.focused()));
    this.svg.addEventListener("focusin", (event) => this.open(item(event)));
    this.svg.addEventListener("click", (event) => !this.dragged && item(event)?.focus());
    this.root.addEventListener("keydown", (event) => this.key(event));
    this.stage.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && !event.metaKey) return; // The page scrolls, as ever.
      event.preventDefault();
      this.zoom(event.deltaY < 0 ? 1.15 : 1 / 1.15, event);
    }, { passive: false });
    this.stage.addEventListener("pointerdown", (event) => { this.held = [event.clientX, event.clientY, ...this.box]; this.dragged = false; });
    addEventListener("pointerup", () => { this.held = null; });
    addEventListener("pointermove", (event) => this.drag(event));
  }

  async load() {
    const data = this.model.get("film");
    if (data === this.data) return;
    this.data = data;
    const turn = ++this.turn;
    const film = await unpacked(data);
    if (turn !== this.turn) return; // A newer one has come meanwhile.
    const last = this.film === undefined || this.at === this.film.frames.length - 1;
    this.film = film;
    this.time.hidden = film.frames[0].at === undefined;
    this.slider.max = film.frames.length - 1;
    this.step(last ? film.frames.length - 1 : this.at);
  }

  step(number) {
    this.at = Math.max(0, Math.min(number, this.film.frames.length - 1));
    const frame = (this.frame = this.film.frames[this.at]);
    this.slider.value = this.at;
    const told = frame.told.join("\n");
    if (!this.time.hidden) {
      const which = `${this.at + 1} of ${this.film.frames.length} · ${shown(frame.at)}`;
      this.slider.setAttribute("aria-valuetext", `${which} ${frame.command ?? ""}`);
      this.moment.replaceChildren(which, make("pre", { textContent: frame.command ?? "", className: "nv-command" }), make("pre", { textContent: told }));
    }
    const before = this.frame0 ?? frame;
    this.frame0 = frame;
    if (frame.size.join() !== this.size?.join()) this.resize(frame.size);
    this.svg.setAttribute("aria-label", frame.alt);
    this.draw(frame);
    if (!this.time.hidden) this.glowing.forEach((_, id) => this.glowing.set(id, 0));
    this.glow(frame === before ? [] : frame.changed);
    if (this.time.hidden && frame !== before) this.say(frame.told);
    this.root.dataset.frame = (+this.root.dataset.frame || 0) + 1;
  }

  play() {
    if (!this.ticking && this.at === this.film.frames.length - 1) this.step(0);
    this.ticking = this.ticking ? clearInterval(this.ticking) : setInterval(() => {
      this.step(this.at + 1);
      if (this.at === this.film.frames.length - 1) this.play();
    }, PLAYS);
    this.playing.textContent = this.ticking ? "Stop" : "Play";
  }

  draw(frame) {
    const focus = this.focused()?.id;
    const old = new Map([...this.nodes.values()].map((node) => [node.id, node]));
    const wanted = frame.order.map((number) => {
      const markup = this.film.parts[number];
      return [markup, this.nodes.get(markup) ?? this.node(markup)];
    });
    const places = new Map();
    for (const [markup, node] of wanted) if (!this.nodes.has(markup) && old.has(node.id)) places.set(node, old.get(node.id).getBBox());
    const fresh = wanted.filter(([markup]) => !this.nodes.has(markup)).map(([, node]) => node);
    const first = this.nodes.size === 0;
    this.nodes = new Map(wanted);
    const staying = new Set(this.nodes.values());
    for (const node of [...this.svg.children]) if (!staying.has(node)) node.remove();
    let next = this.svg.firstChild;
    for (const node of staying) {
      if (node === next) next = next.nextSibling;
      else this.svg.insertBefore(node, next);
    }
    if (!first && !calm.matches) for (const node of fresh) this.arrive(node, places.get(node));
    this.label();
    const again = focus && this.find(focus);
    if (again && again !== this.root.getRootNode().activeElement) again.focus({ preventScroll: true });
    else if (this.opened) this.open(this.find(this.opened));
  }

  node(markup) {
    const around = document.createElementNS(SVG, "svg");
    around.innerHTML = markup; // Written by an XML library; every name in it is text.
    const made = around.firstChild;
    this.paint(made);
    if (made.id.startsWith("wire-")) {
      const reach = made.querySelector("path").cloneNode(); // A thin line is hard to point at.
      reach.setAttribute("class", "nv-reach");
      reach.removeAttribute("style");
      made.append(reach);
    }
    return made;
  }

  arrive(node, place) {
    if (place && !node.id.startsWith("wire-")) {
      const here = node.getBBox();
      const from = `translate(${place.x - here.x}px, ${place.y - here.y}px)`;
      node.animate([{ transform: from }, { transform: "none" }], { duration: GLIDES, easing: "ease-out" });
    } else node.animate([{ opacity: 0 }, { opacity: 1 }], { duration: GLIDES });
  }

  // Let keyboards and screen readers know what there is: each box, what is plugged into it, cables.
  label() {
    const all = [...this.nodes.values()].filter((node) => node.id && !node.id.startsWith("key-"));
    const ends = (node) => (node.dataset.ends ?? "").split(" ").filter(Boolean);
    this.ends = new Map(all.map((node) => [node.id, ends(node)]));
    const boxes = all.filter((node) => !ends(node).length);
    this.items = boxes.flatMap((box) => [box, ...all.filter((node) => ends(node).length === 1 && ends(node)[0] === box.id)]);
    this.items.push(...all.filter((node) => ends(node).length === 2));
    const current = this.focused() ?? this.items[0];
    for (const node of this.items) {
      node.setAttribute("role", node.id in this.frame.cards ? "button" : "img");
      node.setAttribute("aria-label", node.querySelector("title")?.textContent ?? node.id);
      node.setAttribute("tabindex", node === current ? 0 : -1);
    }
  }

  find(id) { return this.svg.querySelector(`[id="${CSS.escape(id)}"]`); }

  focused() {
    const active = this.root.getRootNode().activeElement;
    return active && this.svg.contains(active) && active.id ? active : null;
  }

  // Dim all but a thing and what it is plugged into, to the far ends of its cables.
  light(node) {
    if (!node || node === this.items[0]) return void this.svg.classList.remove("nv-dim");
    const lit = new Set([node.id]);
    const add = (wanted) => { for (const [id, ends] of this.ends) if (wanted(id, ends)) [id, ...ends].forEach((each) => lit.add(each)); };
    const within = (inner, outer) => { const [a, b] = [inner.getBBox(), outer.getBBox()]; return a.x >= b.x && a.y >= b.y && a.x + a.width <= b.x + b.width && a.y + a.height <= b.y + b.height; };
    const isBox = !this.ends.get(node.id)?.length;
    if (isBox) for (const each of this.items) if (within(each, node)) lit.add(each.id);
    if (isBox) add((id, ends) => ends.length === 1 && lit.has(ends[0]));
    if (this.ends.get(node.id)?.length !== 2) add((id, ends) => ends.length === 2 && ends.some((end) => lit.has(end)));
    for (const id of [...lit]) this.ends.get(id)?.forEach((end) => lit.add(end));
    for (const id of [...lit]) this.ends.get(id)?.forEach((end) => lit.add(end));
    for (const each of this.items) {
      const around = !this.ends.get(each.id).length && each !== node && within(node, each);
      each.classList.toggle("nv-lit", lit.has(each.id) || around);
    }
    this.svg.classList.add("nv-dim");
    this.said.textContent = node.querySelector("title")?.textContent ?? "";
  }

  open(node) {
    if (!node) return this.close();
    for (const each of this.items) each.setAttribute("tabindex", each === node ? 0 : -1);
    this.light(node);
    const number = this.frame.cards[node.id];
    this.opened = number === undefined ? null : node.id;
    this.card.hidden = number === undefined;
    if (this.card.hidden) return;
    const { t: title, a: about, s: sections } = this.film.cards[number];
    const copy = (command) => make("button", { type: "button", textContent: "Copy", "aria-label": `Copy: ${command}`, onclick: () => navigator.clipboard?.writeText(command) });
    const parts = sections.flatMap(([heading, command, lines]) => [
      make("h4", { textContent: heading }), make("div", { className: "nv-command" }, make("code", { textContent: command }), copy(command)),
      make("pre", { textContent: lines.join("\n") || "nothing" })]);
    const scrolled = this.card.scrollTop;
    this.card.replaceChildren(make("button", { type: "button", className: "nv-close", textContent: "×", "aria-label": "Close", onclick: () => this.close(node) }),
      make("h3", { textContent: title }), make("p", { textContent: about }), ...parts);
    this.card.setAttribute("aria-label", title);
    this.card.scrollTop = scrolled;
  }

  close(node) {
    this.opened = null;
    this.card.hidden = true;
    this.light(null);
    node?.focus({ preventScroll: true });
    if (node) this.card.hidden = true;
  }

  key(event) {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    event.stopPropagation(); // JupyterLab has other ideas for arrows and letters.
    if (event.target === this.slider) return;
    const focus = this.focused();
    const place = this.items?.indexOf(focus);
    const [, , w, h] = this.box;
    const pan = { ArrowLeft: [-w / 8, 0], ArrowRight: [w / 8, 0], ArrowUp: [0, -h / 8], ArrowDown: [0, h / 8] }[event.key];
    const to = { ArrowLeft: place - 1, ArrowUp: place - 1, ArrowRight: place + 1, ArrowDown: place + 1, Home: 0, End: this.items?.length - 1 }[event.key];
    const turns = this.time.hidden ? {} : focus ? { PageDown: 1, PageUp: -1 } : { ArrowRight: 1, ArrowLeft: -1, PageDown: 1, PageUp: -1 };
    if (event.key === "Escape") this.close(focus ?? this.find(this.opened ?? ""));
    else if (event.key === "Enter" && focus) { this.open(focus); if (!this.card.hidden) this.card.focus(); }
    else if (turns[event.key]) this.step(this.at + turns[event.key]);
    else if (event.key === "+" || event.key === "=") this.zoom(1.25);
    else if (event.key === "-") this.zoom(0.8);
    else if (event.key === "0") this.fit();
    else if (pan && focus && event.shiftKey) this.pan(...pan);
    else if (to !== undefined && focus) this.items[to]?.focus();
    else return;
    event.preventDefault();
  }

  // What one command changes comes in several frames: each glows for its own time.
  glow(ids) {
    const now = Date.now();
    for (const id of ids) this.glowing.set(id, now + KEEPS_GLOWING);
    for (const [id, end] of this.glowing) {
      this.find(id)?.classList.toggle("nv-new", end > now);
      if (end <= now) this.glowing.delete(id);
    }
    if (ids.length) setTimeout(() => this.glow([]), KEEPS_GLOWING + 20);
  }

  say(lines) {
    if (!lines.length) return;
    const now = Date.now();
    this.lines = [...this.lines.filter(([, end]) => end > now), ...lines.map((line) => [line, now + KEEPS_GLOWING])];
    this.said.textContent = this.lines.map(([line]) => line).join("\n");
  }

  resize([w, h]) {
    const whole = !this.size || this.box.join() === [0, 0, ...this.size].join();
    this.size = [w, h];
    this.svg.style.maxWidth = `${w}px`;
    this.svg.style.aspectRatio = `${w} / ${h}`;
    if (whole) this.fit();
  }

  // Over the page, at its lower right; and back into the output that it came from.
  pin() {
    this.pinned = !this.pinned;
    this.root.classList.toggle("nv-pinned", this.pinned);
    this.pinning.setAttribute("aria-pressed", this.pinned);
    (this.pinned ? document.body : this.home).append(this.root);
    this.pinning.focus();
  }

  fit() { this.look([0, 0, ...this.size]); }

  look(box) {
    this.box = box;
    this.svg.setAttribute("viewBox", box.map((each) => +each.toFixed(2)).join(" "));
    this.stage.classList.toggle("nv-near", box[2] < this.size[0]);
  }

  zoom(by, at) {
    const [x, y, w, h] = this.box;
    const wide = Math.min(this.size[0], Math.max(w / by, this.size[0] / 12));
    if (wide === this.size[0]) return this.fit();
    const edge = this.svg.getBoundingClientRect();
    const [u, v] = at ? [(at.clientX - edge.x) / edge.width, (at.clientY - edge.y) / edge.height] : [0.5, 0.5];
    this.look([x + (w - wide) * u, y + (h - (h * wide) / w) * v, wide, (h * wide) / w]);
  }

  pan(dx, dy) {
    const [x, y, w, h] = this.box;
    const kept = (at, length, all) => Math.max(0, Math.min(at, all - length));
    this.look([kept(x + dx, w, this.size[0]), kept(y + dy, h, this.size[1]), w, h]);
  }

  drag(event) {
    if (!this.held || !event.buttons) return;
    const [fromX, fromY, x, y, w, h] = this.held;
    const scale = w / this.svg.getBoundingClientRect().width;
    this.dragged ||= Math.hypot(event.clientX - fromX, event.clientY - fromY) > 4;
    this.box = [x, y, w, h];
    this.pan((fromX - event.clientX) * scale, (fromY - event.clientY) * scale);
  }

  dark() {
    const told = document.body.dataset.jpThemeLight;
    return told === undefined ? still.matches : told === "false";
  }

  paint(node) {
    if (!this.dark()) return;
    for (const each of node.querySelectorAll("[style]")) each.setAttribute("style", each.getAttribute("style").replace(/#[0-9a-f]{6}/g, (it) => DARK[it] ?? it));
  }

  recolour() {
    this.root.classList.toggle("nv-dark", this.dark());
    if (!this.film || this.painted === this.dark()) return;
    this.painted = this.dark();
    for (const node of this.nodes.values()) node.remove();
    this.nodes = new Map();
    this.draw(this.frame);
  }

  copy() {
    const copy = this.svg.cloneNode(true);
    const [w, h] = this.size;
    for (const [key, value] of Object.entries({ xmlns: SVG, role: "img", width: w, height: h, viewBox: `0 0 ${w} ${h}` })) copy.setAttribute(key, value);
    for (const node of copy.querySelectorAll(".nv-reach")) node.remove();
    for (const name of ["class", "tabindex"]) for (const node of [copy, ...copy.querySelectorAll(`[${name}]`)]) node.removeAttribute(name);
    copy.setAttribute("style", "stroke-linejoin: round; stroke-linecap: butt");
    const page = document.createElementNS(SVG, "path");
    page.setAttribute("d", `M 0 0 H ${w} V ${h} H 0 z`);
    page.setAttribute("style", "fill: #ffffff");
    page.setAttribute("fill", "#ffffff");
    copy.prepend(page);
    this.paint(copy);
    return new XMLSerializer().serializeToString(copy);
  }

  save(blob, name) {
    const url = URL.createObjectURL(blob);
    make("a", { href: url, download: name }).click();
    setTimeout(() => URL.revokeObjectURL(url), 1000);
  }

  saveSVG() { this.save(new Blob([this.copy()], { type: "image/svg+xml" }), "network.svg"); }

  async savePNG() {
    const image = new Image();
    image.src = `data:image/svg+xml,${encodeURIComponent(this.copy())}`;
    await image.decode();
    const canvas = make("canvas", { width: this.size[0] * 2, height: this.size[1] * 2 });
    canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
    canvas.toBlob((blob) => this.save(blob, "network.png"));
  }
}

// A notebook shows an output anew when it is updated: the view that was there is taken again, with
// its zoom, its card and its focus. It is free once the old output is gone, a moment later.
const views = [];

export async function render({ model, el }) {
  for (let tries = 0; tries < 500 && !el.isConnected; tries++) await new Promise((go) => setTimeout(go));
  const same = (view) => view.model.get("film") === model.get("film");
  let view = views.find((each) => !each.home.isConnected && same(each));
  if (!view) views.push((view = new View()));
  view.show(model, el);
  return view;
}
