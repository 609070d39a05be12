// @ts-check
// A proof is checked here, on the reader's device: SHA-256 and Ed25519 by the browser, with the node's public keys in
// the page. The same steps as suyuan/proof/verifier.py; docs/proof.md describes the format.

document.documentElement.classList.add("scripted");

const find = (/** @type {string} */ id) => /** @type {HTMLElement} */ (document.getElementById(id));
const texts = JSON.parse(find("texts").textContent ?? "{}");
const node = JSON.parse(find("node").textContent ?? "{}");
const FILE_MAX = 4_000_000;
const encoder = new TextEncoder();

/** What was given does not prove what it should; the message is the part that was altered. */
class Wrong extends Error {}
/** This browser has no Ed25519. */
class Unable extends Error {}

const hex = (/** @type {Uint8Array} */ bytes) => [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
const unhex = (/** @type {string} */ text) => Uint8Array.from(text.match(/../g) ?? [], (pair) => parseInt(pair, 16));
const unbase = (/** @type {string} */ text) => Uint8Array.from(atob(text), (sign) => sign.charCodeAt(0));

const sha256 = async (/** @type {(number[] | Uint8Array)[]} */ ...parts) =>
  new Uint8Array(await crypto.subtle.digest("SHA-256", new Uint8Array(parts.flatMap((part) => [...part]))));
const leafHash = (/** @type {string} */ text) => sha256([0], encoder.encode(text));
const nodeHash = (/** @type {Uint8Array} */ left, /** @type {Uint8Array} */ right) => sha256([1], left, right);

/** Whether a leaf stands at `index` in the tree of `size` leaves with this root (RFC 9162, 2.1.3.2). */
async function included(/** @type {Uint8Array} */ leaf, /** @type {number} */ index, /** @type {number} */ size, /** @type {string[]} */ path, /** @type {string} */ root) {
  if (!Number.isInteger(index) || index < 0 || index >= size) return false;
  let [place, last, found] = [index, size - 1, leaf];
  const half = (/** @type {number} */ number) => Math.floor(number / 2);
  for (const step of path) {
    if (!/^[0-9a-f]{64}$/.test(step) || !last) return false;
    const sibling = unhex(step);
    if (place % 2 || place === last) {
      found = await nodeHash(sibling, found);
      while (!(place % 2) && place) [place, last] = [half(place), half(last)];
    } else {
      found = await nodeHash(found, sibling);
    }
    [place, last] = [half(place), half(last)];
  }
  return !last && hex(found) === root;
}

/** The lines of a signed note, if one of this node's keys has signed it; else Wrong. */
async function noted(/** @type {string[]} */ lines, /** @type {string} */ part) {
  const blank = lines.lastIndexOf("");
  if (blank < 1) throw new Wrong(part);
  const body = lines.slice(0, blank);
  const text = encoder.encode(body.join("\n") + "\n");
  for (const line of lines.slice(blank + 1)) {
    const [dash, name, encoded] = line.split(" ");
    if (dash !== "\u2014" || name !== body[0]) throw new Wrong(part);
    const raw = unbase(encoded);
    for (const key of node.keys) {
      const id = (await sha256(encoder.encode(name + "\n"), [1], unhex(key))).subarray(0, 4);
      if (hex(id) === hex(raw.subarray(0, 4)) && (await signed(unhex(key), text, raw.subarray(4)))) return body;
    }
  }
  throw new Wrong(part);
}

async function signed(/** @type {Uint8Array} */ key, /** @type {Uint8Array} */ text, /** @type {Uint8Array} */ signature) {
  let known;
  try {
    known = await crypto.subtle.importKey("raw", /** @type {BufferSource} */ (key), { name: "Ed25519" }, false, ["verify"]);
  } catch {
    throw new Unable();
  }
  return crypto.subtle.verify("Ed25519", known, /** @type {BufferSource} */ (signature), /** @type {BufferSource} */ (text));
}

/** What a proof proves: its records and promises, and the checkpoint; throws Wrong with the part that was altered. */
async function verified(/** @type {any} */ told) {
  if (told?.["suyuan proof"] !== 1) throw new Wrong("file");
  const promises = [];
  for (const [number, lines] of (told.promises ?? []).entries()) {
    const body = await noted(lines, `promises[${number}]`);
    if (body.length !== 4 || body[1] !== "promise") throw new Wrong(`promises[${number}]`);
    promises.push([...JSON.parse(body[2]), body[3].replace("by ", "")]);
  }
  if (!told.records && promises.length) return { records: [], promises, segments: 0, events: "" };
  const body = await noted(told.checkpoint ?? [], "checkpoint");
  const [segments, root] = [Number(body[1]), hex(unbase(body[2]))];
  const [records, seen] = [/** @type {any[]} */ ([]), new Set()];
  for (const [number, record] of (told.records ?? []).entries()) {
    const part = `records[${number}]`;
    const segment = JSON.parse(record.segment);
    if (segment[0] !== "suyuan segment 1" || !(await included(await leafHash(record.segment), segment[1], segments, record.segment_path, root)))
      throw new Wrong(`${part}.segment`);
    if (!(await included(await leafHash(record.leaf), record.index, segment[3], record.path, segment[4])))
      throw new Wrong(`${part}.leaf`);
    const leaf = JSON.parse(record.leaf);
    if (leaf[0] !== "suyuan leaf 1") throw new Wrong(`${part}.leaf`);
    if (seen.has(`${segment[1]}/${record.index}`)) throw new Wrong(part);
    seen.add(`${segment[1]}/${record.index}`);
    records.push(leaf.slice(1, 7));
  }
  if (!records.length) throw new Wrong("records");
  return { records, promises, segments, events: body[3].replace("events ", "") };
}

const time = (/** @type {number} */ microseconds) =>
  new Intl.DateTimeFormat(document.documentElement.lang, { dateStyle: "long", timeStyle: "short", timeZone: "Asia/Shanghai" }).format(microseconds / 1000);

function show(/** @type {string} */ tone, /** @type {string} */ title, /** @type {string[]} */ lines) {
  find("here").className = `on ${tone}`;
  find("here-title").textContent = title;
  find("here-lines").replaceChildren(
    ...lines.map((line) => Object.assign(document.createElement("li"), { textContent: line })),
  );
}

const inWords = (/** @type {any[]} */ [what, key, happened, arrived, actor, region]) =>
  `${texts[what] ?? texts.other}: ${key.replace(/^trace20:/, "")}, ${time(happened)}, ${actor ? `${actor} · ${region}` : texts.hidden} (${texts.recorded} ${time(arrived)})`;

async function look(/** @type {() => any} */ read) {
  show("", texts.checking, []);
  try {
    const { records, promises, segments, events } = await verified(read());
    const lines = [...records.map(inWords), ...promises.map((each) => `${inWords(each)} — ${texts.by} ${time(Date.parse(each[6]) * 1000)}`)];
    if (segments) lines.push(`${texts.checkpoint}: ${segments} ${texts.segments}, ${events} ${texts.events}`);
    show("good", records.length ? texts.proven : texts.promised, lines);
  } catch (error) {
    if (error instanceof Unable) return show("warn", texts.unable, []);
    const part = error instanceof Wrong ? error.message : "file";
    show("bad", texts.altered, [`${texts.part}: ${part}`]);
  }
}

/** A file as it was made can be written in one way only: no byte of it changes unseen. */
function parsed(/** @type {string} */ text) {
  const told = JSON.parse(text);
  if (JSON.stringify(told, null, 1) + "\n" !== text) throw new Wrong("file");
  return told;
}

const chooser = /** @type {HTMLInputElement} */ (find("file"));
chooser.addEventListener("change", async () => {
  const file = chooser.files?.[0];
  if (!file) return;
  const text = file.size > FILE_MAX ? "" : await file.text();
  await look(() => parsed(text));
  find("here").scrollIntoView({ block: "nearest" });
});

const given = JSON.parse(find("given").textContent ?? "null");
if (given) look(() => given);
