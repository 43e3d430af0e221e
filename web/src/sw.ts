// The service worker: keeps the site's files, so that the page opens without a network once it was loaded.

const VERSION = "__VERSION__"; // put in by the exporter
const scope = self as unknown as {
  addEventListener(type: string, listener: (event: never) => void): void;
  skipWaiting(): Promise<void>;
  clients: { claim(): Promise<void> };
  location: Location;
};

scope.addEventListener("install", () => void scope.skipWaiting());

scope.addEventListener("activate", ((event: { waitUntil(p: Promise<unknown>): void }) => {
  const old = async () => {
    for (const name of await caches.keys()) if (name.startsWith("studio-") && name !== `studio-${VERSION}`) await caches.delete(name);
    await scope.clients.claim();
  };
  event.waitUntil(old());
}) as never);

// the page names its files once it has loaded them: they come from the browser's own cache
scope.addEventListener("message", ((event: { data: { keep?: string[] }; source?: { postMessage(m: unknown): void }; waitUntil(p: Promise<unknown>): void }) => {
  const keep = async (files: string[]) => {
    let kept = true;
    const cache = await caches.open(`studio-${VERSION}`);
    for (const file of files) {
      const url = new URL(file, scope.location.href).href;
      if (!(await cache.match(url))) await cache.add(url).catch(() => (kept = false));
    }
    if (kept) event.source?.postMessage({ kept });
  };
  if (event.data.keep) event.waitUntil(keep(event.data.keep));
}) as never);

scope.addEventListener("fetch", ((event: { request: Request; respondWith(r: Promise<Response>): void }) => {
  const { request } = event;
  if (request.method !== "GET" || new URL(request.url).origin !== scope.location.origin) return;
  const answer = async (): Promise<Response> => {
    const cache = await caches.open(`studio-${VERSION}`);
    const known = await cache.match(request, { ignoreSearch: true });
    // the page itself is asked for anew, so that a new site is seen; all other files belong to one version
    if (known && request.mode !== "navigate") return known;
    try {
      return await fetch(request);
    } catch (e) {
      if (known) return known;
      throw e;
    }
  };
  event.respondWith(answer());
}) as never);
