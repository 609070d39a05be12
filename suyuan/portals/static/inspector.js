// The inspectors' live page: alerts as they come, keys, saved filters, figures, and the map. Without it the page
// still lists, filters, turns pages and exports.
// @ts-check

const setup = JSON.parse(document.getElementById("setup")?.textContent ?? "{}");
const texts = setup.texts;
/** @param {string} id */
const at = (id) => /** @type {HTMLElement} */ (document.getElementById(id));
const feed = at("feed");
const ROWS_MAX = 200; // older rows leave the page; they are a click away
const FIGURES_EVERY = 5000; // ms

// Times, relative to now

const relative = new Intl.RelativeTimeFormat(setup.language, { numeric: "auto" });
const UNITS = /** @type {[Intl.RelativeTimeFormatUnit, number][]} */ ([["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]]);

/** @param {string} iso */
function ago(iso) {
  const seconds = Math.round((Date.parse(iso) - Date.now()) / 1000);
  const [unit, size] = UNITS.find(([, size]) => Math.abs(seconds) >= size) ?? UNITS[3];
  return relative.format(Math.trunc(seconds / size), unit);
}

function tellTimes() {
  for (const time of document.querySelectorAll("time")) {
    const beside = time.nextElementSibling;
    if (beside?.classList.contains("ago")) beside.textContent = ago(time.dateTime);
  }
}
tellTimes();
setInterval(tellTimes, 15000);

// The stream

let cursor = new URLSearchParams(setup.stream.split("?")[1] ?? "").get("after") ?? "";
let paused = false;
let sound = false;
/** @type {any[]} */
let waiting = [];
let waitingCount = 0;
/** @type {any[]} */
let arriving = [];
let arrived = 0;

/** @param {string} state @param {string} words */
function connection(state, words) {
  const place = at("connection");
  place.className = `connection ${state}`;
  place.textContent = words;
}

function listen() {
  const [path, query] = setup.stream.split("?");
  const parameters = new URLSearchParams(query);
  parameters.set("after", cursor);
  const stream = new EventSource(`${path}?${parameters}`);
  connection("", texts.connecting);
  stream.onopen = () => connection("live", texts.connected);
  stream.addEventListener("alert", (event) => {
    cursor = event.lastEventId;
    take(JSON.parse(event.data));
  });
  stream.onerror = () => {
    connection("", texts.lost);
    // A browser comes again by itself after a break, but not after a refusal, such as that of a server that stops.
    if (stream.readyState === EventSource.CLOSED) setTimeout(listen, 2000);
  };
}

/** @param {any} alert */
function take(alert) {
  if (feed.querySelector(`a[href="/inspector/alerts/${CSS.escape(alert.id)}"]`)) return; // it came with the page
  if (paused) {
    waitingCount += 1;
    waiting.push(alert);
    if (waiting.length > ROWS_MAX) waiting.shift();
    tellWaiting();
    return;
  }
  // Thousands may come within a second: they are drawn together, and only those that will stay on the page.
  if (!arrived) setTimeout(drawArriving, 50);
  arrived += 1;
  arriving.push(alert);
  if (arriving.length > ROWS_MAX) arriving.shift();
}

function drawArriving() {
  const total = at("total");
  if (/^\d+$/.test(total.textContent ?? "")) total.textContent = String(Number(total.textContent) + arrived);
  const alerts = arriving;
  arriving = [];
  arrived = 0;
  alerts.forEach(show);
  say(alerts[alerts.length - 1]);
}

/** @param {any} alert */
function show(alert) {
  const row = /** @type {HTMLElement} */ (
    /** @type {HTMLTemplateElement} */ (at("item")).content.firstElementChild?.cloneNode(true)
  );
  /** @param {string} where @param {string} words */
  const fill = (where, words) => {
    const place = row.querySelector(where);
    if (place) place.textContent = words;
  };
  const other = alert.other && alert.other.institution ? alert.other : null;
  /** @type {HTMLAnchorElement} */ (row.querySelector("a")).href = `/inspector/alerts/${alert.id}`;
  fill(".tag", setup.classes[alert.class] ?? alert.class);
  fill(".state", setup.states[alert.state] ?? alert.state);
  fill("code", alert.code);
  fill(".who", alert.side.name || alert.side.institution);
  fill(".who-where", alert.side.region_name ?? "");
  fill(".other", other ? other.name || other.institution : "");
  fill(".other-where", other ? (other.region_name ?? "") : "");
  if (!other) row.querySelector(".versus")?.remove();
  const time = /** @type {HTMLTimeElement} */ (row.querySelector("time"));
  time.dateTime = alert.side.arrived;
  time.textContent = alert.side.arrived.slice(0, 19).replace("T", " ");
  fill(".ago", ago(alert.side.arrived));
  fill(".gap", alert.gap_seconds === null ? "" : gap(alert.gap_seconds));
  feed.prepend(row);
  at("empty").classList.add("hidden");
  while (feed.children.length > ROWS_MAX) feed.lastElementChild?.remove();
}

/** @param {number} seconds */
function gap(seconds) {
  const found = UNITS.find(([, size]) => seconds >= size * (size > 1 ? 2 : 1));
  return found ? texts[found[0]].replace("%(n)s", String(Math.floor(seconds / found[1]))) : texts.together;
}

let saidAt = 0;
/** @param {any} alert */
function say(alert) {
  // A burst is not read out one by one.
  if (Date.now() - saidAt < 2000) return;
  saidAt = Date.now();
  at("news").textContent = texts.arrived.replace("{0}", `${setup.classes[alert.class] ?? ""} ${alert.code}`);
  if (sound) beep();
}

function beep() {
  const context = new AudioContext();
  const tone = context.createOscillator();
  tone.frequency.value = 880;
  tone.connect(context.destination);
  tone.start();
  tone.stop(context.currentTime + 0.12);
  tone.onended = () => context.close();
}

function tellWaiting() {
  const button = at("waiting");
  button.classList.toggle("hidden", !waitingCount);
  button.textContent = texts.waiting.replace("{0}", String(waitingCount));
}

function togglePause() {
  paused = !paused;
  const button = at("pause");
  button.setAttribute("aria-pressed", String(paused));
  button.textContent = paused ? texts.goOn : texts.pause;
  if (!paused) showWaiting();
}

function showWaiting() {
  waiting.forEach(show);
  waiting = [];
  waitingCount = 0;
  tellWaiting();
}

at("pause").onclick = togglePause;
at("waiting").onclick = showWaiting;
at("sound").onclick = () => {
  sound = !sound;
  at("sound").setAttribute("aria-pressed", String(sound));
  at("sound").textContent = sound ? texts.soundOn : texts.soundOff;
  if (sound) beep();
};
if (setup.stream) {
  at("tools").classList.remove("hidden");
  listen();
}

// Keys: only where nobody is typing

document.addEventListener("keydown", (event) => {
  const target = /** @type {HTMLElement} */ (event.target);
  if (event.ctrlKey || event.metaKey || event.altKey || target.closest("input, select, textarea")) {
    if (event.key === "Escape") target.blur();
    return;
  }
  if (event.key === "j" || event.key === "k") {
    move(event.key === "j" ? 1 : -1);
  } else if (event.key === "/") {
    at("f-region").focus();
  } else if (event.key === "p" && setup.stream) {
    togglePause();
  } else {
    return;
  }
  event.preventDefault();
});

/** @param {number} step */
function move(step) {
  const links = /** @type {HTMLAnchorElement[]} */ ([...feed.querySelectorAll("a")]);
  const here = links.indexOf(/** @type {HTMLAnchorElement} */ (document.activeElement));
  const next = here < 0 ? (step > 0 ? 0 : links.length - 1) : Math.min(Math.max(here + step, 0), links.length - 1);
  links[next]?.focus();
}

// Saved filters: on this device, for they are nobody else's business

const KEY = "suyuan.inspector.filters";
/** @returns {{name: string, query: string}[]} */
const saved = () => {
  try {
    return JSON.parse(localStorage.getItem(KEY) ?? "[]");
  } catch {
    return [];
  }
};

/** @param {{name: string, query: string}[]} filters */
function keep(filters) {
  localStorage.setItem(KEY, JSON.stringify(filters));
  showSaved();
}

function showSaved() {
  const rows = saved().map(({ name, query }) => {
    const row = document.createElement("li");
    const link = document.createElement("a");
    link.href = `/inspector?${query}`;
    link.textContent = name;
    const remove = document.createElement("button");
    remove.type = "button";
    remove.textContent = "×";
    remove.setAttribute("aria-label", `${texts.remove}: ${name}`);
    remove.onclick = () => keep(saved().filter((one) => one.name !== name));
    row.append(link, remove);
    return row;
  });
  at("saved-list").replaceChildren(...rows);
  at("saved-list").classList.toggle("hidden", !rows.length);
}

at("saved").classList.remove("hidden");
showSaved();
at("save").onsubmit = (event) => {
  event.preventDefault();
  const field = /** @type {HTMLInputElement} */ (at("save-name"));
  const query = new URLSearchParams(location.search);
  ["a", "r"].forEach((place) => query.delete(place));
  keep([...saved().filter((one) => one.name !== field.value), { name: field.value, query: query.toString() }]);
  field.value = "";
};

// Figures, and the map with its table

let measure = "alerts";
/** @type {any} */
let chart = null;
let regions = setup.regions;
/** @type {Map<string, string>} */
const names = new Map();

/** @param {number | string} value */
const told = (value) => (typeof value === "number" ? value.toLocaleString("en-US") : value.replace("T", " "));

async function refresh() {
  try {
    const answer = await fetch(setup.figures, { headers: { accept: "application/json" } });
    if (!answer.ok) return;
    const figures = await answer.json();
    for (const place of document.querySelectorAll("[data-figure]")) {
      place.textContent = told(figures[/** @type {HTMLElement} */ (place).dataset.figure ?? ""]);
    }
    for (const place of document.querySelectorAll("[data-class]")) {
      const count = figures.classes[/** @type {HTMLElement} */ (place).dataset.class ?? ""] ?? 0;
      place.textContent = told(count);
      place.closest("li")?.classList.toggle("hidden", !count);
    }
    regions = figures.regions;
    showTwin(figures.places);
    draw();
  } catch {
    // The connection's own line says that something is wrong.
  }
}
setInterval(refresh, FIGURES_EVERY);

/** @param {any[]} places */
function showTwin(places) {
  const body = /** @type {HTMLTableSectionElement} */ (document.querySelector("#twin tbody"));
  const focused = document.activeElement?.closest("#twin a")?.getAttribute("href");
  const query = new URLSearchParams(location.search);
  const rows = places.map((place) => {
    const row = document.createElement("tr");
    const head = document.createElement("th");
    head.scope = "row";
    const link = document.createElement("a");
    query.set("region", place.code);
    link.href = `/inspector?${query}`;
    link.textContent = place.name;
    head.append(link);
    row.append(head);
    for (const name of ["alerts", "codes", "sales", "paid_yuan", "refused_yuan", "institutions"]) {
      const cell = row.insertCell();
      cell.className = "number";
      cell.textContent = told(place[name]);
    }
    return row;
  });
  if (!rows.length) return;
  body.replaceChildren(...rows);
  if (focused) /** @type {HTMLElement | null} */ (body.querySelector(`a[href="${CSS.escape(focused)}"]`))?.focus();
}

function draw() {
  if (!chart) return;
  const data = regions
    .filter((/** @type {any} */ one) => names.has(one.code))
    .map((/** @type {any} */ one) => ({ name: names.get(one.code), value: one[measure], code: one.code }));
  const most = Math.max(1, ...data.map((/** @type {any} */ one) => one.value));
  chart.setOption({ visualMap: { max: most }, series: [{ data }] });
}

async function openMap() {
  const echarts = /** @type {any} */ (window).echarts;
  const answer = await fetch(setup.map);
  if (!answer.ok) throw new Error(String(answer.status));
  const shape = await answer.json();
  for (const feature of shape.features) {
    const { properties } = feature;
    names.set(String(feature.id ?? properties.id ?? properties.adcode ?? ""), properties.name);
  }
  // Only under this name does the library draw the islands of the South China Sea as an inset.
  echarts.registerMap("china", shape);
  at("map").classList.remove("hidden");
  at("measures").classList.remove("hidden");
  chart = echarts.init(at("map"));
  chart.setOption({
    animation: false,
    // As text: what a page of HTML would need is forbidden by our own policy.
    tooltip: { renderMode: "richText", formatter: (/** @type {any} */ one) => `${one.name}: ${one.value || 0} ${texts[measure]}` },
    visualMap: {
      min: 0, max: 1, left: 8, bottom: 8, calculable: false, itemHeight: 90,
      inRange: { color: ["#e8f1ef", "#f2c879", "#c8553d", "#7a1d14"] }, textStyle: { color: "#17211f" },
    },
    series: [{
      type: "map", map: "china", roam: false, data: [], selectedMode: false,
      label: { show: true, fontSize: 10, color: "#17211f", textBorderColor: "#fff", textBorderWidth: 2 },
      itemStyle: { areaColor: "#e8f1ef", borderColor: "#7d8b87" },
      emphasis: { itemStyle: { areaColor: "#bcd9d3" }, label: { color: "#17211f" } },
    }],
  });
  chart.on("click", (/** @type {any} */ event) => {
    if (!event.data?.code) return;
    const query = new URLSearchParams(location.search);
    query.set("region", event.data.code);
    location.assign(`/inspector?${query}`);
  });
  new ResizeObserver(() => chart.resize()).observe(at("map"));
  draw();
  at("map").dataset.drawn = "1";
}

for (const button of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("[data-measure]"))) {
  button.onclick = () => {
    measure = button.dataset.measure ?? "alerts";
    document.querySelectorAll("[data-measure]").forEach((one) => one.setAttribute("aria-pressed", String(one === button)));
    draw();
  };
}

openMap().catch(() => {
  const place = document.querySelector(".source");
  if (place) place.textContent = texts.mapFailed;
});
