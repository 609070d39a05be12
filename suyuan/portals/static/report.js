// @ts-check
// The report form: photos are made small on this device, and a form that is being sent is not sent again. All of it works without.

document.documentElement.classList.add("scripted");

const find = (/** @type {string} */ id) => document.getElementById(id);
const texts = JSON.parse(find("texts")?.textContent ?? "{}");
const PHOTOS_MAX = 5;
const SIDE_MAX = 1800;
const QUALITY = 0.82;

/** Words with their values filled in: `{0}`, `{1}`. */
const fill = (/** @type {string} */ words, /** @type {unknown[]} */ ...values) =>
  words.replace(/\{(\d)\}/g, (_, place) => String(values[place]));

for (const button of document.querySelectorAll("[data-print]")) button.addEventListener("click", () => window.print());
find("faults")?.focus();

const form = /** @type {HTMLFormElement | null} */ (find("report"));
const input = /** @type {HTMLInputElement | null} */ (find("photos"));

/** A photo drawn anew, upright, no larger than is needed; place and camera stay behind. */
async function small(/** @type {File} */ file) {
  const picture = await createImageBitmap(file, { imageOrientation: "from-image" });
  const scale = Math.min(1, SIDE_MAX / Math.max(picture.width, picture.height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.round(picture.width * scale);
  canvas.height = Math.round(picture.height * scale);
  const brush = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  brush.fillStyle = "#fff";
  brush.fillRect(0, 0, canvas.width, canvas.height);
  brush.drawImage(picture, 0, 0, canvas.width, canvas.height);
  picture.close();
  const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", QUALITY));
  if (!blob) throw new Error("no picture");
  return new File([blob], "photo.jpg", { type: "image/jpeg" });
}

function say(/** @type {string[]} */ ...words) {
  const place = find("photos-state");
  if (place) place.textContent = words.filter(Boolean).join(" ");
}

/** Put these files into the field, and show them; each can be taken out again. */
function put(/** @type {HTMLInputElement} */ field, /** @type {File[]} */ files, note = "") {
  const carrier = new DataTransfer();
  for (const file of files) carrier.items.add(file);
  field.files = carrier.files;
  const kilobytes = Math.round(files.reduce((sum, file) => sum + file.size, 0) / 1024);
  say(note, files.length ? fill(texts.ready, files.length, kilobytes) : "");
  const list = find("thumbnails");
  for (const old of list?.querySelectorAll("img") ?? []) URL.revokeObjectURL(old.src);
  list?.replaceChildren(...files.map((file, place) => shown(field, files, file, place)));
}

function shown(/** @type {HTMLInputElement} */ field, /** @type {File[]} */ files, /** @type {File} */ file, /** @type {number} */ place) {
  const image = document.createElement("img");
  image.src = URL.createObjectURL(file);
  image.alt = "";
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = "✕";
  button.setAttribute("aria-label", fill(texts.remove, place + 1));
  button.addEventListener("click", () => {
    put(field, files.filter((one) => one !== file));
    field.focus();
  });
  const item = document.createElement("li");
  item.append(image, button);
  return item;
}

input?.addEventListener("change", async () => {
  const chosen = [...(input.files ?? [])];
  say(texts.shrinking);
  const notes = chosen.length > PHOTOS_MAX ? [texts.many] : [];
  const files = [];
  for (const file of chosen.slice(0, PHOTOS_MAX)) {
    try {
      files.push(await small(file));
    } catch {
      notes.push(fill(texts.unreadable, file.name));
      files.push(file);
    }
  }
  put(input, files, notes.join(" "));
});

form?.addEventListener("submit", (event) => {
  const button = /** @type {HTMLButtonElement} */ (find("send"));
  if (button.getAttribute("aria-disabled") === "true") {
    event.preventDefault();
    return;
  }
  button.setAttribute("aria-disabled", "true");
  const state = find("sending");
  if (state) state.textContent = texts.sending;
});

// A page that comes back from the browser's own memory may be sent again: it is the same report all the same.
window.addEventListener("pageshow", () => {
  find("send")?.removeAttribute("aria-disabled");
  const state = find("sending");
  if (state) state.textContent = "";
});
