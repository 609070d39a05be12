// @ts-check
// Finding an operation while typing. Without this script the form asks the server, which finds the same.

const input = /** @type {HTMLInputElement} */ (document.getElementById("q"));
const found = /** @type {HTMLElement} */ (document.getElementById("found"));
const operations = /** @type {NodeListOf<HTMLDetailsElement>} */ (document.querySelectorAll(".operation"));
const counted = found.textContent ?? "";

/** Show the operations in whose line all words stand, and the groups that have any. */
function find() {
  const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
  let count = 0;
  for (const operation of operations) {
    const text = (operation.textContent ?? "").toLowerCase();
    operation.hidden = !words.every((word) => text.includes(word));
    count += operation.hidden ? 0 : 1;
  }
  for (const group of document.querySelectorAll(".group")) {
    /** @type {HTMLElement} */ (group).hidden = !group.querySelector(".operation:not([hidden])");
  }
  found.textContent = counted.replace(/\d+/, String(count));
}

/** Open what the address points to. */
function openTarget() {
  const target = location.hash ? document.getElementById(decodeURIComponent(location.hash.slice(1))) : null;
  if (target instanceof HTMLDetailsElement) {
    target.open = true;
    target.scrollIntoView();
  }
}

input.addEventListener("input", find);
addEventListener("hashchange", openTarget);
addEventListener("keydown", (event) => {
  const typing = event.target instanceof HTMLInputElement || event.target instanceof HTMLTextAreaElement;
  if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
    event.preventDefault();
    input.focus();
    input.select();
  } else if (event.key === "Escape" && event.target === input) {
    input.value = "";
    find();
  }
});
for (const operation of operations) {
  operation.addEventListener("toggle", () => {
    if (operation.open) history.replaceState(null, "", `#${operation.id}`);
  });
}
if (input.value) find();
openTarget();
