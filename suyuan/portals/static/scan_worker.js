// The scan screen without a network. The server puts VERSION, SHELL and FILES in front of this file.
// It keeps the page's own files and an empty screen, never an answer with anybody's data.
/* global VERSION, SHELL, FILES */

const NAME = `suyuan-scan-${VERSION}`;
const PATIENCE_MS = 4000;
// A network that does not answer within this time is as good as none.

self.addEventListener("install", (event) => {
  event.waitUntil(
    caches
      .open(NAME)
      .then((cache) => cache.addAll([SHELL, ...FILES].map((url) => new Request(url, { cache: "no-cache" }))))
      .then(() => self.skipWaiting()),
  );
});

self.addEventListener("activate", (event) => {
  event.waitUntil(
    caches
      .keys()
      .then((names) => Promise.all(names.filter((name) => name.startsWith("suyuan-scan-") && name !== NAME).map((name) => caches.delete(name))))
      .then(() => self.clients.claim()),
  );
});

self.addEventListener("fetch", (event) => {
  const { request } = event;
  const url = new URL(request.url);
  if (request.method !== "GET" || url.origin !== self.location.origin) return;
  if (request.mode === "navigate") {
    if (url.pathname === "/scan") event.respondWith(screen(request, event));
  } else if (FILES.includes(url.pathname + url.search)) {
    event.respondWith(caches.match(url.pathname + url.search, { cacheName: NAME }).then((kept) => kept ?? fetch(request)));
  }
});

async function screen(request, event) {
  try {
    const answer = await fetch(request, { signal: AbortSignal.timeout(PATIENCE_MS) });
    // The language may have been changed: the kept screen follows.
    if (answer.ok) event.waitUntil(caches.open(NAME).then((cache) => cache.add(new Request(SHELL, { cache: "no-cache" }))).catch(() => undefined));
    return answer;
  } catch {
    return (await caches.match(SHELL, { cacheName: NAME })) ?? Response.error();
  }
}
