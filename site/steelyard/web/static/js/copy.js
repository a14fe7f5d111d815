// Lets a reader copy a command with one press. Without this script the button stays hidden and the text selects whole.
"use strict";

const offer = (root) => root.querySelectorAll("button.copy").forEach((button) => { button.hidden = false; });

offer(document);
document.addEventListener("shown", (event) => offer(event.target)); // what a script has put in place later

document.addEventListener("click", async ({ target }) => {
  const button = target.closest("button.copy");
  if (!button) return;
  const command = button.parentElement.querySelector("code");
  try {
    await navigator.clipboard.writeText(command.textContent);
  } catch {
    // Over plain http there is no clipboard: select the command, so that one more key copies it.
    getSelection().selectAllChildren(command);
    return;
  }
  const label = button.textContent;
  if (label === button.dataset.done) return;
  button.textContent = button.dataset.done;
  setTimeout(() => { button.textContent = label; }, 2000);
});
