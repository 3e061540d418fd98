// The picture as a file of the reader's own: whole, whatever is in view.

import { SVG, make } from "./kit.js";
import { paint } from "./theme.js";

export function saveSVG(svg, size) {
  save(new Blob([copied(svg, size)], { type: "image/svg+xml" }), "network.svg");
}

export async function savePNG(svg, [w, h]) {
  const image = new Image();
  image.src = `data:image/svg+xml,${encodeURIComponent(copied(svg, [w, h]))}`;
  await image.decode();
  const canvas = make("canvas", { width: 2 * w, height: 2 * h }); // For screens that show it.
  canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
  canvas.toBlob((blob) => save(blob, "network.png"));
}

// Return the picture as SVG text, without what only a page has a use for.
function copied(svg, [w, h]) {
  const copy = svg.cloneNode(true);
  for (const node of copy.querySelectorAll(".nv-reach, .nv-over")) node.remove();
  for (const name of ["class", "tabindex"]) {
    for (const node of [copy, ...copy.querySelectorAll(`[${name}]`)]) node.removeAttribute(name);
  }
  const told = { xmlns: SVG, role: "img", width: w, height: h, viewBox: `0 0 ${w} ${h}` };
  told.style = "stroke-linejoin: round; stroke-linecap: butt";
  for (const [key, value] of Object.entries(told)) copy.setAttribute(key, value);
  const page = document.createElementNS(SVG, "path");
  page.setAttribute("d", `M 0 0 H ${w} V ${h} H 0 z`);
  page.setAttribute("style", "fill: #ffffff");
  const around = document.createElementNS(SVG, "g");
  around.append(page);
  paint(around);
  copy.prepend(page);
  return new XMLSerializer().serializeToString(copy);
}

function save(blob, name) {
  const url = URL.createObjectURL(blob);
  make("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}
