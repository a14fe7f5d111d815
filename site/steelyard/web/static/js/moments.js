// Moments and days in the time zone of this browser, named in words. Without this script they stand in the site's.
const language = document.documentElement.lang;
const day = { year: "numeric", month: "long", day: "numeric" };
const formats = {
  day: new Intl.DateTimeFormat(language, day),
  moment: new Intl.DateTimeFormat(language, { ...day, hour: "numeric", minute: "2-digit", timeZoneName: "long" }),
};

for (const time of document.querySelectorAll("time[data-shows]")) {
  time.title = time.textContent; // the site's zone may be that of the room in which an exam is taken
  time.textContent = formats[time.dataset.shows].format(new Date(time.dateTime));
}
