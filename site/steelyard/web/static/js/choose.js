// Letters and digits choose while the focus is in the choices (WCAG 2.1.4), and nowhere else. Without this script
// the form works by Tab, Space and Enter.
const choices = document.querySelector(".choices");
const form = choices?.form ?? choices?.closest("form");

if (choices && form) {
  const inputs = [...choices.querySelectorAll("input")];
  choices.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    const key = event.key.toUpperCase();
    const input = inputs.find((each, index) => each.dataset.key === key || String(index + 1) === key);
    if (!input) return;
    event.preventDefault();
    input.focus();
    input.click();
  });
  const hint = form.querySelector(".keys");
  if (hint) hint.hidden = false;
}
