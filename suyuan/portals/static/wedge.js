// @ts-check
// A scanner that types (扫码枪): reads it whatever has the focus, keeps the group separator, tells it from a person.

const GS = "\x1d";
const CHARACTERS_MIN = 10;
const MS_PER_CHARACTER = 50;
// Ten characters within half a second: no person types so fast.
const PAUSE_MS = 500;
// A longer pause begins a new text; a slow scanner or a busy machine may falter for less.

/** What is typed on a key while an input method takes the keys for itself: scanners type letters, digits and signs. */
const SIGNS = {
  Minus: "-_", Equal: "=+", BracketLeft: "[{", BracketRight: "]}", Backslash: "\\|", Semicolon: ";:", Quote: "'\"",
  Comma: ",<", Period: ".>", Slash: "/?", Backquote: "`~", Space: "  ",
};
const UPPER_DIGITS = ")!@#$%^&*(";

/** @param {KeyboardEvent} event */
function physical(event) {
  const { code, shiftKey } = event;
  if (/^Key[A-Z]$/.test(code)) {
    const upper = shiftKey !== event.getModifierState("CapsLock");
    return upper ? code[3] : code[3].toLowerCase();
  }
  if (/^Digit\d$/.test(code)) return shiftKey ? UPPER_DIGITS[Number(code[5])] : code[5];
  if (/^Numpad\d$/.test(code)) return code[6];
  const pair = SIGNS[/** @type {keyof typeof SIGNS} */ (code)];
  return pair ? pair[shiftKey ? 1 : 0] : "";
}

/** @param {EventTarget | null} target @returns {HTMLInputElement | HTMLTextAreaElement | null} */
function field(target) {
  if (target instanceof HTMLTextAreaElement) return target;
  return target instanceof HTMLInputElement && !["checkbox", "radio", "button", "submit", "file"].includes(target.type) ? target : null;
}

/** Call `scanned` with each text that a machine typed and ended with Enter or Tab. Answers how to stop. */
export function listen(/** @type {(text: string) => void} */ scanned) {
  let text = "";
  let first = 0;
  let last = 0;
  let alt = "";
  /** @type {{field: HTMLInputElement | HTMLTextAreaElement, value: string} | null} */
  let before = null;

  const add = (/** @type {string} */ character, /** @type {KeyboardEvent} */ event) => {
    if (event.timeStamp - last > PAUSE_MS) text = "";
    if (!text) {
      first = event.timeStamp;
      const at = field(event.target);
      before = at && { field: at, value: at.value };
    }
    text += character;
    last = event.timeStamp;
  };
  const isMachine = () => text.length >= CHARACTERS_MIN && last - first <= text.length * MS_PER_CHARACTER;

  const down = (/** @type {KeyboardEvent} */ event) => {
    if (event.ctrlKey && (event.key === "]" || event.code === "BracketRight")) {
      event.preventDefault();
      add(GS, event);
    } else if (event.altKey && /^Numpad\d$/.test(event.code)) {
      alt += event.code[6];
      event.preventDefault();
    } else if (event.key === "Enter" || event.key === "Tab" || (event.key === "Process" && event.code === "Enter")) {
      end(event);
    } else if (!event.ctrlKey && !event.metaKey && !event.altKey) {
      const character = event.key === "Process" || event.isComposing ? physical(event) : event.key.length === 1 ? event.key : "";
      if (!character) return;
      add(character, event);
      // In the middle of a scan a blank must not press a button, nor a quick search open.
      if (!field(event.target) && text.length > 2) event.preventDefault();
    }
  };

  const end = (/** @type {KeyboardEvent} */ event) => {
    const late = event.timeStamp - last > PAUSE_MS;
    if (!late && isMachine()) {
      event.preventDefault();
      event.stopPropagation();
      const found = text;
      if (before) {
        const { field: at, value } = before;
        at.value = value;
        // An input method writes what it composed a moment later.
        setTimeout(() => { at.value = value; }, 30);
      }
      text = "";
      scanned(found);
    }
    text = "";
  };

  const up = (/** @type {KeyboardEvent} */ event) => {
    if (event.key !== "Alt" || !alt) return;
    add(String.fromCharCode(Number(alt)), event);
    alt = "";
  };

  document.addEventListener("keydown", down, true);
  document.addEventListener("keyup", up, true);
  return () => {
    document.removeEventListener("keydown", down, true);
    document.removeEventListener("keyup", up, true);
  };
}
