// What has just changed: it glows, and is said, for a moment.
//
// What one command changes may come in several frames, so each thing has a time of its own.

const MOMENT = 2500; // Milliseconds.

export class Glow {
  constructor(svg, said) {
    this.svg = svg;
    this.said = said;
    this.ends = new Map(); // By id.
    this.lines = [];
  }

  // Let some ids glow, and the ones that glow go on doing so; or these alone.
  show(ids, { alone = false } = {}) {
    const now = Date.now();
    if (alone) this.ends.forEach((_, id) => this.ends.set(id, 0));
    for (const id of ids) this.ends.set(id, now + MOMENT);
    for (const [id, end] of this.ends) {
      this.svg.querySelector(`[id="${CSS.escape(id)}"]`)?.classList.toggle("nv-new", end > now);
      if (end <= now) this.ends.delete(id);
    }
    if (ids.length) setTimeout(() => this.show([]), MOMENT + 20);
  }

  say(lines) {
    if (!lines.length) return;
    const now = Date.now();
    const recent = this.lines.filter(([, end]) => end > now);
    this.lines = [...recent, ...lines.map((line) => [line, now + MOMENT])];
    this.said.textContent = this.lines.map(([line]) => line).join("\n");
  }
}
