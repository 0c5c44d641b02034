// People's accounts: who there is, as what, and for an admin all that can be changed about them.

import { api } from "./api.js";
import { el, keyed, say } from "./dom.js";
import { button, panel, table } from "./panel.js";
import { time } from "./words.js";

const ROLES = ["viewer", "operator", "admin"];
const NEW_PASSWORD = { type: "password", autocomplete: "new-password", minlength: 10, maxlength: 256 };
export const ROLE_WORDS = "A viewer reads. An operator also corrects, steers and lets devices join. An admin also keeps accounts, updates and backups.";

export class People {
  constructor(form, changed) {
    this.form = form;
    this.changed = changed;
    this.frame = panel({ id: "people", title: "People", needs: "admin" });
    this.rows = table(this.frame.body, "people", ["Name", "Role", "Signed in last", "Change"]);
    this.frame.actions.append(button("Add a person", "", () => this.#add()));
  }

  async load() {
    try {
      const users = await api.users();
      say(this.frame.problem, "");
      keyed(this.rows, users, (one) => one.name, (one) => this.#make(one), update);
    } catch (error) {
      say(this.frame.problem, error.message);
    }
  }

  #make({ name }) {
    return el(
      "tr",
      { "data-person": name },
      el("th", { scope: "row", text: name }),
      el("td", {}, el("span", { class: "badge" })),
      el("td"),
      el(
        "td",
        { class: "actions" },
        button("Role", name, () => this.#setRole(name)),
        button("Password", name, () => this.#setPassword(name)),
        button("Remove", name, () => this.#remove(name)),
      ),
    );
  }

  #ask(question) {
    this.form.ask({
      ...question,
      save: async (said) => {
        await question.save(said);
        this.changed();
      },
    });
  }

  #add() {
    this.#ask({
      title: "Add a person",
      text: ROLE_WORDS,
      ok: "Add",
      fields: [
        { name: "name", label: "Name (lower-case letters, digits, hyphens)", maxlength: 63, autocomplete: "off" },
        { name: "role", label: "Role", options: ROLES, value: "viewer" },
        { name: "password", label: "Password, at least 10 characters", ...NEW_PASSWORD },
      ],
      save: (said) => api.addUser({ ...said, name: said.name.trim().toLowerCase() }),
    });
  }

  #setRole(name) {
    this.#ask({
      title: `Role of ${name}`,
      text: `${ROLE_WORDS} ${name} is signed out everywhere.`,
      ok: "Set role",
      fields: [{ name: "role", label: "Role", options: ROLES, value: this.rows.querySelector(`[data-person="${name}"] .badge`).textContent }],
      save: ({ role }) => api.setRole(name, role),
    });
  }

  #setPassword(name) {
    this.#ask({
      title: `New password for ${name}`,
      text: `${name} is signed out everywhere.`,
      ok: "Set password",
      fields: [{ name: "password", label: "Password, at least 10 characters", ...NEW_PASSWORD }],
      save: ({ password }) => api.setPassword(name, password),
    });
  }

  #remove(name) {
    this.#ask({
      title: `Remove ${name}?`,
      text: `${name} is signed out everywhere, and the tokens that ${name} made are revoked.`,
      ok: "Remove",
      save: () => api.removeUser(name),
    });
  }
}

function update(row, one) {
  const [, role, last] = row.children;
  say(role.firstElementChild, one.role);
  say(last, one.signed_in_ms === null ? "never" : time(one.signed_in_ms));
}
