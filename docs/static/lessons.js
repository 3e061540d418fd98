// What the pages do beyond showing themselves. Without it, everything but playing is there.

{
  const body = document.body;

  // The view asks JupyterLab's word for the theme; this is the reader's choice here.
  const tellTheme = () => {
    const { theme } = body.dataset;
    if (theme === "light" || theme === "dark") body.dataset.jpThemeLight = theme === "light";
    else delete body.dataset.jpThemeLight;
  };

  const play = async (figure) => {
    const film = netviz.bytes(figure.querySelector("script").textContent);
    const screen = figure.querySelector(".nv-screen");
    screen.replaceChildren();
    const view = await netviz.render({ model: { get: () => film, on: () => {} }, el: screen });
    while (!view.film) await new Promise(requestAnimationFrame);
    if (!view.film.frames[0].hop) view.step(0); // A journey begins where it is worth it.
    if (figure.dataset.first) follow(view, +figure.dataset.first);
  };

  // A pinned picture shows what the last cell that one has read down to has made of the lab.
  const follow = (view, first) => {
    const last = first + view.film.frames.length - 1;
    const cells = [...document.querySelectorAll('[class*="tag_moment-"]')]
      .map((cell) => [cell, +cell.className.match(/tag_moment-(\d+)/)[1]])
      .filter(([, moment]) => first <= moment && moment <= last);
    let shown;
    const look = () => {
      if (!view.pinned) return;
      const read = cells.filter(([cell]) => cell.getBoundingClientRect().top < innerHeight * 0.55);
      const moment = read.length ? read.at(-1)[1] : first;
      if (moment !== shown) view.step((shown = moment) - first);
    };
    addEventListener("scroll", look, { passive: true });
    view.root.addEventListener("click", look);
  };

  // What is scrolled by itself can be reached by Tab; what is not is passed over.
  const reachable = () => {
    for (const each of document.querySelectorAll("pre, .nv-figure, .nv-screen, .table-wrapper")) {
      if (each.scrollWidth > each.clientWidth) each.tabIndex = 0;
      else if (each.tabIndex === 0) each.removeAttribute("tabindex");
    }
  };

  // Escape takes a tooltip away, without moving the pointer.
  addEventListener("keydown", ({ key }) => {
    if (key === "Escape") body.classList.add("nv-quiet");
  });
  for (const name of ["pointerover", "focusin"]) {
    addEventListener(name, ({ target }) => {
      if (!target.closest?.(".nv-term")) body.classList.remove("nv-quiet");
    });
  }

  // Paper is light.
  addEventListener("beforeprint", () => (body.dataset.jpThemeLight = true));
  addEventListener("afterprint", tellTheme);

  addEventListener("DOMContentLoaded", () => {
    tellTheme();
    new MutationObserver(tellTheme).observe(body, { attributeFilter: ["data-theme"] });
    document.querySelectorAll(".nv-player").forEach(play);
    reachable();
    addEventListener("resize", reachable);
  });
}
