// @ts-check
// The scanner: reads codes in the camera's picture or in a photo, on this device alone. Fetched when scanning starts.

const FORMATS = ["DataMatrix", "QRCode", "Code128", "EANUPC", "ITF14", "DataBar"];
// Symbols used on packages; short ITF and the like would be seen in any pattern of lines.

const RETAIL = /^\d{12,14}$/;
// Digits that name goods and not a box, in whatever symbol.

const TURNS = [0, 15, -15, 30, -30];
// Degrees. A linear code that is tilted by more than some 15 degrees is not read; turned copies of the frame recover it.
const ENLARGED = 1.6;
const PHOTO_SIDE_MAX = 2400;
const RETAIL_WAIT_MS = 1500;
// A box often shows its retail barcode beside the trace code: the latter is waited for.

const find = (/** @type {string} */ id) => /** @type {HTMLElement} */ (document.getElementById(id));

/** @type {Promise<any> | undefined} */
let reader;

/** The reader, from this site: its own default would ask another host for its second half. */
function load(/** @type {DOMStringMap} */ files) {
  reader ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = files.reader ?? "";
    script.onload = () => {
      const zxing = /** @type {any} */ (window).ZXingWASM;
      zxing.prepareZXingModule({ overrides: { locateFile: () => files.wasm } });
      resolve(zxing);
    };
    script.onerror = () => {
      reader = undefined;
      reject(new Error("reader"));
    };
    document.head.append(script);
  });
  return reader;
}

/** Pixels of a picture, turned and enlarged; a turned one stands on white. */
function pixels(/** @type {CanvasImageSource} */ picture, /** @type {number} */ width, /** @type {number} */ height, turn = 0, scale = 1) {
  const canvas = document.createElement("canvas");
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(height * scale);
  const brush = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d", { willReadFrequently: true }));
  brush.fillStyle = "#fff";
  brush.fillRect(0, 0, canvas.width, canvas.height);
  brush.translate(canvas.width / 2, canvas.height / 2);
  brush.rotate((turn * Math.PI) / 180);
  brush.drawImage(picture, -canvas.width / 2, -canvas.height / 2, canvas.width, canvas.height);
  return brush.getImageData(0, 0, canvas.width, canvas.height);
}

/** @returns {Promise<{text: string, retail: boolean}[]>} All codes, each with its AIM identifier in front, as the server reads it. */
async function readIn(/** @type {any} */ zxing, /** @type {ImageData} */ image, thorough = false) {
  const found = await zxing.readBarcodes(image, { formats: FORMATS, textMode: "Plain", tryHarder: true, tryDownscale: thorough, tryInvert: thorough, maxNumberOfSymbols: 8 });
  return found
    .filter((/** @type {any} */ one) => one.isValid && one.text)
    .map((/** @type {any} */ one) => ({ text: one.symbologyIdentifier + one.text, retail: one.symbologyIdentifier.startsWith("]E") || RETAIL.test(one.text) }));
}

function show(/** @type {string} */ text) {
  navigator.vibrate?.(60);
  location.assign(`/check?code=${encodeURIComponent(text)}`);
}

/** Open the camera and look until a code is seen or it is closed. */
export async function openCamera(/** @type {DOMStringMap} */ files, /** @type {Record<string, string>} */ texts) {
  const viewer = find("viewer");
  const video = /** @type {HTMLVideoElement} */ (find("video"));
  const say = (/** @type {string} */ words) => { find("seeing").textContent = words; };
  viewer.hidden = false;
  find("camera").hidden = true;
  say(texts.starting);
  /** @type {MediaStream | undefined} */
  let stream;
  let open = true;
  const close = () => {
    if (!open) return;
    open = false;
    stream?.getTracks().forEach((track) => track.stop());
    viewer.hidden = true;
    find("camera").hidden = false;
    document.removeEventListener("keydown", onKey);
    document.removeEventListener("visibilitychange", onLeave);
  };
  // Nobody is filmed by a page that nobody looks at.
  const onLeave = () => { if (document.hidden) close(); };
  document.addEventListener("visibilitychange", onLeave);
  const onKey = (/** @type {KeyboardEvent} */ event) => { if (event.key === "Escape") { close(); find("camera").focus(); } };
  document.addEventListener("keydown", onKey);
  find("stop").onclick = () => { close(); find("camera").focus(); };
  find("stop").focus();
  try {
    if (!navigator.mediaDevices) throw new DOMException("", "SecurityError");
    const wish = { facingMode: { ideal: "environment" }, width: { ideal: 1280 }, height: { ideal: 960 } };
    const [zxing, opened] = await Promise.all([load(files), navigator.mediaDevices.getUserMedia({ video: wish, audio: false })]);
    stream = opened;
    if (!open) { stream.getTracks().forEach((track) => track.stop()); return; }
    video.srcObject = stream;
    await video.play();
    const [track] = stream.getVideoTracks();
    track.applyConstraints(/** @type {any} */ ({ advanced: [{ focusMode: "continuous" }] })).catch(() => {});
    offerLight(track);
    say(texts.aim);
    await watch(zxing, video, () => open, close, say, texts);
  } catch (error) {
    say(reason(/** @type {Error} */ (error), texts));
  }
}

/** Words for a camera that cannot be used; the other two ways stay open. */
function reason(/** @type {Error} */ error, /** @type {Record<string, string>} */ texts) {
  if (error.name === "NotAllowedError") return texts.denied;
  if (error.name === "SecurityError") return texts.insecure;
  return error.name === "NotFoundError" || error.name === "OverconstrainedError" ? texts.nocamera : texts.failed;
}

function offerLight(/** @type {MediaStreamTrack} */ track) {
  const button = find("torch");
  const can = /** @type {any} */ (track.getCapabilities?.() ?? {}).torch;
  button.hidden = !can;
  button.onclick = async () => {
    const on = button.getAttribute("aria-pressed") !== "true";
    await track.applyConstraints(/** @type {any} */ ({ advanced: [{ torch: on }] }));
    button.setAttribute("aria-pressed", String(on));
  };
}

/** Frame by frame: as it is, then turned one way after the other, then enlarged. */
async function watch(/** @type {any} */ zxing, /** @type {HTMLVideoElement} */ video, /** @type {() => boolean} */ open, /** @type {() => void} */ close, /** @type {(words: string) => void} */ say, /** @type {Record<string, string>} */ texts) {
  let retailSince = 0;
  for (let frame = 0; open(); frame += 1) {
    await new Promise((resolve) => requestAnimationFrame(resolve));
    const { videoWidth: width, videoHeight: height } = video;
    if (!width) continue;
    const round = frame % 7;
    const image = round === 6 ? pixels(video, width, height, 0, ENLARGED) : pixels(video, width, height, round % 2 ? TURNS[1 + (Math.floor(frame / 2) % 4)] : 0);
    const found = await readIn(zxing, image);
    if (!open()) return;
    const code = found.find((one) => !one.retail);
    const retail = found.find((one) => one.retail);
    if (retail && !retailSince) { retailSince = performance.now(); say(texts.retailSeen); }
    if (code || (retail && performance.now() - retailSince > RETAIL_WAIT_MS)) {
      say(texts.found);
      close();
      show((code ?? /** @type {{text: string}} */ (retail)).text);
      return;
    }
  }
}

/** Read a photo on this device; where nothing is found, offer to have the server try. */
export async function readPhoto(/** @type {File} */ file, /** @type {DOMStringMap} */ files, /** @type {Record<string, string>} */ texts) {
  const status = find("reading");
  const form = /** @type {HTMLFormElement} */ (status.closest("form"));
  status.hidden = false;
  status.textContent = texts.reading;
  form.classList.remove("sends");
  try {
    const [zxing, picture] = await Promise.all([load(files), createImageBitmap(file)]);
    const shrink = Math.min(1, PHOTO_SIDE_MAX / Math.max(picture.width, picture.height));
    const width = picture.width * shrink, height = picture.height * shrink;
    const views = [...TURNS.map((turn) => [turn, 1]), ...(shrink === 1 ? [[0, ENLARGED]] : [])];
    for (const [turn, scale] of views) {
      const found = await readIn(zxing, pixels(picture, width, height, turn, scale), true);
      const code = found.find((one) => !one.retail) ?? found[0];
      if (code) { status.textContent = texts.found; show(code.text); return; }
    }
    status.textContent = texts.nothing;
  } catch {
    status.textContent = texts.unreadable;
  }
  form.classList.add("sends");
}
