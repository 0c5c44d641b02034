// What people said was wrong: the list, each with a way to delete it, and the question that adds one.

import { api } from "./api.js";
import { $, el, keyed, say } from "./dom.js";
import { named, time } from "./words.js";

export class Corrections {
  constructor(model, dialog) {
    this.model = model;
    this.dialog = dialog;
  }

  draw() {
    const corrections = [...this.model.correction.values()].sort((a, b) => b.id - a.id);
    const list = $("corrections");
    list.querySelector(".blank")?.remove();
    keyed(list, corrections, (one) => one.id, (one) => this.#make(one), () => {});
    if (!corrections.length) {
      const text = "None. Mark a false alarm or a wrong class, and it is kept here until you delete it.";
      list.append(el("li", { class: "blank", text }));
    }
  }

  /** Ask what an approach's class really was; what was shown is kept as it was when the question opened. */
  askClass(approach) {
    const said = approach.congestion;
    const at_ms = approach.captured_ms ?? this.model.now_ms();
    this.dialog.ask({
      title: "Mark a wrong class",
      text: `${named(approach)} was shown as “${said ?? "unknown"}”.`,
      ok: "Save correction",
      classes: true,
      said,
      save: ({ note, choice }) =>
        api.correct({ mistake: "wrong-class", approach: approach.id, said, at_ms, congestion: choice, note }),
    });
  }

  #make(one) {
    const words = describe(one, this.model);
    const problem = el("span", { class: "error", role: "alert" });
    const button = el("button", { type: "button", class: "quiet small", text: "Delete", "data-needs": "operator", "aria-label": `Delete correction: ${words}` });
    button.addEventListener("click", async () => {
      button.disabled = true;
      try {
        await api.withdraw(one.id);
      } catch (error) {
        say(problem, error.message);
        button.disabled = false;
      }
    });
    return el(
      "li",
      { class: "correction", "data-correction": one.id },
      el("p", { class: "row-head" }, el("strong", { text: words }), el("span", { class: "sub when", text: time(one.made_ms) })),
      el("p", { class: "actions" }, el("span", { class: "note", text: one.note }), problem, button),
    );
  }
}

function describe(one, model) {
  if (one.mistake === "wrong-class") {
    const name = named(model.approach.get(one.approach)) || one.approach;
    return `${name}: ${one.said ?? "unknown"} was really ${one.congestion}`;
  }
  const alarm = model.alarm.get(String(one.alarm));
  return `False alarm: ${alarm ? `${alarm.alarm.replaceAll("-", " ")}, ${alarm.subject}` : `number ${one.alarm}`}`;
}
