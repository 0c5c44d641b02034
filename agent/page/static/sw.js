// Keeps the assistant's page, so that the installed app opens while the agent is away. Nothing that it tells is kept here.

const CACHE = "kinflow-page";
const SHELL = ["/chat", "/chat.js", "/chat-page.js", "/chat.css", "/style.css", "/icon.svg", "/manifest.webmanifest"];

self.addEventListener("install", (event) => {
  event.waitUntil(caches.open(CACHE).then((cache) => cache.addAll(SHELL)).then(() => self.skipWaiting()));
});

self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));

self.addEventListener("fetch", (event) => {
  const { pathname, origin } = new URL(event.request.url);
  if (origin !== location.origin || event.request.method !== "GET" || !SHELL.includes(pathname)) return;
  event.respondWith(newest(event.request));
});

/** What the agent serves now; what it served last where it does not answer. */
async function newest(request) {
  const cache = await caches.open(CACHE);
  try {
    const answer = await fetch(request);
    if (answer.ok) await cache.put(request, answer.clone());
    return answer;
  } catch (error) {
    const kept = await cache.match(request, { ignoreSearch: true });
    if (kept) return kept;
    throw error;
  }
}
