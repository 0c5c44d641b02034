// Tokens of programs: named, with a role and an end, shown once.

import { api } from "./api.js";
import { el, keyed, say } from "./dom.js";
import { button, panel, table } from "./panel.js";
import { ROLE_WORDS } from "./people.js";
import { time } from "./words.js";

export class Programs {
  constructor(form, changed) {
    this.form = form;
    this.changed = changed;
    this.frame = panel({ id: "programs", title: "Programs", needs: "admin" });
    this.rows = table(this.frame.body, "programs", ["Token", "Role", "Valid until", "Used last", "Made by", "Change"]);
    this.blank = el("p", { class: "blank", text: "No tokens. A program that reads the API or scrapes the metrics gets one of its own." });
    this.frame.body.append(this.blank);
    this.frame.actions.append(button("Make a token", "", () => this.#make()));
  }

  async load() {
    try {
      const tokens = await api.tokens();
      say(this.frame.problem, "");
      this.blank.hidden = tokens.length > 0;
      keyed(this.rows, tokens, (one) => one.name, (one) => this.#row(one), update);
    } catch (error) {
      say(this.frame.problem, error.message);
    }
  }

  #row({ name }) {
    const revoke = button("Revoke", name, () =>
      this.form.ask({
        title: `Revoke ${name}?`,
        text: "The program that uses it is refused from now on.",
        ok: "Revoke",
        save: async () => {
          await api.revokeToken(name);
          this.changed();
        },
      }),
    );
    return el("tr", { "data-token": name }, el("th", { scope: "row", text: name }), el("td", {}, el("span", { class: "badge" })), el("td"), el("td"), el("td"), el("td", { class: "actions" }, revoke));
  }

  #make() {
    this.form.ask({
      title: "Make a token for a program",
      text: ROLE_WORDS,
      ok: "Make",
      fields: [
        { name: "name", label: "Name (lower-case letters, digits, hyphens)", maxlength: 63 },
        { name: "role", label: "Role", options: ["viewer", "operator", "admin"], value: "viewer" },
        { name: "days", label: "Valid for days", type: "number", value: "365", min: 1, max: 3650 },
      ],
      save: async (said) => {
        const made = await api.makeToken({ name: said.name.trim().toLowerCase(), role: said.role, days: Number(said.days) });
        this.changed();
        return { shown: made.token, text: "Copy it now: it is kept nowhere and never shown again. The program sends it as Authorization: Bearer." };
      },
    });
  }
}

function update(row, one) {
  const [, role, until, used, by] = row.children;
  say(role.firstElementChild, one.role);
  say(until, new Date(one.expires_ms).toISOString().slice(0, 10));
  say(used, one.used_ms === null ? "never" : time(one.used_ms));
  say(by, one.made_by);
}
