// What all parts of the view use.

export const SVG = "http://www.w3.org/2000/svg";
export const calm = matchMedia("(prefers-reduced-motion: reduce)");

// Return an element with properties, attributes (those with a hyphen) and what is in it.
export function make(name, told = {}, ...inside) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(told)) {
    if (key.includes("-") || key === "role") made.setAttribute(key, value);
    else made[key] = value;
  }
  made.append(...inside);
  return made;
}

export function button(text, label, act) {
  const told = { type: "button", textContent: text, title: label, onclick: act };
  return make("button", { ...told, "aria-label": label });
}

// Return a command as one would type it, and a button that copies it.
export function typed(text) {
  const copy = button("Copy", `Copy: ${text}`, () => navigator.clipboard?.writeText(text));
  return make("div", { className: "nv-command" }, make("code", { textContent: text }), copy);
}

export async function unpacked(data) {
  const packed = new Blob([data]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(packed).json();
}
