// Lets a reader copy a command with one press. Without this script the button stays hidden and the text selects whole.
"use strict";

for (const button of document.querySelectorAll("button.copy")) {
  const command = button.parentElement.querySelector("code");
  const label = button.textContent;
  button.hidden = false;
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(command.textContent);
    } catch {
      // Over plain http there is no clipboard: select the command, so that one more key copies it.
      getSelection().selectAllChildren(command);
      return;
    }
    button.textContent = button.dataset.done;
    setTimeout(() => { button.textContent = label; }, 2000);
  });
}
