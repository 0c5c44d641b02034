// The event log: newest first, filtered by severity and words, older pages on demand.

import { api } from "./api.js";
import { $, el, keyed, say } from "./dom.js";
import { time } from "./words.js";

const SHOWN = 200;
const OLDER_KEPT = 1000;
const RANK = { info: 0, warning: 1, critical: 2 };

export class Events {
  #older = [];

  constructor(model) {
    this.model = model;
    $("events-severity").addEventListener("change", () => this.draw());
    $("events-words").addEventListener("input", () => this.draw());
    $("events-older").addEventListener("click", () => this.#loadOlder());
  }

  draw() {
    const least = RANK[$("events-severity").value];
    const words = $("events-words").value.trim().toLowerCase();
    const all = new Map([...this.#older, ...this.model.event.values()].map((one) => [one.id, one]));
    const matching = [...all.values()]
      .filter((one) => RANK[one.severity] >= least && (!words || textOf(one).toLowerCase().includes(words)))
      .sort((a, b) => b.id - a.id);
    const shown = matching.slice(0, SHOWN + this.#older.length);
    const list = $("events");
    list.querySelector(".blank")?.remove();
    keyed(list, shown, (one) => one.id, make, () => {});
    if (!shown.length) {
      const text = all.size ? "Nothing in the log matches the filter." : "Nothing has happened yet. Joins, losses and alarms appear here.";
      list.append(el("li", { class: "blank", text }));
    }
  }

  async #loadOlder() {
    const known = [...this.#older, ...this.model.event.values()].map((one) => one.id);
    const button = $("events-older");
    if (!known.length) return;
    try {
      const older = await api.events(Math.max(1, Math.min(...known)));
      this.#older = [...this.#older, ...older].slice(-OLDER_KEPT);
      button.disabled = older.length === 0 || this.#older.length >= OLDER_KEPT;
      say(button, older.length === 0 ? "That is all" : "Show older");
      this.draw();
    } catch (error) {
      say(button, error.message);
    }
  }
}

const textOf = (one) => [one.what.replaceAll("-", " "), one.device, one.subject, one.text, one.code ?? ""].join(" ");

function make(one) {
  return el(
    "li",
    { class: "event", "data-event": one.id },
    el("time", { text: time(one.at_ms), datetime: new Date(one.at_ms).toISOString() }),
    el("span", { class: "badge", "data-severity": one.severity, text: one.severity }),
    el("span", { class: "event-text", text: one.code ? `${one.text} (${one.code})` : one.text }),
  );
}
