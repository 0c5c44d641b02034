// Alarms, the standing ones first. A person may call one false: the alarm stays, with what was said of it.

import { api } from "./api.js";
import { $, el, keyed, say } from "./dom.js";
import { age, plural } from "./words.js";

const SHOWN = 60;
const RANK = { critical: 2, warning: 1, info: 0 };

export class Alarms {
  #spoken = new Set();

  constructor(model, dialog) {
    this.model = model;
    this.dialog = dialog;
  }

  draw() {
    const alarms = [...this.model.alarm.values()];
    alarms.sort((a, b) => weight(b) - weight(a) || b.id - a.id);
    const list = $("alarms");
    const shown = alarms.slice(0, SHOWN);
    list.querySelector(".blank")?.remove();
    keyed(list, shown, (one) => one.id, (one) => this.#make(one), (node, one) => this.#update(node, one));
    if (!shown.length) list.append(el("li", { class: "blank", text: "No alarms. What needs a person appears here." }));
    this.#tile(alarms);
    this.#speak(alarms);
  }

  #make(alarm) {
    const button = el("button", { type: "button", class: "quiet small", text: "False alarm", "data-needs": "operator", "aria-label": `Mark as false alarm: ${alarm.text}` });
    button.addEventListener("click", () =>
      this.dialog.ask({
        title: "Mark as a false alarm?",
        text: `“${alarm.text}” (${alarm.subject}). The alarm stays in the store; your correction is kept beside it and can be deleted.`,
        ok: "Mark as false",
        save: ({ note }) => api.correct({ mistake: "false-alarm", alarm: alarm.id, note }),
      }),
    );
    return el(
      "li",
      { class: "alarm", "data-alarm": alarm.id },
      el("p", { class: "row-head" }, el("span", { class: "badge" }), el("strong"), el("span", { class: "sub when" })),
      el("div", { class: "alarm-body" }, el("p", { class: "alarm-text" }), button),
    );
  }

  #update(node, alarm) {
    const [head, body] = node.children;
    const [text, button] = body.children;
    const [badge, subject, when] = head.children;
    node.classList.toggle("over", !alarm.active || alarm.correction !== null);
    badge.dataset.severity = alarm.active ? alarm.severity : "over";
    say(badge, alarm.active ? alarm.severity : "cleared");
    say(subject, `${alarm.alarm.replaceAll("-", " ")}: ${alarm.subject}`);
    say(when, `${age(this.model.now_ms() - alarm.received_ms)} ago`);
    say(text, alarm.code ? `${alarm.text} (${alarm.code})` : alarm.text);
    const marked = alarm.correction !== null;
    button.disabled = marked;
    say(button, marked ? "Marked as false" : "False alarm");
  }

  #tile(alarms) {
    const standing = alarms.filter((one) => one.active && one.correction === null);
    const critical = standing.filter((one) => one.severity === "critical").length;
    const tile = $("tile-alarms");
    say(tile.querySelector(".figure"), standing.length ? `${standing.length} standing` : "None standing");
    say(tile.querySelector(".sub"), critical ? `${critical} critical` : plural(alarms.length, "alarm in the list", "alarms in the list"));
    tile.dataset.level = critical ? "bad" : standing.some((one) => one.severity === "warning") ? "warn" : "ok";
    document.title = critical ? `(${critical}) Kinflow` : "Kinflow";
  }

  /** Each critical alarm is read aloud once, when it appears. */
  #speak(alarms) {
    const critical = alarms.filter((one) => one.active && one.severity === "critical");
    const fresh = critical.filter((one) => !this.#spoken.has(one.id));
    if (fresh.length) say($("spoken"), fresh.map((one) => `Critical alarm, ${one.subject}: ${one.text}`).join(". "));
    this.#spoken = new Set(critical.map((one) => one.id));
  }
}

function weight(alarm) {
  return alarm.active && alarm.correction === null ? 10 + RANK[alarm.severity] : 0;
}
