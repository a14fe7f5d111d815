// A letter or a digit chooses, wherever the focus is but in a field that takes text. Whoever dictates to the browser can
// send letters unawares, so a button switches that off (WCAG 2.1.4); where the primary pointer is a finger neither the
// button nor the hint is shown, and it is off. In the choices letters choose always. Without this script the form works
// by Tab, Space and Enter.
const choices = document.querySelector(".choices");
const form = choices?.form;
const TAKES_TEXT = "input:not([type=checkbox], [type=radio]), select, textarea, [contenteditable]";
const KEPT = "letters";

const kept = () => {
  try {
    return localStorage.getItem(KEPT);
  } catch { // a browser may refuse to store anything
    return null;
  }
};

const keep = (value) => {
  try {
    localStorage.setItem(KEPT, value);
  } catch { /* it holds for this page, then */ }
};

if (choices && form) {
  const inputs = [...choices.querySelectorAll("input")];
  const hint = form.querySelector(".keys");
  const button = hint.querySelector("button");
  const finger = matchMedia("(pointer: coarse)");
  let off;

  const turn = (value) => {
    off = value;
    hint.querySelector(".keys-hint").hidden = off;
    button.textContent = off ? button.dataset.on : button.dataset.off;
  };

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || event.repeat) return;
    const inside = choices.contains(event.target);
    if (!inside && (off || finger.matches || event.target.closest(TAKES_TEXT))) return;
    const key = event.key.toUpperCase();
    const input = inputs.find((each, index) => each.dataset.key === key || String(index + 1) === key);
    if (!input) return;
    event.preventDefault();
    input.focus();
    input.click();
  });

  button.addEventListener("click", () => {
    turn(!off);
    keep(off ? "off" : "on");
  });
  turn(kept() === "off");
  hint.hidden = false;
}
