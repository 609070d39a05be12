// One alert, one code: print, and times relative to now. Everything else works without it.
// @ts-check

const relative = new Intl.RelativeTimeFormat(document.documentElement.lang, { numeric: "auto" });
const UNITS = /** @type {[Intl.RelativeTimeFormatUnit, number][]} */ ([["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]]);

for (const time of document.querySelectorAll("time")) {
  const beside = time.nextElementSibling;
  const seconds = Math.round((Date.parse(time.dateTime) - Date.now()) / 1000);
  const [unit, size] = UNITS.find(([, size]) => Math.abs(seconds) >= size) ?? UNITS[3];
  if (beside?.classList.contains("ago")) beside.textContent = `(${relative.format(Math.trunc(seconds / size), unit)})`;
}

const print = document.getElementById("print");
if (print) print.onclick = () => window.print();
