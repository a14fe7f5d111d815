// An exam under way: every change is saved at once, and the time that is left counts down. Without this script the
// button saves, the page says what time was left when it was drawn, and the server ends the exam all the same.
const RETRY_MILLISECONDS = 2000;
const PATIENCE_MILLISECONDS = 8000;
const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));
const form = document.querySelector("form[data-save]");
const time = document.querySelector("time[data-left]");

// One request is under way at most, and what changed meanwhile follows it: saves arrive in the order in which they
// were made. A page that is left lets its request go on (keepalive). One that was given up may still arrive, so each
// says which page made it and its number there: the server lets none come after a later one.
const saver = form && (() => {
  const state = form.querySelector(".save-state");
  const tab = Array.from(crypto.getRandomValues(new Uint8Array(8)), (byte) => byte.toString(16).padStart(2, "0")).join("");
  form.insertAdjacentHTML("beforeend", `<input type="hidden" name="tab" value="${tab}"><input type="hidden" name="nth">`);
  let saves = 0;
  const number = () => { form.elements.nth.value = ++saves; };
  let wanted = false; // something has changed that no request carries yet
  let running = null;
  let ended = false;

  function say(word, failed = false) {
    const text = state.dataset[word] ?? word;
    if (state.textContent !== text) state.textContent = text;
    state.classList.toggle("save-failed", failed);
  }

  async function send() {
    wanted = false;
    number();
    const body = new URLSearchParams(new FormData(form));
    const signal = AbortSignal.timeout(PATIENCE_MILLISECONDS);
    const response = await fetch(form.dataset.save, { method: "POST", body, keepalive: true, signal }).catch(() => null);
    if (response?.status === 204) {
      if (!wanted) say("saved");
    } else if (response?.status === 409) { // the exam has ended: the server says what counts
      ended = true;
      say(await response.text(), true);
    } else if (response && response.status < 500 && response.status !== 429) {
      say("refused", true); // the button sends the form and shows why
    } else {
      wanted = true;
      say("failed", true);
      await pause(RETRY_MILLISECONDS);
    }
  }

  async function run() {
    while (wanted && !ended) await send();
    running = null;
  }

  function save() {
    if (ended) return;
    wanted = true;
    if (!state.classList.contains("save-failed")) say("saving");
    running ??= run();
  }

  form.addEventListener("change", save);
  // The button's own request must not be overtaken by one that is still under way.
  form.addEventListener("submit", (event) => {
    const failing = state.classList.contains("save-failed");
    wanted = false;
    number();
    if (!running || failing) return;
    event.preventDefault();
    running.then(() => {
      number();
      form.submit();
    });
  });
  return { settled: () => running ?? Promise.resolve() };
})();

if (time) {
  const left = Number(time.dataset.left);
  const said = time.parentElement.querySelector("[role=status]");
  const begun = { steady: performance.now(), clock: Date.now() };
  // A computer that slept stops one of the two clocks, and one that is set moves the other.
  const passed = () => Math.max(performance.now() - begun.steady, Date.now() - begun.clock) / 1000;
  const two = (number) => String(number).padStart(2, "0");
  let before = left;

  function words(seconds) {
    const hours = Math.floor(seconds / 3600);
    const minutes = Math.floor(seconds / 60) % 60;
    return hours ? `${hours}:${two(minutes)}:${two(seconds % 60)}` : `${minutes}:${two(seconds % 60)}`;
  }

  function tick() {
    const now = Math.ceil(left - passed());
    time.textContent = words(Math.max(0, now));
    time.classList.toggle("time-short", now <= 60);
    for (const [limit, word] of [[300, "five"], [60, "one"], [0, "over"]]) {
      if (before > limit && now <= limit) said.textContent = said.dataset[word];
    }
    before = now;
    if (now <= 0 && saver) { // a question takes no more: the sheet says what counts
      clearInterval(timer);
      Promise.race([saver.settled(), pause(PATIENCE_MILLISECONDS)])
        .then(() => location.assign(time.dataset.sheet));
    } else if (now <= -Number(time.dataset.ends)) {
      clearInterval(timer);
      location.replace(time.dataset.sheet);
    }
  }
  const timer = setInterval(tick, 250);
  tick();
}
