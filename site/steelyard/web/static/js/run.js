// Follows a run while it is under way: states, progress and the line of memory. Without this script the page says
// the same after a refresh.
"use strict";

const WIDTH = 600;
const HEIGHT = 120;
const MIB = 1024 ** 2;
const language = document.documentElement.lang;
const number = (value, digits) =>
  value.toLocaleString(language, { minimumFractionDigits: digits, maximumFractionDigits: digits });
const size = (bytes) =>
  bytes >= 1000 * MIB ? `${number(bytes / 1024 / MIB, 2)}\u00a0GiB` : `${number(bytes / MIB, 1)}\u00a0MiB`;

function follow(live) {
  const words = JSON.parse(live.dataset.words);
  const chart = live.querySelector(".run-chart");
  const list = live.querySelector(".run-parts");
  const template = live.querySelector(".run-part-new");
  const series = [];
  const source = new EventSource(live.dataset.events);
  live.querySelector(".run-refresh").hidden = true;

  // A stream that was cut and taken up again tells everything anew.
  source.addEventListener("open", () => { series.length = 0; });
  source.addEventListener("message", (event) => {
    const news = JSON.parse(event.data);
    if (["done", "failed", "refused", "cancelled"].includes(news.state)) {
      source.close();
      say(live.querySelector(".run-state"), words[news.state]); // for those who listen to the page
      finish(live);
      return;
    }
    say(live.querySelector(".run-state"), words[news.state]);
    live.querySelector(".run-before")?.toggleAttribute("hidden", news.state !== "queued");
    news.parts.forEach((part, index) => {
      series[index] = (series[index] ?? []).concat(part.points);
      show(item(index), part, series[index], words);
    });
    draw(live, chart, series);
  });

  function item(index) {
    while (list.children.length <= index) list.append(template.content.cloneNode(true));
    return list.children[index];
  }
}

function show(item, part, points, words) {
  say(item.querySelector(".run-name"), part.name);
  say(item.querySelector(".run-stage"), words[part.state] ?? part.state);
  const bar = item.querySelector("progress");
  if (bar) {
    bar.setAttribute("aria-label", part.name);
    bar.max = part.of;
    bar.value = part.done;
    bar.hidden = part.state !== "train";
  }
  if (points.length) say(item.querySelector(".run-bytes"), size(Math.max(...points.map(([, bytes]) => bytes))));
}

function draw(live, chart, series) {
  const all = series.flat();
  if (!all.length) return;
  const last = all.reduce((most, [seconds]) => Math.max(most, seconds), 0) || 1;
  const most = all.reduce((so_far, [, bytes]) => Math.max(so_far, bytes), 0) || 1;
  while (chart.children.length < series.length) {
    chart.append(document.createElementNS("http://www.w3.org/2000/svg", "polyline"));
  }
  series.forEach((points, index) => {
    const places = points.map(([seconds, bytes]) =>
      `${(WIDTH * seconds / last).toFixed(1)},${(HEIGHT - 0.92 * HEIGHT * bytes / most).toFixed(1)}`);
    chart.children[index].setAttribute("points", places.join(" "));
  });
  say(live.querySelector(".run-most"), size(most));
  say(live.querySelector(".run-seconds"), `${number(last, 0)}\u00a0s`);
}

function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

// The site knows how to show what was found: its own page of the run takes the place of what was followed.
async function finish(live) {
  const page = new DOMParser().parseFromString(await (await fetch(live.dataset.run)).text(), "text/html");
  const found = document.importNode(page.querySelector(".run-live"), true);
  live.replaceWith(found);
  found.dispatchEvent(new Event("shown", { bubbles: true }));
}

document.querySelectorAll(".run-live[data-events]").forEach(follow);
