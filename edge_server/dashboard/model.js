// What the page knows: the latest of each object, and who wants to hear of it. Bounded, so that a page may stay open.

const LIMITS = { event: 500, alarm: 200, correction: 500, vehicle: 500 };
const PLURALS = {
  approach: "approaches",
  signal: "signals",
  camera: "cameras",
  device: "devices",
  vehicle: "vehicles",
  alarm: "alarms",
  event: "events",
  correction: "corrections",
  server: "servers",
  priority: "priorities",
};

export const KINDS = Object.keys(PLURALS);

export class Model {
  #listeners = new Map(KINDS.map((kind) => [kind, new Set()]));
  #dirty = new Set();
  #frame = 0;
  #offset_ms = 0;

  constructor() {
    for (const kind of KINDS) this[kind] = new Map();
    this.loaded = false;
    this.offline_since_ms = null;
  }

  /** Call `listener` at most once per frame after objects of one of `kinds` have changed. */
  on(kinds, listener) {
    for (const kind of kinds) this.#listeners.get(kind).add(listener);
  }

  snapshot(state) {
    this.heard(state.now_ms);
    for (const kind of KINDS) {
      this[kind] = new Map(state[PLURALS[kind]].map((object) => [String(object.id), object]));
      this.#dirty.add(kind);
    }
    this.loaded = true;
    this.#schedule();
  }

  put(kind, object) {
    const objects = this[kind];
    const key = String(object.id);
    if (kind === "event") objects.delete(key);
    objects.set(key, object);
    while (objects.size > (LIMITS[kind] ?? Infinity)) objects.delete(objects.keys().next().value);
    this.changed(kind);
  }

  remove(kind, key) {
    this[kind].delete(String(key));
    this.changed(kind);
  }

  changed(...kinds) {
    for (const kind of kinds) this.#dirty.add(kind);
    this.#schedule();
  }

  /** Take the server's clock from what it said last. */
  heard(now_ms) {
    this.#offset_ms = now_ms - Date.now();
  }

  /** The server's wall clock, in Unix milliseconds. */
  now_ms() {
    return Date.now() + this.#offset_ms;
  }

  #schedule() {
    if (this.#frame) return;
    // A hidden page gets no frames; a timer keeps what it holds, and its title, up to date.
    this.#frame = document.hidden ? setTimeout(() => this.#tell(), 1000) : requestAnimationFrame(() => this.#tell());
  }

  #tell() {
    this.#frame = 0;
    const listeners = new Set();
    for (const kind of this.#dirty) for (const listener of this.#listeners.get(kind)) listeners.add(listener);
    this.#dirty.clear();
    for (const listener of listeners) listener();
  }
}
