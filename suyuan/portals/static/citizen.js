// @ts-check
// The citizen's pages: help while typing, own history on this device, sharing; the scanner is fetched when it is asked for.

const find = (/** @type {string} */ id) => document.getElementById(id);
const texts = JSON.parse(find("texts")?.textContent ?? "{}");
const KEPT = "suyuan.checks";
const KEPT_MAX = 20;

document.documentElement.classList.add("scripted");

/** Words with their numbers filled in: `{0}`, `{1}`. */
const fill = (/** @type {string} */ words, /** @type {unknown[]} */ ...values) =>
  words.replace(/\{(\d)\}/g, (_, place) => String(values[place]));

// Typing: digits stand in groups of four, and the count says how many are missing.

const LENGTH = 20;

/** @returns {[string, string]} What the count says, and its tone. */
function counted(/** @type {string} */ text) {
  const digits = text.replace(/[\s-]/g, "");
  if (!digits) return [texts.empty, ""];
  if (/^69\d{11}$/.test(digits)) return [texts.retail, "warn"];
  if (!/^\d+$/.test(digits)) {
    const letters = digits.replace(/\d/g, "");
    return digits.length <= LENGTH + 2 && letters.length < digits.length / 2 && !/^\(?01/.test(digits)
      ? [fill(texts.letters, [...new Set(letters)].join(" ")), "warn"]
      : [texts.other, ""];
  }
  if (digits.length < LENGTH) return [fill(texts.short, digits.length, LENGTH - digits.length), ""];
  if (digits.length > LENGTH) return [fill(texts.long, digits.length, digits.length - LENGTH), "warn"];
  return digits[0] === "8" ? [texts.complete, "good"] : [texts.eight, "warn"];
}

/** Dictated digits come as words or in full width: all become plain ones, without gaps. */
function spoken(/** @type {string} */ text) {
  return text
    .replace(/[零〇一二三四五六七八九幺两]/g, (word) => "0012345678912"["零〇一二三四五六七八九幺两".indexOf(word)])
    .replace(/[０-９]/g, (digit) => String(digit.charCodeAt(0) - 0xff10))
    .replace(/[\s，,。.]/g, "");
}

function helpTyping(/** @type {HTMLInputElement} */ field, /** @type {HTMLElement} */ count) {
  let told = 0;
  const tell = () => {
    const [words, tone] = counted(field.value);
    count.textContent = words;
    count.className = `hint ${tone}`;
  };
  const group = (/** @type {Event} */ event) => {
    if (/** @type {InputEvent} */ (event).isComposing) return;
    const before = spoken(field.value.slice(0, field.selectionStart ?? 0)).length;
    const plain = spoken(field.value);
    if (/^\d{1,24}$/.test(plain)) {
      field.value = plain.replace(/(\d{4})(?=\d)/g, "$1 ");
      const place = before + Math.max(0, Math.floor((before - 1) / 4));
      field.setSelectionRange(place, place);
    }
    // A reader's voice says the count once the hand rests, not at each key.
    clearTimeout(told);
    told = setTimeout(tell, 250);
  };
  field.addEventListener("input", group);
  field.addEventListener("compositionend", group);
  find("letters")?.addEventListener("click", (event) => {
    const on = field.inputMode !== "text";
    field.inputMode = on ? "text" : "numeric";
    /** @type {HTMLElement} */ (event.currentTarget).setAttribute("aria-pressed", String(on));
    field.focus();
  });
}

// What was looked up stays on this device, and can be cleared.

function kept() {
  try {
    const list = JSON.parse(localStorage.getItem(KEPT) ?? "[]");
    return Array.isArray(list) ? list : [];
  } catch {
    return [];
  }
}

function keep(/** @type {HTMLElement} */ answer) {
  const { code, title, product } = answer.dataset;
  if (!code) return;
  const others = kept().filter((one) => one.code !== code);
  try {
    localStorage.setItem(KEPT, JSON.stringify([{ code, title, product, at: Date.now() }, ...others].slice(0, KEPT_MAX)));
  } catch {
    // A private window keeps nothing, and that is as it should be.
  }
}

function showKept(/** @type {HTMLElement} */ history) {
  const list = history.querySelector("ul");
  const entries = kept();
  history.hidden = entries.length === 0;
  list?.replaceChildren(
    ...entries.map((one) => {
      const link = document.createElement("a");
      link.className = "button";
      link.href = `/check?code=${encodeURIComponent(one.code)}`;
      const code = document.createElement("code");
      code.textContent = one.code;
      const words = document.createElement("span");
      words.textContent = [one.product, one.title, new Date(one.at).toLocaleDateString(document.documentElement.lang)].filter(Boolean).join(" · ");
      link.append(code, words);
      const item = document.createElement("li");
      item.append(link);
      return item;
    }),
  );
}

async function share() {
  const address = location.origin + "/check?code=" + encodeURIComponent(find("answer")?.dataset.code ?? "");
  try {
    if (navigator.share) await navigator.share({ title: document.title, url: address });
    else {
      await navigator.clipboard.writeText(address);
      say(texts.copied);
    }
  } catch (error) {
    if (/** @type {Error} */ (error).name !== "AbortError") say(address);
  }
}

function say(/** @type {string} */ words) {
  const place = find("shared");
  if (place) place.textContent = words;
}

const field = /** @type {HTMLInputElement | null} */ (find("code"));
const count = find("count");
if (field && count) helpTyping(field, count);

const answer = find("answer");
if (answer) keep(answer);
find("share")?.addEventListener("click", share);
find("print")?.addEventListener("click", () => window.print());

const lookedUp = find("history");
if (lookedUp) {
  showKept(lookedUp);
  find("clear")?.addEventListener("click", () => {
    localStorage.removeItem(KEPT);
    showKept(lookedUp);
    field?.focus();
  });
}

const camera = find("camera");
if (camera) {
  const scanner = async () => {
    try {
      return await import(/** @type {string} */ (camera.dataset.scanner));
    } catch (error) {
      // The network went away since the page came.
      const status = /** @type {HTMLElement} */ (find("reading"));
      status.hidden = false;
      status.textContent = texts.failed;
      throw error;
    }
  };
  camera.addEventListener("click", async () => (await scanner()).openCamera(camera.dataset, texts));
  const photo = /** @type {HTMLInputElement} */ (find("photo"));
  photo.addEventListener("change", async () => {
    const [file] = photo.files ?? [];
    if (file) await (await scanner()).readPhoto(file, camera.dataset, texts);
  });
}
