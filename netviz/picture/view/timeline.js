// Back and forth in a recording: a slider, and what was done at each moment.

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
    const back = button("◀", "Step back", () => step(this.at - 1));
    const forth = button("▶", "Step forward", () => step(this.at + 1));
    this.playing = button(...PLAY, () => this.play());
    const parts = [back, this.slider, forth, this.playing, this.moment];
    this.root = make("div", { className: "nv-time", hidden: true }, ...parts);
  }

  get isShown() {
    return !this.root.hidden;
  }

  load(frames) {
    this.root.hidden = frames[0].at === undefined;
    this.last = this.slider.max = frames.length - 1;
  }

  show(number, frame) {
    this.at = this.slider.value = number;
    const at = frame.hop ? `${(frame.at * 1e6).toFixed(1)} µs` : `${frame.at?.toFixed(1)} s`;
    const which = `${number + 1} of ${this.last + 1} · ${at}${frame.hop ? ` · ${frame.hop.title}` : ""}`;
    const command = frame.command ?? "";
    this.slider.setAttribute("aria-valuetext", `${which} ${command}`);
    const typed = make("pre", { textContent: command, className: "nv-command" });
    this.moment.replaceChildren(which, typed, make("pre", { textContent: frame.told.join("\n") }));
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
