// The pictures come in light colours. In the dark each is exchanged for its like.

const DARK = {}; // Python fills it in: a light colour, and the same in the dark.
const night = matchMedia("(prefers-color-scheme: dark)");

// JupyterLab says on its body which theme it has; a page has what the reader's system has.
export function isDark() {
  const told = document.body.dataset.jpThemeLight;
  return told === undefined ? night.matches : told === "false";
}

export function whenItTurns(act, signal) {
  night.addEventListener("change", act, { signal });
  const watching = new MutationObserver(act);
  watching.observe(document.body, { attributeFilter: ["data-jp-theme-light"] });
  signal.addEventListener("abort", () => watching.disconnect());
}

// Give what is in a node the colours of the theme.
export function paint(node) {
  if (!isDark()) return;
  for (const each of node.querySelectorAll("[style]")) {
    const style = each.getAttribute("style");
    each.setAttribute(
      "style",
      style.replace(/#[0-9a-f]{6}/g, (it) => DARK[it] ?? it),
    );
  }
}
