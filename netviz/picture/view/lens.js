// What of a picture is in view: all of it, or a part that is moved about.

const NEAREST = 12;

export class Lens {
  // It listens to the whole page, until a signal.
  constructor(svg, stage, signal) {
    this.svg = svg;
    this.stage = stage;
    this.dragged = false;
    stage.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    stage.addEventListener("pointerdown", (event) => {
      this.held = [event.clientX, event.clientY, ...this.box];
      this.dragged = false;
    });
    for (const name of ["pointerup", "pointercancel"]) {
      addEventListener(name, () => (this.held = null), { signal });
    }
    addEventListener("pointermove", (event) => this.drag(event), { signal });
  }

  // Say how large the picture is; what was in view stays there.
  resize([w, h]) {
    if (this.size?.join() === [w, h].join()) return;
    const whole = !this.size || this.box.join() === [0, 0, ...this.size].join();
    this.size = [w, h];
    this.svg.style.maxWidth = `${w}px`;
    this.svg.style.aspectRatio = `${w} / ${h}`;
    const [, , wide] = this.box ?? [];
    if (whole || wide >= w || (wide * h) / w >= h) return this.fit();
    this.box[3] = (wide * h) / w;
    this.move(0, 0);
  }

  // Move a thing into view, if it is out of it.
  reveal({ x, y, width, height }) {
    const [left, top, w, h] = this.box;
    const off = (at, long, from, all) => {
      if (long > all || at < from) return at - from;
      return Math.max(0, at + long - (from + all));
    };
    const rim = 6; // Room for the mark of what has the focus.
    const [wide, high] = [width + 2 * rim, height + 2 * rim];
    this.move(off(x - rim, wide, left, w), off(y - rim, high, top, h));
  }

  fit() {
    this.look([0, 0, ...this.size]);
  }

  look(box) {
    this.box = box;
    this.svg.setAttribute("viewBox", box.map((each) => +each.toFixed(2)).join(" "));
    this.stage.classList.toggle("nv-near", box[2] < this.size[0]);
  }

  zoom(by, at) {
    const [x, y, w, h] = this.box;
    const wide = Math.min(this.size[0], Math.max(w / by, this.size[0] / NEAREST));
    if (wide === this.size[0]) return this.fit();
    const high = (h * wide) / w;
    const edge = this.svg.getBoundingClientRect();
    const u = at ? (at.clientX - edge.x) / edge.width : 0.5;
    const v = at ? (at.clientY - edge.y) / edge.height : 0.5;
    this.look([x + (w - wide) * u, y + (h - high) * v, wide, high]);
  }

  // Move by so many eighths of what is in view.
  pan(right, down) {
    const [, , w, h] = this.box;
    this.move((right * w) / 8, (down * h) / 8);
  }

  move(dx, dy) {
    const [x, y, w, h] = this.box;
    const kept = (at, length, all) => Math.max(0, Math.min(at, all - length));
    this.look([kept(x + dx, w, this.size[0]), kept(y + dy, h, this.size[1]), w, h]);
  }

  wheel(event) {
    if (!event.ctrlKey && !event.metaKey) return; // The page scrolls, as ever.
    event.preventDefault();
    this.zoom(event.deltaY < 0 ? 1.15 : 1 / 1.15, event);
  }

  drag(event) {
    if (!this.held || !event.buttons) return;
    const [fromX, fromY, ...box] = this.held;
    const [right, down] = [event.clientX - fromX, event.clientY - fromY];
    this.dragged ||= Math.hypot(right, down) > 4;
    const scale = box[2] / this.svg.getBoundingClientRect().width;
    this.box = box;
    this.move(-right * scale, -down * scale);
  }
}
