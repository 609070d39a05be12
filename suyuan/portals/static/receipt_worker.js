// @ts-check
// Keeps the page that checks receipts for the time without a network; it serves this page alone.

const worker = /** @type {any} */ (self);

worker.addEventListener("install", () => worker.skipWaiting());
worker.addEventListener("activate", (/** @type {any} */ event) => event.waitUntil(worker.clients.claim()));

/** The page from the network where there is one, so that it is never old; what carries a hash from the store. */
async function answer(/** @type {Request} */ request) {
  const kept = await caches.open("receipt");
  const address = new URL(request.url);
  if (address.pathname === "/receipt") {
    try {
      return await fetch(request);
    } catch {
      return (await kept.match("/receipt", { ignoreSearch: true })) ?? Response.error();
    }
  }
  return (await kept.match(request)) ?? fetch(request);
}

worker.addEventListener("fetch", (/** @type {any} */ event) => {
  const { request } = event;
  const address = new URL(request.url);
  const ours = address.origin === location.origin && (address.pathname === "/receipt" || address.pathname.startsWith("/static/"));
  if (request.method === "GET" && ours) event.respondWith(answer(request));
});
