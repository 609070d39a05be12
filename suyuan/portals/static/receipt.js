// @ts-check
// A receipt is checked here, on the reader's device: Ed25519 by the browser itself, with the node's public key in the page.
// Its layout is that of suyuan/lookup/receipt.py; docs/receipts.md describes it byte by byte.

document.documentElement.classList.add("scripted");

const find = (/** @type {string} */ id) => /** @type {HTMLElement} */ (document.getElementById(id));
const texts = JSON.parse(find("texts").textContent ?? "{}");
const node = JSON.parse(find("node").textContent ?? "{}");
const CONTEXT = new TextEncoder().encode("suyuan receipt\0");
const [VERSION, SIGNATURE, NAME, MARK, SALT, ID, SPLIT] = [1, 64, 4, 8, 8, 8, 4];
const REVERSED = ["none", "part", "all"];
const ANSWER_MS = 5000;

/** Words with their values filled in: `{0}`, `{1}`. */
const fill = (/** @type {string} */ words, /** @type {unknown[]} */ ...values) =>
  words.replace(/\{(\d)\}/g, (_, place) => String(values[place]));

const hex = (/** @type {Uint8Array} */ bytes) => [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");

const digest = async (/** @type {Uint8Array} */ bytes) =>
  new Uint8Array(await crypto.subtle.digest("SHA-256", /** @type {BufferSource} */ (bytes)));

/** @returns {Uint8Array | null} The bytes of a token of decimal digits; null for any other text. */
function bytesOf(/** @type {string} */ text) {
  const digits = text.replace(/\s/g, "");
  if (!/^\d{150,1200}$/.test(digits)) return null;
  let number = BigInt(digits).toString(16);
  if (number.length % 2) number = "0" + number;
  return Uint8Array.from(number.match(/../g) ?? [], (pair) => parseInt(pair, 16));
}

/** Fields of a token whose signature was found right: it is whole. */
function unpacked(/** @type {Uint8Array} */ body) {
  let at = 0;
  const take = (/** @type {number} */ count) => body.subarray(at, (at += count));
  const number = (/** @type {number} */ count) => take(count).reduce((sum, byte) => sum * 256 + byte, 0);
  const text = () => new TextDecoder().decode(take(number(1)));
  if (number(1) !== VERSION) return null;
  take(NAME);
  const flags = number(1);
  const id = hex(take(ID));
  const [institution, name, signer] = [text(), text(), text()];
  const [sold, issued] = [number(4), number(4)];
  const position = hex(take(number(1)));
  const [salt, reference] = [take(SALT), hex(take(MARK))];
  const [boxes, lines, part, parts, count] = [number(2), number(2), number(1), number(1), number(1)];
  const marks = Array.from({ length: count }, () => hex(take(MARK)));
  return { id, institution, name, signer, sold, issued, position, salt, reference, boxes, lines, part, parts, marks, reversed: REVERSED[flags & 3], split: Boolean(flags & SPLIT) };
}

/** @typedef {NonNullable<ReturnType<typeof unpacked>>} Token */

class Wrong extends Error {}

/** The token in a text, if this node signed it; else Wrong: unreadable, altered, another_node, unable. */
async function opened(/** @type {string} */ text) {
  const raw = bytesOf(text);
  if (!raw || raw.length <= SIGNATURE + NAME + 1) throw new Wrong("unreadable");
  const [body, signature] = [raw.subarray(0, -SIGNATURE), raw.subarray(-SIGNATURE)];
  const message = new Uint8Array([...CONTEXT, ...body]);
  let ours = false;
  // The key that signs may have been replaced since: receipts of the earlier ones stay good.
  for (const text of node.public.split(" ")) {
    const key = Uint8Array.from(atob(text), (sign) => sign.charCodeAt(0));
    let right = false;
    try {
      const known = await crypto.subtle.importKey("raw", key, { name: "Ed25519" }, false, ["verify"]);
      right = await crypto.subtle.verify("Ed25519", known, /** @type {BufferSource} */ (signature), message);
    } catch {
      throw new Wrong("unable");
    }
    const token = right ? unpacked(body) : null;
    if (token) return token;
    ours = ours || hex((await digest(key)).subarray(0, NAME)) === hex(body.subarray(1, 1 + NAME));
  }
  throw new Wrong(ours || body[0] !== VERSION ? "altered" : "another_node");
}

async function mark(/** @type {Uint8Array} */ salt, /** @type {string} */ what, /** @type {string} */ text) {
  const bytes = new TextEncoder().encode(`${what}:${text}`);
  return hex((await digest(new Uint8Array([...salt, ...bytes]))).subarray(0, MARK));
}

/** Keys under which the platform files a code, for the kinds that can be read here; empty for others. */
function keysOf(/** @type {string} */ typed) {
  const text = typed.normalize("NFKC").trim().replace(/^\][A-Za-z]\d/, "");
  const digits = text.replace(/[\s-]/g, "");
  if (/^\d{20}$/.test(digits)) return digits.startsWith("00") ? [`sscc:${digits.slice(2)}`] : [`trace20:${digits}`];
  const link = /\/01\/(\d{14})(?:\/[^?#]*)?\/21\/([^/?#]+)/.exec(text);
  if (link) return [`gs1:${link[1]}:${decodeURIComponent(link[2])}`];
  const bracketed = /^\(01\)(\d{14})/.exec(text);
  const serial = /\(21\)([^(]+)/.exec(text);
  if (bracketed && serial) return [`gs1:${bracketed[1]}:${serial[1].trim()}`];
  return elements(text);
}

/** GS1 elements without brackets: 01, then dates, lot and serial; GS stands after what varies in length. */
function elements(/** @type {string} */ text) {
  const head = /^(?:01)(\d{14})/.exec(text);
  if (!head) return [];
  let rest = text.slice(head[0].length).replace(/^\x1d/, "");
  while (rest) {
    const dated = /^(?:11|13|15|17)\d{6}\x1d?/.exec(rest);
    const varying = /^(10|21)([^\x1d]{1,20})(?:\x1d|$)/.exec(rest);
    if (varying?.[1] === "21") return [`gs1:${head[1]}:${varying[2]}`];
    if (!dated && !varying) return [];
    rest = rest.slice((dated ?? /** @type {RegExpExecArray} */ (varying))[0].length);
  }
  return [];
}

const time = (/** @type {number} */ seconds) =>
  new Intl.DateTimeFormat(document.documentElement.lang, { dateStyle: "long", timeStyle: "short", timeZone: "Asia/Shanghai" }).format(seconds * 1000);

function show(/** @type {string} */ tone, /** @type {string} */ title, /** @type {string} */ advice, /** @type {[string, string][]} */ facts) {
  const verdict = find("verdict");
  verdict.className = `verdict ${tone}`;
  verdict.hidden = false;
  find("title").textContent = title;
  find("advice").textContent = advice;
  find("advice").hidden = !advice;
  find("standing").hidden = true;
  find("facts").replaceChildren(
    ...facts.filter(([, value]) => value).map(([name, value]) => {
      const row = document.createElement("div");
      const term = document.createElement("dt");
      const told = document.createElement("dd");
      [term.textContent, told.textContent] = [name, value];
      row.append(term, told);
      return row;
    }),
  );
}

const factsOf = (/** @type {Token} */ token) => /** @type {[string, string][]} */ ([
  [texts.soldBy, [...new Set([token.name, token.institution])].join(" ").trim()],
  [texts.soldAt, time(token.sold)],
  [texts.boxes, String(token.boxes) + (token.split ? ` (${texts.split})` : "")],
  [texts.lines, token.lines ? String(token.lines) : ""],
  [texts.thisCode, token.parts > 1 ? fill(texts.part, token.part, token.parts) : ""],
  [texts.back, texts[`back_${token.reversed}`]],
  [texts.madeAt, time(token.issued)],
  [texts.madeBy, token.signer],
  [texts.position, BigInt(`0x${token.position || "0"}`).toString()],
]);

function tell(/** @type {string} */ tone, /** @type {string} */ words) {
  const place = find("standing");
  place.className = `standing ${tone}`;
  place.textContent = words;
  place.hidden = false;
  if (tone === "bad" || tone === "warn") find("verdict").className = `verdict ${tone}`;
}

/** Ask, where there is a network, whether the sale was given back since; without one, say that it was not asked. */
async function ask(/** @type {Token} */ token) {
  tell("", texts.asking);
  try {
    const query = new URLSearchParams({ institution: token.institution, id: token.id });
    const answer = await fetch(`/api/v1/receipts/status?${query}`, { signal: AbortSignal.timeout(ANSWER_MS) });
    if (current !== token) return;
    if (answer.status === 404) return tell("warn", texts.lost);
    if (!answer.ok) return tell("", texts.offline);
    const { reversed, at } = await answer.json();
    const [tone, words] = texts[`standing_${reversed}`];
    tell(tone, `${words} (${fill(texts.asOf, time(Date.parse(at) / 1000))})`);
  } catch {
    if (current === token) tell("", texts.offline);
  }
}

/** @type {Token | null} */
let current = null;

async function look() {
  const text = location.hash.slice(1);
  if (!text) return;
  current = null;
  find("ask").hidden = true;
  find("on").textContent = "";
  find("hint").hidden = true;
  /** @type {HTMLTextAreaElement} */ (find("token")).value = text;
  try {
    const token = (current = await opened(text));
    show("good", texts.title, "", factsOf(token));
    find("ask").hidden = false;
    await ask(token);
  } catch (error) {
    if (!(error instanceof Wrong)) throw error;
    if (error.message === "unable") {
      show("", texts.unable, "", []);
      /** @type {HTMLDetailsElement} */ (find("by-hand")).open = true;
      return;
    }
    const [title, advice] = texts[`wrong_${error.message}`];
    show("bad", title, advice, []);
  }
}

async function askAboutBox() {
  const typed = /** @type {HTMLInputElement} */ (find("box")).value.trim();
  const token = current;
  if (!token) return;
  const say = (/** @type {string[]} */ [tone, words]) => {
    find("on").className = `on ${tone}`;
    find("on").textContent = words;
  };
  find("proof").hidden = true;
  if (!typed) return say(["warn", texts.empty]);
  const keys = keysOf(typed);
  const marks = await Promise.all(keys.map((key) => mark(token.salt, "box", key)));
  if (marks.some((one) => token.marks.includes(one))) {
    /** @type {HTMLAnchorElement} */ (find("proof").firstElementChild).href = `/proof?code=${encodeURIComponent(typed)}`;
    find("proof").hidden = false;
    return say(texts.on_box);
  }
  if ((await mark(token.salt, "reference", typed)) === token.reference) return say(texts.on_reference);
  if (keys.length) return say(texts[token.parts > 1 ? "on_part" : "on_none"]);
  /** @type {HTMLInputElement} */ (find("code")).value = typed;
  /** @type {HTMLDetailsElement} */ (find("by-hand")).open = true;
  return say(["warn", texts.otherKind]);
}

find("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  askAboutBox();
});
window.addEventListener("hashchange", look);
look();

/** Keep this page and what it needs for the time without a network. */
async function keep() {
  if (!("serviceWorker" in navigator)) return;
  await navigator.serviceWorker.register("/receipt-worker.js", { scope: "/receipt" });
  const parts = [...document.querySelectorAll("link[rel=stylesheet], link[rel=icon], script[src]")];
  const files = parts.map((part) => part.getAttribute("href") ?? part.getAttribute("src") ?? "");
  const kept = await caches.open("receipt");
  for (const old of await kept.keys()) {
    const address = new URL(old.url);
    if (address.pathname !== "/receipt" && !files.includes(address.pathname + address.search)) await kept.delete(old);
  }
  // Whoever is signed in is not kept: the next reader of this device may be somebody else.
  const credentials = document.querySelector('a[href="/account"]') ? "omit" : "same-origin";
  await kept.addAll([new Request("/receipt", { credentials }), ...files]);
  await navigator.serviceWorker.ready;
  find("offline").textContent = texts.ready;
}

// Storage that a private window refuses, or no network: the page checks all the same, it is only not kept.
keep().catch(() => {});
