// Who I am, what I may do, and the menu about it. What a role can't use is marked data-needs and is not shown to it.

import { api } from "./api.js";
import { $, say } from "./dom.js";

const WAYS = {
  root: "the machine's key",
  local: "this machine",
};

export class Me {
  #listeners = new Set();
  known = null;

  constructor(form) {
    this.form = form;
    $("me-sign-in").addEventListener("click", () => location.assign("/login"));
    $("me-password").addEventListener("click", () => this.#changePassword());
    $("me-sign-out").addEventListener("click", () => this.#leave(api.signOut));
    $("me-sign-out-everywhere").addEventListener("click", () => this.#leave(api.signOutEverywhere));
    const menu = $("me");
    menu.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && menu.open) {
        menu.open = false;
        menu.firstElementChild.focus();
      }
    });
    document.addEventListener("click", (event) => {
      if (!menu.contains(event.target)) menu.open = false;
    });
  }

  /** Call `listener` with what is known whenever it is asked for anew. */
  on(listener) {
    this.#listeners.add(listener);
  }

  async load() {
    try {
      this.known = await api.me();
    } catch {
      return; // the banner tells
    }
    const { name, role, way, accounts } = this.known;
    document.body.dataset.role = role;
    const person = way === "session";
    say($("me-name"), WAYS[way] ?? name);
    say($("me-role"), role);
    say($("me-hint"), accounts ? "" : "There are no accounts yet, so whoever uses this machine may use this page. The first one is made on its command line: kinflow edge user add NAME --role admin. Until then, updates and the like are for the machine's key.");
    $("me-hint").hidden = accounts;
    for (const id of ["me-password", "me-sign-out-everywhere"]) $(id).hidden = !person;
    $("me-sign-out").hidden = way === "local";
    $("me-sign-in").hidden = way !== "local";
    for (const listener of this.#listeners) listener(this.known);
  }

  #changePassword() {
    this.form.ask({
      title: "Change your password",
      text: "At least 10 characters; four or five words that nobody would put together. Your other pages are signed out.",
      ok: "Change",
      fields: [
        { name: "old", label: "Password until now", type: "password", autocomplete: "current-password" },
        { name: "new", label: "New password", type: "password", autocomplete: "new-password", minlength: 10 },
        { name: "again", label: "The same again", type: "password", autocomplete: "new-password" },
      ],
      save: async (said) => {
        if (said.new !== said.again) throw new Error("The two new passwords differ.");
        await api.changePassword({ old: said.old, new: said.new });
      },
    });
  }

  async #leave(call) {
    try {
      await call();
    } catch (error) {
      if (error.status !== 401) {
        say($("me-error"), error.message);
        return;
      }
    }
    location.assign("/login");
  }
}
