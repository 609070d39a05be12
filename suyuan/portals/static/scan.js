// @ts-check
// The scan screen: every scan is kept on this device at once, checked when connected, and sent as a basket.

import { MemoryStore, Sender, Store } from "./offline.js";
import { listen } from "./wedge.js";

/** @type {Record<string, string>} */
const texts = JSON.parse(find("texts").textContent ?? "{}");
const chinese = document.documentElement.lang.startsWith("zh");
const BASKET_MAX = 1000;
const CLOCK_MINUTES = 3;
const BACK_MS = 60_000;
// How often a screen that lies open looks whether the network is back.

/**
 * @typedef {"in" | "sell" | "out" | "check"} Mode
 * @typedef {{code: string, key: string, word: string, tone: string, off?: boolean}} Child
 * @typedef {{id: string, code: string, text: string, time: string, tone: string, word: string, meaning: string, action: string,
 *   product: string, about: string, count: number, children: Child[], refused?: string}} Row
 * @typedef {{mode: Mode, rows: Row[], fields: Record<string, string>}} Open
 * @typedef {{institution: string, name: string, person: string, sells: boolean}} Identity
 */

/** @returns {HTMLElement} */
function find(/** @type {string} */ id) {
  return /** @type {HTMLElement} */ (document.getElementById(id));
}
const input = (/** @type {string} */ id) => /** @type {HTMLInputElement} */ (find(id));
const dialog = (/** @type {string} */ id) => /** @type {HTMLDialogElement} */ (find(id));
const say = (/** @type {string} */ name, /** @type {unknown[]} */ ...values) => values.reduce((text, value, place) => String(text).replace(`{${place}}`, String(value)), texts[name] ?? name);
const words = (/** @type {any} */ told, /** @type {string} */ name) => (chinese ? told[`${name}_zh`] : told[name]) || told[name] || "";

function make(/** @type {string} */ tag, /** @type {Record<string, string>} */ attributes = {}, /** @type {(Node | string)[]} */ ...inside) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...inside);
  return element;
}

const newId = () => crypto.randomUUID?.() ?? [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
/** Now, by the clock of China. */
const now = () => new Date(Date.now() + 8 * 3600_000).toISOString().replace("Z", "+08:00");
const clock = (/** @type {string} */ moment) => new Date(moment).toLocaleTimeString(chinese ? "zh-CN" : "en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit", timeZone: "Asia/Shanghai" });

// Sound: a pattern each, so that nobody needs to look.

/** @type {Record<string, [number, number, number][]>} */
const PATTERNS = {
  good: [[1320, 0, 0.09]],
  note: [[1320, 0, 0.06], [1320, 0.12, 0.06]],
  duplicate: [[330, 0, 0.12], [330, 0.18, 0.12]],
  warn: [[660, 0, 0.1], [660, 0.16, 0.1], [660, 0.32, 0.1]],
  bad: [[165, 0, 0.7]],
};
/** @type {AudioContext | undefined} */
let audio;
let loud = readSetting("sound") !== "off";

function beep(/** @type {string} */ tone) {
  document.body.dataset.beep = tone;
  if (!loud || typeof AudioContext === "undefined") return;
  audio ??= new AudioContext();
  if (audio.state === "suspended") audio.resume().catch(() => undefined);
  for (const [pitch, after, length] of PATTERNS[tone] ?? PATTERNS.note) {
    const source = audio.createOscillator();
    const volume = audio.createGain();
    source.type = tone === "bad" ? "sawtooth" : "sine";
    source.frequency.value = pitch;
    volume.gain.value = 0.2;
    source.connect(volume).connect(audio.destination);
    source.start(audio.currentTime + after);
    source.stop(audio.currentTime + after + length);
  }
}

function readSetting(/** @type {string} */ name) {
  try { return localStorage.getItem(`desk-${name}`); } catch { return null; }
}
function keepSetting(/** @type {string} */ name, /** @type {string} */ value) {
  try { localStorage.setItem(`desk-${name}`, value); } catch { /* a browser that keeps nothing forgets a choice */ }
}

// State

/** @type {Store | MemoryStore | undefined} */
let store;
/** @type {Identity | undefined} */
let me;
let signedIn = false;
let connected = navigator.onLine;
/** @type {Open} */
let open = { mode: "in", rows: [], fields: {} };
const sender = () => /** @type {Sender} */ (theSender);
/** @type {Sender | undefined} */
let theSender;
/** Writes of the open basket go one after the other: the last one is what stays. */
let writing = Promise.resolve();

const place = () => `open ${me?.institution ?? ""}`;
function keep() {
  const value = structuredClone(open), name = place();
  writing = writing.then(() => store?.keep(name, value)).catch(() => warnStorage());
  return writing;
}
function warnStorage() {
  find("storage").textContent = texts.storage;
  find("storage").classList.remove("hidden");
}

// Scanning

async function scan(/** @type {string} */ raw) {
  const text = raw.replace(/^[\s]+|[\s]+$/g, "");
  if (!text) return;
  dialog("helping").close();
  // A question waits for its answer: the scan is not taken, and not in silence.
  if (dialog("refusing").open) return beep("bad");
  if (!me) return tell("bad", texts.stranger);
  if (open.rows.length >= BASKET_MAX) return tell("bad", texts.full);
  const same = twin(text);
  if (same) return tell("duplicate", texts.duplicate, same.text);
  // It would stand for thousands of boxes: it is never put into a basket.
  if (/^(\](E0|E4))?69\d{11}$/.test(text)) return tell("bad", texts.retail, text);
  /** @type {Row} */
  const row = { id: newId(), code: text, text: text.replaceAll("\x1d", " "), time: now(), tone: "note", word: "", meaning: texts.saved, action: "", product: "", about: "", count: 0, children: [] };
  open.rows.push(row);
  await keep();
  draw();
  const known = await check([row]);
  if (!known) tell(row.tone, row.meaning, row.text);
  else tell(row.tone, row.meaning, [row.product, row.about].filter(Boolean).join(" · ") || row.text, row.action);
}

/** A row of this basket that is the same box, alone or in a carton. */
function twin(/** @type {string} */ text) {
  const bare = plain(text);
  return open.rows.find((row) => plain(row.code) === bare || plain(row.text) === bare || row.children.some((child) => !child.off && plain(child.code) === bare));
}
const plain = (/** @type {string} */ text) => text.replace(/^\][A-Za-z]\d/, "").replace(/[\s()\x1d]/g, "");

/** Ask what speaks against the rows; answers whether anybody knew. @param {Row[]} rows */
async function check(rows) {
  if (!signedIn) return false;
  try {
    const body = JSON.stringify({ codes: rows.map((row) => row.code), delivery: ["in", "check"].includes(open.mode) ? input("delivery").value.trim() : "" });
    const answer = await fetch("/api/v1/desk/check", { method: "POST", headers: { "content-type": "application/json" }, body, signal: AbortSignal.timeout(5000) });
    if (answer.status === 401) { setSigned(false); return false; }
    if (!answer.ok) return false;
    const told = (await answer.json()).codes;
    setConnected(true);
    rows.forEach((row, index) => learn(row, told[index]));
  } catch {
    setConnected(false);
    return false;
  }
  await keep();
  draw();
  return true;
}

/** What was answered about a row. @param {Row} row @param {any} told */
function learn(row, told) {
  Object.assign(row, { text: told.text, word: told.word, tone: told.tone, meaning: words(told, "meaning"), action: words(told, "action"), product: told.product, count: told.count });
  const off = new Set(row.children.filter((child) => child.off).map((child) => child.key));
  // A box that was scanned for itself is not counted again with its carton.
  const alone = new Set(open.rows.filter((other) => other !== row).map((other) => plain(other.text)));
  row.children = told.children.map((/** @type {Child} */ child) => ({ ...child, off: off.has(child.key) || alone.has(plain(child.code)) }));
  const there = told.kind_of_place ? say("sold_there", texts[told.kind_of_place], told.month) : "";
  row.about = [there, ...told.holds, told.lot, told.expiry].filter(Boolean).join(" · ");
  if (told.word === "not_a_code") open.rows = open.rows.filter((other) => other !== row);
  const twinRow = open.rows.find((other) => other !== row && plain(other.text) === plain(row.text));
  if (twinRow) {
    // Two ways of writing one code: only the answer tells.
    open.rows = open.rows.filter((other) => other !== row);
    Object.assign(row, { tone: "duplicate", meaning: texts.duplicate, action: "" });
  }
  if (open.mode === "check" && row.tone === "bad" && row.refused === undefined) row.refused = row.meaning;
}

function tell(/** @type {string} */ tone, /** @type {string} */ word, about = "", next = "") {
  find("latest").dataset.tone = tone;
  find("word").textContent = word;
  find("about").textContent = about;
  find("next").textContent = next;
  beep(tone);
}

// Undo

async function undo() {
  const row = open.rows.pop();
  if (row) {
    await keep();
    draw();
    return tell("note", say("removed", row.text));
  }
  if (!store || !me) return;
  const baskets = (await store.baskets()).filter((one) => one.institution === me?.institution && one.rows.length && one.state !== "failed");
  for (const basket of baskets.reverse()) {
    const last = [...basket.rows].reverse().find((one) => !one.undone && taken(basket, one.id));
    if (!last) continue;
    if (last.kind === "refused") return tell("warn", texts.refusal_stays, last.code);
    const id = newId();
    const body = JSON.stringify({ id, institution: me.institution, undo: [{ id: last.id, kind: last.kind, time: now() }] });
    // First on its way, then marked: a page that is closed in between has taken nothing back that is not.
    await store.put({ id, institution: me.institution, body, state: "queued", made: now(), rows: [], undoes: last.code });
    last.undone = true;
    await store.put(basket);
    tell("note", say("undo_sent", last.code));
    await drawBaskets();
    return sender().drain();
  }
  tell("note", texts.no_undo);
}

/** Whether a scan of a basket was taken, or may yet be. @param {import("./offline.js").Basket} basket @param {string} id */
function taken(basket, id) {
  const result = basket.results?.find((one) => one.id === id);
  return !result || !["malformed", "not_allowed", "key_reused", "first_answer", "duplicate_in_document"].includes(result.status);
}

// Sending

const KINDS = /** @type {const} */ ({ in: "received", sell: "sold", out: "shipped", check: "received" });

async function send() {
  if (!open.rows.length || !store || !me) return tell("note", texts.empty);
  const { mode } = open;
  const value = (/** @type {string} */ id) => input(id).value.trim();
  const said = {
    in: { delivery: value("delivery"), counterparty: value("supplier") },
    check: { delivery: value("delivery"), counterparty: value("supplier") },
    out: { delivery: value("delivery"), counterparty: value("receiver") },
    sell: { visit: value("visit"), receipt: value("receipt") },
  }[mode];
  const scans = open.rows.flatMap((row) => {
    const kind = row.refused ? "refused" : KINDS[mode];
    const reason = row.refused ?? "";
    const missing = row.children.some((child) => child.off);
    // A whole carton is one record; of a partial one each box that is there.
    if (!missing || row.refused) return [{ id: row.id, kind, code: row.code, time: row.time, ...said, reason }];
    return row.children.filter((child) => !child.off).map((child, index) => ({ id: `${row.id}-${index}`, kind, code: child.code, time: row.time, ...said, reason: "" }));
  });
  const id = newId();
  const body = JSON.stringify({ id, institution: me.institution, scans });
  const rows = scans.map((one) => ({ id: one.id, code: open.rows.find((row) => one.id.startsWith(row.id))?.text ?? one.code, kind: one.kind }));
  await writing;
  open = { ...open, rows: [], fields: { ...open.fields, visit: "", receipt: "" } };
  await store.queue({ id, institution: me.institution, body, state: "queued", made: now(), rows }, place(), structuredClone(open));
  input("visit").value = input("receipt").value = "";
  draw();
  tell("note", texts.queued, `${scans.length}`);
  await drawBaskets();
  await sender().drain();
}

// Drawing

const SYMBOLS = /** @type {Record<string, string>} */ ({ good: "✓", note: "·", warn: "!", bad: "✕", duplicate: "=" });

function draw() {
  const boxes = open.rows.reduce((sum, row) => sum + (row.children.length ? row.children.filter((child) => !child.off).length : Math.max(1, row.count)), 0);
  find("count").textContent = String(boxes);
  find("none").classList.toggle("hidden", open.rows.length > 0);
  find("decide").classList.toggle("hidden", open.mode !== "check");
  for (const button of document.querySelectorAll("[data-mode]")) {
    const chosen = /** @type {HTMLElement} */ (button).dataset.mode === open.mode;
    button.setAttribute("aria-checked", String(chosen));
    button.setAttribute("tabindex", chosen ? "0" : "-1");
  }
  for (const one of document.querySelectorAll("[data-for]")) one.classList.toggle("hidden", !/** @type {HTMLElement} */ (one).dataset.for?.split(" ").includes(open.mode));
  const opened = new Set([...document.querySelectorAll("#rows details[open]")].map((one) => /** @type {HTMLElement} */ (one).dataset.row));
  find("rows").replaceChildren(...[...open.rows].reverse().map((row) => drawRow(row, opened.has(row.id))));
}

function drawRow(/** @type {Row} */ row, opened = false) {
  const head = make("div", { class: "head" }, make("span", { class: "mark", "aria-hidden": "true" }, SYMBOLS[row.tone] ?? "·"), make("code", {}, row.text));
  const item = make("li", { "data-tone": row.refused ? "bad" : row.tone }, head);
  const meaning = row.refused ? say("refused", row.refused) : row.meaning;
  item.append(make("p", {}, [meaning, row.product, row.about].filter(Boolean).join(" · ")));
  const acts = make("div", { class: "row" });
  if (open.mode === "check") {
    const decide = make("button", { type: "button" }, row.refused ? texts.accept : texts.refuse);
    decide.addEventListener("click", () => decideOn(row));
    acts.append(decide);
    if (row.refused) acts.append(make("a", { class: "button", href: `/report?code=${encodeURIComponent(row.text)}`, target: "_blank" }, texts.report));
  }
  const remove = make("button", { type: "button", "aria-label": say("remove", row.text) }, "✕");
  remove.addEventListener("click", async () => {
    open.rows = open.rows.filter((one) => one.id !== row.id);
    await keep();
    draw();
    find("code").focus();
  });
  acts.append(remove);
  head.append(acts);
  if (row.children.length) item.append(drawCarton(row, opened));
  return item;
}

/** The boxes of a carton; one that is missing is unticked. @param {Row} row @param {boolean} opened */
function drawCarton(row, opened) {
  const inside = make("details", { "data-row": row.id });
  if (opened) inside.setAttribute("open", "");
  const there = () => say("boxes", row.children.filter((child) => !child.off).length, row.count);
  const title = make("summary", {}, there());
  const list = make("ul", { class: "carton" });
  row.children.forEach((child, index) => {
    const id = `${row.id}-${index}`;
    const tick = /** @type {HTMLInputElement} */ (make("input", { type: "checkbox", id }));
    tick.checked = !child.off;
    tick.addEventListener("change", async () => {
      child.off = !tick.checked;
      title.textContent = there();
      await keep();
      const boxes = find("count");
      draw();
      boxes.textContent = find("count").textContent;
      find(id).focus();
    });
    list.append(make("li", { "data-tone": child.tone }, make("label", { for: id }, tick, make("code", {}, child.code), " ", make("span", { class: "mark", "aria-hidden": "true" }, SYMBOLS[child.tone] ?? "·"))));
  });
  inside.append(title, list);
  return inside;
}

async function drawBaskets() {
  if (!store) return;
  const all = await store.baskets();
  const own = all.filter((one) => one.institution === me?.institution);
  const waiting = own.filter((one) => one.state === "queued");
  const count = waiting.reduce((sum, one) => sum + Math.max(1, one.rows.length), 0);
  find("pending").textContent = count ? say("pending", count) : texts.nothing_pending;
  find("pending").dataset.count = String(count);
  const strangers = all.filter((one) => one.state === "queued" && one.institution !== me?.institution).length;
  find("others").textContent = strangers ? say("other", strangers) : "";
  find("others").classList.toggle("hidden", !strangers);
  const synced = await store.kept("synced");
  find("synced").textContent = synced ? say("synced", clock(synced)) : "";
  const shown = signedIn || !connected ? own : waiting;
  find("nosent").classList.toggle("hidden", shown.length > 0);
  find("baskets").replaceChildren(...shown.reverse().map(drawBasket));
}

function drawBasket(/** @type {import("./offline.js").Basket} */ basket) {
  const results = basket.results ?? [];
  const bad = results.filter((one) => one.tone === "bad");
  const remarks = results.filter((one) => one.tone === "warn");
  const tone = basket.state === "failed" || bad.length ? "bad" : basket.state === "queued" ? "note" : remarks.length ? "warn" : "good";
  const summary = basket.undoes ? say("undo_sent", basket.undoes) : `${basket.rows.length} ${texts.codes}`;
  const state = { queued: texts.queued, sent: texts.sent, failed: texts.failed }[basket.state];
  const item = make("li", { "data-tone": tone, "data-state": basket.state },
    make("p", {}, make("span", { class: "mark", "aria-hidden": "true" }, SYMBOLS[tone]), ` ${clock(basket.made)} · ${summary} · `, make("b", {}, state),
      results.length && !basket.undoes ? ` · ${say("result", results.length - bad.length - remarks.length, remarks.length, bad.length)}` : "", basket.why ? ` ${basket.why}` : ""));
  if (basket.state === "failed") item.append(drawFailed(basket));
  const list = make("ul");
  for (const one of results.filter((found) => found.tone !== "good")) {
    const row = basket.rows.find((scanned) => scanned.id === one.id);
    const line = make("li", { "data-tone": one.tone }, make("code", {}, row?.code ?? basket.undoes ?? one.id), ` ${words(one, "meaning")} ${words(one, "next_action")}`);
    if (one.alert) line.append(" ", make("a", { href: `/institution/conflicts/${encodeURIComponent(one.alert)}` }, texts.conflicts));
    list.append(line);
  }
  for (const row of basket.rows.filter((scanned) => scanned.undone)) list.append(make("li", {}, make("code", {}, row.code), ` ${texts.undone}`));
  if (list.childElementCount) item.append(list);
  return item;
}

/** What was refused as a whole is sent again or given up by a person, never by itself. @param {import("./offline.js").Basket} basket */
function drawFailed(basket) {
  const again = make("button", { type: "button" }, texts.again);
  again.addEventListener("click", async () => {
    await store?.put({ ...basket, state: "queued", why: "" });
    await drawBaskets();
    await sender().drain();
  });
  const give = make("button", { type: "button", class: "bad" }, texts.give_up);
  give.addEventListener("click", async () => {
    await store?.remove(basket);
    await drawBaskets();
  });
  return make("div", { class: "row" }, again, give);
}

// Check before receiving

function decideOn(/** @type {Row | undefined} */ row) {
  if (!row || open.mode !== "check") return;
  find("refusecode").textContent = row.text;
  input("words").value = "";
  const box = dialog("refusing");
  const form = /** @type {HTMLFormElement} */ (find("refuseform"));
  const end = async (/** @type {string | undefined} */ refused, /** @type {string} */ tone) => {
    row.refused = refused ?? "";
    box.close();
    await keep();
    draw();
    tell(tone, refused ? say("refused", refused) : texts.accept, row.text);
  };
  form.onsubmit = (event) => {
    event.preventDefault();
    end([input("reason").value, input("words").value.trim()].filter(Boolean).join(": "), "bad");
  };
  find("accepting").onclick = () => end(undefined, "good");
  find("cancel").onclick = () => box.close();
  box.showModal();
}

// Connection

function setConnected(/** @type {boolean} */ on) {
  connected = on;
  drawState();
}
function setSigned(/** @type {boolean} */ on) {
  signedIn = on;
  drawState();
}
function drawState() {
  const state = !connected ? "offline" : signedIn ? "online" : me ? "signed_out" : "stranger";
  find("network").textContent = texts[state];
  document.body.dataset.network = state;
  find("again").classList.toggle("hidden", !connected || signedIn);
}

/** Scans carry this device's time: one that runs wrong is told, for nobody else would see it. @param {string | null} there */
function compareClocks(there) {
  const apart = there ? Math.round((Date.now() - Date.parse(there)) / 60_000) : 0;
  find("clock").textContent = apart ? say("clock", Math.abs(apart)) : "";
  find("clock").classList.toggle("hidden", Math.abs(apart) < CLOCK_MINUTES);
}

/** Who is signed in; without a network, who was. */
async function identify() {
  try {
    const answer = await fetch("/api/v1/desk/me", { signal: AbortSignal.timeout(5000) });
    setConnected(true);
    compareClocks(answer.headers.get("date"));
    if (answer.ok) {
      const found = await answer.json();
      if (me && me.institution !== found.institution) await store?.forget(0);
      me = found;
      await store?.keep("me", me);
      setSigned(true);
    } else {
      setSigned(false);
      // Nobody is signed in: what was sent is no longer shown or kept. What waits is kept.
      await store?.forget(0);
    }
  } catch {
    setConnected(false);
  }
  find("who").textContent = me ? me.name || me.institution : "";
  document.querySelector('[data-mode="sell"]')?.classList.toggle("hidden", me?.sells === false);
}

async function look() {
  const before = me?.institution;
  await identify();
  if (before !== me?.institution) await load();
  if (signedIn) {
    const unknown = open.rows.filter((row) => !row.word);
    if (unknown.length) await check(unknown.slice(0, 200));
    await sender().drain();
  }
  await drawBaskets();
}

/** The basket that was open when this page was left. */
async function load() {
  const kept = await store?.kept(place()).catch(() => undefined);
  open = kept ?? { mode: "in", rows: [], fields: {} };
  for (const id of FIELDS) input(id).value = open.fields[id] ?? "";
  draw();
}
const FIELDS = ["delivery", "supplier", "receiver", "visit", "receipt"];

// Wiring

function choose(/** @type {Mode} */ mode) {
  const button = document.querySelector(`[data-mode="${mode}"]`);
  if (!button || button.classList.contains("hidden")) return;
  open.mode = mode;
  keep();
  draw();
}

function showHelp() {
  if (!dialog("helping").open) dialog("helping").showModal();
}

/** @type {Record<string, () => void>} */
const KEYS = {
  F1: showHelp,
  F2: () => choose("in"),
  F3: () => choose("sell"),
  F4: () => choose("out"),
  F6: () => choose("check"),
  F7: () => decideOn(open.rows.at(-1)),
  F8: () => { undo(); },
  F9: () => { send(); },
};

function onKey(/** @type {KeyboardEvent} */ event) {
  const act = KEYS[event.key];
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  if (act) {
    event.preventDefault();
    if (!document.querySelector("dialog[open]")) act();
  } else if (event.key === "?" && !(event.target instanceof HTMLInputElement || event.target instanceof HTMLTextAreaElement)) {
    // A scanner may type it within a code: only alone it asks for help.
    let alone = true;
    const other = () => { alone = false; };
    document.addEventListener("keydown", other, { once: true });
    setTimeout(() => {
      document.removeEventListener("keydown", other);
      if (alone) showHelp();
    }, 250);
  }
}

function wire() {
  listen((text) => { scan(text); });
  document.addEventListener("keydown", onKey);
  find("typing").addEventListener("submit", (event) => {
    event.preventDefault();
    const typed = input("code").value;
    input("code").value = "";
    scan(typed);
  });
  for (const button of document.querySelectorAll("button[data-mode]")) button.addEventListener("click", () => choose(/** @type {Mode} */ (/** @type {HTMLElement} */ (button).dataset.mode)));
  document.querySelector(".modes")?.addEventListener("keydown", (event) => {
    const step = /** @type {Record<string, number>} */ ({ ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 })[/** @type {KeyboardEvent} */ (event).key];
    if (!step) return;
    event.preventDefault();
    const all = /** @type {HTMLElement[]} */ ([...document.querySelectorAll("button[data-mode]:not(.hidden)")]);
    const next = all[(all.findIndex((one) => one.dataset.mode === open.mode) + step + all.length) % all.length];
    choose(/** @type {Mode} */ (next.dataset.mode));
    next.focus();
  });
  for (const id of FIELDS) input(id).addEventListener("input", () => { open.fields[id] = input(id).value; keep(); });
  find("send").addEventListener("click", () => { send(); });
  find("undo").addEventListener("click", () => { undo(); });
  find("decide").addEventListener("click", () => decideOn(open.rows.at(-1)));
  find("help").addEventListener("click", showHelp);
  for (const button of document.querySelectorAll(".signals button")) button.addEventListener("click", () => beep(/** @type {HTMLElement} */ (button).dataset.tone ?? "good"));
  const sound = find("sound");
  const drawSound = () => { sound.textContent = loud ? texts.sound_on : texts.sound_off; sound.setAttribute("aria-pressed", String(loud)); };
  sound.addEventListener("click", () => { loud = !loud; keepSetting("sound", loud ? "on" : "off"); drawSound(); });
  drawSound();
  window.addEventListener("online", () => { look(); });
  window.addEventListener("offline", () => setConnected(false));
  document.addEventListener("visibilitychange", () => { if (!document.hidden) look(); });
  setInterval(() => { if (!document.hidden) look(); }, BACK_MS);
}

/** A link from the list of codes to follow says which visit is handed out. */
function follow(/** @type {URLSearchParams} */ wish) {
  const mode = wish.get("mode");
  if (mode) choose(/** @type {Mode} */ (mode));
  const visit = wish.get("visit");
  if (visit) input("visit").value = open.fields.visit = visit;
  if (visit) keep();
}

async function start() {
  try {
    store = await Store.open();
    me = await store.kept("me");
  } catch {
    warnStorage();
    store = new MemoryStore();
  }
  theSender = new Sender(store, () => (signedIn ? me?.institution ?? "" : ""), (event) => {
    if (event === "signed_out") setSigned(false);
    else if (event === "changed") drawBaskets();
    else setConnected(event === "online");
  });
  find("who").textContent = me ? me.name || me.institution : "";
  await load();
  wire();
  follow(new URLSearchParams(location.search));
  document.body.dataset.ready = "yes";
  navigator.serviceWorker?.register("/scan/worker.js", { scope: "/scan" }).catch(() => undefined);
  await look();
  drawState();
}

start();
