// A question with its options. To choose is to commit; it may be changed until it is closed.
// What is put into the page is HTML that Python has escaped.

const OPEN = ["Choose one before you go on.", "Chosen. You may change it until the answer is shown."];
const OURS = /^Arrow|^ $/; // JupyterLab has other ideas for these keys.
const NEWS = "change:chosen change:closed change:marks change:told";

function render({ model, el }) {
  const name = `nv-${Math.random()}`;
  const option = (html, number) =>
    `<label><input type="radio" name="${name}" value="${number}"> <span>${html}</span> <b></b></label>`;
  el.innerHTML = `<fieldset class="nv-ask" aria-describedby="${name}">
    <legend>Predict</legend><p id="${name}">${model.get("text")}</p>
    ${model.get("options").map(option).join("")}<p role="status"></p></fieldset>`;
  const box = el.querySelector("fieldset");
  const show = () => {
    for (const input of box.querySelectorAll("input")) {
      input.checked = +input.value === model.get("chosen");
      input.disabled = model.get("closed");
      input.parentNode.lastChild.textContent = model.get("marks")[input.value] ?? "";
    }
    const open = OPEN[+(model.get("chosen") >= 0)];
    box.lastChild.textContent = model.get("closed") ? model.get("told") : open;
  };
  box.addEventListener("change", ({ target }) => {
    model.set("chosen", +target.value);
    model.save_changes();
  });
  box.addEventListener("keydown", (event) => OURS.test(event.key) && event.stopPropagation());
  model.on(NEWS, show);
  show();
  return () => model.off(NEWS, show);
}

export default { render };
