// Who did what, when and from where: the newest first, older ones on demand.

import { api } from "./api.js";
import { el, keyed, say } from "./dom.js";
import { button, panel, table } from "./panel.js";
import { time } from "./words.js";

const PAGE = 50;

export class Audit {
  #lines = new Map();

  constructor() {
    this.frame = panel({ id: "audit", title: "Sign-ins and changes", needs: "admin" });
    this.rows = table(this.frame.body, "audit", ["When", "Who", "What", "About", "From"]);
    this.older = button("Show older", "", () => this.#fetch(Math.min(...this.#lines.keys())));
    this.frame.body.append(el("p", { class: "actions" }, this.older));
  }

  load() {
    return this.#fetch();
  }

  async #fetch(before) {
    try {
      const lines = await api.audit(PAGE, before);
      say(this.frame.problem, "");
      for (const line of lines) this.#lines.set(line.id, line);
      if (before || this.#lines.size <= PAGE) this.older.hidden = lines.length < PAGE;
    } catch (error) {
      say(this.frame.problem, error.message);
      return;
    }
    const sorted = [...this.#lines.values()].sort((a, b) => b.id - a.id);
    keyed(this.rows, sorted, (one) => one.id, make, () => {});
  }
}

function make(one) {
  const about = [one.subject, one.detail].filter(Boolean).join(" · ");
  const words = [time(one.at_ms), one.who, one.what.replaceAll("-", " "), about, one.address || "console"];
  return el("tr", { "data-what": one.what }, ...words.map((text) => el("td", { text })));
}
