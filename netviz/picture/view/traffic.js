// Packets on their way: each a mark that moves along its cable, slowed to be seen.
//
// What comes tells which end of a cable has sent how many of what, in the order in which they were
// seen. A few of them move; where there were more, a number says so. Who wants no motion is told
// all by numbers.

import { SVG, calm, make } from "./kit.js";

const TRIP = 1000; // Milliseconds.
const LATER = 600; // From one that was seen to the next, if they are few;
const ALL = 2400; // all begin within so much.
const BEHIND = 130; // From one of the same kind to the next.
const AT_ONCE = 6;
const MOST = 60;
const STAYS = 2500; // A number.
const TITLE = "Packets, slowed down; a number counts those of half a second:";
const MEANT = ["tunnel", "veth", "lower"]; // Of several cables of one end.
// Okabe and Ito's colours, and a shape for each: a word, a colour, a path around its middle.
const KINDS = {
  ARP: ["ARP/ND", "#e69f00", "M 0 -7.5 L 7.5 0 L 0 7.5 L -7.5 0 z"],
  ICMP: ["ICMP", "#56b4e9", "M -6 0 A 6 6 0 1 1 6 0 A 6 6 0 1 1 -6 0 z"],
  TCP: ["TCP", "#d55e00", "M -5.5 -5.5 H 5.5 V 5.5 H -5.5 z"],
  UDP: ["UDP", "#cc79a7", "M 0 -7 L 7 5.5 H -7 z"],
  tunnel: ["in a tunnel", "#f0e442", "M -3.5 -6.5 H 3.5 L 7.5 0 L 3.5 6.5 H -3.5 L -7.5 0 z"],
  other: ["other", "#ffffff", "M 0 -8 L 2 -2 L 8 0 L 2 2 L 0 8 L -2 2 L -8 0 L -2 -2 z"],
};

export class Traffic {
  // `over` is the group of the picture in which they move.
  constructor(over) {
    this.over = over;
    this.keys = new Map();
    this.root = make("p", { className: "nv-traffic-key", hidden: true });
  }

  show(told, plan) {
    if (told.trouble || told.off) return this.clear(told.trouble);
    if (!told.sights || !plan || document.hidden) return;
    const ways = told.sights.map(([end, from, kind, count]) => [way(plan, end, from), kind, count]);
    const seen = ways.filter(([path]) => path);
    const rest = new Map();
    seen.forEach(([path, kind, count], n) => {
      this.explain(kind);
      const most = Math.min(count, AT_ONCE, Math.ceil(MOST / seen.length));
      const moving = this.send(path, kind, most, n * Math.min(LATER, ALL / seen.length));
      if (count <= moving) return;
      const { lines = [] } = rest.get(path.id) ?? {};
      rest.set(path.id, { path, lines: [...lines, `${about(count)} ${KINDS[kind][0]}`] });
    });
    for (const { path, lines } of rest.values()) this.number(path, lines.join(", "));
  }

  clear(trouble) {
    this.over.replaceChildren();
    this.keys.clear();
    this.root.hidden = !trouble;
    this.root.replaceChildren(trouble ? `⚠ ${trouble}` : "");
  }

  // Let some of one kind move, as far as there is room; return how many.
  send(path, kind, most, start) {
    const room = calm.matches ? 0 : MOST - this.over.childElementCount;
    const moving = Math.max(0, Math.min(most, room));
    for (let n = 0; n < moving; n++) {
      const mark = shape(kind);
      mark.classList.add("nv-packet");
      this.over.append(mark);
      const delay = start + n * BEHIND;
      const trip = mark.animate(path.steps, { duration: TRIP, delay, fill: "both" });
      trip.onfinish = trip.oncancel = () => mark.remove();
    }
    return moving;
  }

  // Say near where they were sent how many there were; what was said there before is over.
  number({ id, near, arrow }, text) {
    [...this.over.children].find((each) => each.dataset.way === id)?.remove();
    const told = element("text", { ...near, class: "nv-number", "data-way": id });
    told.textContent = `${arrow} ${text}`;
    this.over.append(told);
    setTimeout(() => told.remove(), STAYS);
  }

  explain(kind) {
    if (this.keys.has(kind)) return;
    const sample = element("svg", { viewBox: "-9 -9 18 18", "aria-hidden": true });
    sample.append(shape(kind));
    this.keys.set(kind, make("span", {}, sample, KINDS[kind][0]));
    const known = Object.keys(KINDS).filter((each) => this.keys.has(each));
    this.root.replaceChildren(TITLE, ...known.map((each) => this.keys.get(each)));
    this.root.hidden = false;
  }
}

function element(name, told) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(told)) made.setAttribute(key, value);
  return made;
}

function about(count) {
  return count < 100 ? count : `about ${(+count.toPrecision(2)).toLocaleString("en")}`;
}

function shape(kind) {
  const [, fill, d] = KINDS[kind];
  return element("path", { d, fill });
}

// Return how packets move that an end of a cable has sent, or that came `in` to it; nothing where
// that end has no cable in the picture, or has several, and so it is not known which one they take.
function way(plan, end, from) {
  const isIts = (each) => plan.ends.get(each.id).some((it) => it === end || it === `own-${end}`);
  const all = plan.nodes.filter((each) => each.id.startsWith("wire-") && isIts(each));
  const meant = MEANT.find((kind) => all.some((each) => each.id.endsWith(kind)));
  const [cable, ...others] = all.filter((each) => each.id.endsWith(meant));
  if (!cable || others.length) return null;
  const line = cable.querySelector("path");
  const isForth = plan.ends.get(cable.id)[0].endsWith(end) === (from === "out");
  const off = meant === "tunnel" ? 23 : 14; // In the middle of a tunnel there are words.
  const near = beside(line, isForth, off);
  return { steps: steps(line, isForth), ...near, id: `${cable.id} ${isForth}` };
}

// Return where a number stands: beside the line, nearer to who has sent; and where they go there.
// Along a line that lies, those to the right stand above it, the others below.
function beside(line, isForth, off) {
  const all = line.getTotalLength();
  const at = (share) => line.getPointAtLength(all * (isForth ? share : 1 - share));
  const [{ x, y }, next] = [at(0.3), at(0.32)];
  if (Math.abs(next.x - x) < Math.abs(next.y - y))
    return { near: { x: x + 11, y }, arrow: next.y > y ? "↓" : "↑" };
  if (next.x > x) return { near: { x: x - 40, y: y - off }, arrow: "→" };
  return { near: { x: x + 40, y: y + off, "text-anchor": "end" }, arrow: "←" };
}

// Return keyframes along a line of straight pieces; before and after the trip nothing is seen.
function steps(line, isForth) {
  const numbers = line.getAttribute("d").match(/-?[\d.]+/g);
  const spots = numbers.flatMap((x, n) => (n % 2 ? [] : [[+x, +numbers[n + 1]]]));
  if (!isForth) spots.reverse();
  let gone = 0;
  const offsets = spots.map(([x, y], n) => {
    const [before, above] = spots[n - 1] ?? [x, y];
    return (gone += Math.hypot(x - before, y - above));
  });
  const all = spots.map(([x, y], n) => {
    return { transform: `translate(${x}px, ${y}px)`, opacity: 1, offset: offsets[n] / (gone || 1) };
  });
  return [{ ...all[0], opacity: 0 }, ...all, { ...all.at(-1), opacity: 0 }];
}
