// @ts-check
// Follows a file that is being judged or sent, and shows the outcome when it is there.

const running = document.getElementById("running");
const bar = running?.querySelector("progress");
const EVERY_MS = 400;

async function look() {
  try {
    const answer = await fetch(running?.dataset.progress ?? "");
    if (answer.ok) {
      const told = await answer.json();
      if (told.running) {
        if (bar) bar.value = told.done;
      } else {
        location.reload();
        return;
      }
    }
  } catch {
    // The network comes back, or the reader looks again by the button.
  }
  setTimeout(look, EVERY_MS);
}

if (running) setTimeout(look, EVERY_MS);
