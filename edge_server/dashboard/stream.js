// Server-sent events into the model, and an honest word on whether they still come.

import { KINDS } from "./model.js";

const SILENCE_MS = 12_000; // the server says something every 5 s
const RETRY_MS = [1000, 2000, 4000, 8000, 15_000];

export class Stream {
  #source = null;
  #last_id = "";
  #heard_ms = Date.now();
  #tries = 0;
  #timer = 0;
  state = "connecting";

  /** onState is called with "live", "offline" or "signed-out". */
  constructor(model, onState) {
    this.model = model;
    this.onState = onState;
    setInterval(() => {
      if (this.#source && Date.now() - this.#heard_ms > SILENCE_MS) this.#lost();
    }, 1000);
  }

  open() {
    clearTimeout(this.#timer);
    this.#source?.close();
    this.#heard_ms = Date.now();
    const after = this.#last_id ? `?after=${encodeURIComponent(this.#last_id)}` : "";
    const source = new EventSource(`/api/v1/events${after}`);
    this.#source = source;
    const listen = (name, use) =>
      source.addEventListener(name, (event) => {
        if (event.lastEventId) this.#last_id = event.lastEventId;
        this.#alive();
        use(JSON.parse(event.data));
      });
    listen("snapshot", (state) => this.model.snapshot(state));
    listen("beat", ({ now_ms }) => this.model.heard(now_ms));
    listen("removed", ({ kind, id }) => this.model.remove(kind, id));
    for (const kind of KINDS) listen(kind, (object) => this.model.put(kind, object));
    source.addEventListener("error", () => this.#lost());
  }

  #alive() {
    this.#heard_ms = Date.now();
    this.#tries = 0;
    if (this.model.offline_since_ms !== null || this.state !== "live") {
      this.model.offline_since_ms = null;
      this.#say("live");
    }
  }

  async #lost() {
    this.#source?.close();
    this.#source = null;
    this.model.offline_since_ms ??= this.#heard_ms;
    this.#say("offline");
    const wait_ms = RETRY_MS[Math.min(this.#tries++, RETRY_MS.length - 1)];
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.open(), wait_ms);
    const status = await fetch("/api/v1/me", { credentials: "same-origin" }).then((answer) => answer.status, () => 0);
    if (status === 401) this.#say("signed-out");
  }

  #say(state) {
    this.state = state;
    this.onState(state);
  }
}
