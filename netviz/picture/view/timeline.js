// Back and forth in a recording: a slider, and what was done at each moment; or from hop to hop of
// some journeys, each of which can be chosen.

import { button, make } from "./kit.js";

const PLAY = ["Play", "Play from here, a step a second"];
const A_STEP = 1200; // Milliseconds, when it plays by itself.

export class Timeline {
  // `step` is called with the number of the frame that is to be shown.
  constructor(step) {
    this.step = step;
    this.at = this.last = 0;
    const told = { type: "range", min: 0, value: 0, "aria-label": "Moment" };
    this.slider = make("input", { ...told, oninput: () => step(+this.slider.value) });
    this.moment = make("div", { className: "nv-moment", role: "status" });
    const choose = () => step(this.starts.get(+this.journeys.value));
    this.journeys = make("select", { "aria-label": "Journey", hidden: true, onchange: choose });
    const back = button("◀", "Step back", () => step(this.at - 1));
    const forth = button("▶", "Step forward", () => step(this.at + 1));
    this.playing = button(...PLAY, () => this.play());
    const parts = [back, this.slider, forth, this.playing, this.journeys, this.moment];
    this.root = make("div", { className: "nv-time", hidden: true }, ...parts);
  }

  get isShown() {
    return !this.root.hidden;
  }

  load(frames) {
    this.root.hidden = frames[0].at === undefined;
    this.last = this.slider.max = frames.length - 1;
    this.journeys.hidden = !frames[0].hop;
    this.starts = new Map(); // The number of the frame with which a journey begins.
    this.journeys.replaceChildren();
    frames.forEach(({ hop }, number) => {
      if (!hop || this.starts.has(hop.journey)) return;
      this.starts.set(hop.journey, number);
      const text = `${hop.journey + 1} · ${hop.prelude ? "prelude: " : ""}${hop.title}`;
      this.journeys.append(make("option", { value: hop.journey, textContent: text }));
    });
  }

  show(number, frame) {
    this.at = this.slider.value = number;
    const told = make("pre", { textContent: frame.told.join("\n") });
    if (frame.hop) {
      const which = [frame.command, clock(frame.at)].filter(Boolean).join(" · ");
      this.journeys.value = frame.hop.journey;
      this.slider.setAttribute("aria-valuetext", `${which} · ${frame.hop.title}`);
      return this.moment.replaceChildren(which, told);
    }
    const which = `${number + 1} of ${this.last + 1} · ${frame.at?.toFixed(1)} s`;
    const command = frame.command ?? "";
    this.slider.setAttribute("aria-valuetext", `${which} ${command}`);
    const line = make("pre", { textContent: command, className: "nv-command" });
    this.moment.replaceChildren(which, line, told);
  }

  play() {
    if (this.ticking) return this.stop();
    if (this.at === this.last) this.step(0);
    this.tell("Stop", "Stop playing");
    this.ticking = setInterval(() => {
      this.step(this.at + 1);
      if (this.at === this.last) this.stop();
    }, A_STEP);
  }

  stop() {
    this.ticking = clearInterval(this.ticking);
    this.tell(...PLAY);
  }

  tell(text, label) {
    this.playing.textContent = text;
    this.playing.title = label;
    this.playing.setAttribute("aria-label", label);
  }
}

// Return the time since the first packet; there is none where a hop was not seen.
function clock(at) {
  if (at === null) return "";
  return at < 1e-3 ? `${(at * 1e6).toFixed(1)} µs` : `${(at * 1e3).toFixed(3)} ms`;
}
