// The one dialog: a question, perhaps a class to choose and a note to write, and an honest word when saving fails.

import { $, el, say } from "./dom.js";
import { CLASSES } from "./words.js";

export class Dialog {
  #save = null;

  constructor() {
    this.node = $("dialog");
    $("dialog-cancel").addEventListener("click", () => this.node.close());
    this.node.querySelector("form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
    const choices = CLASSES.map((name) =>
      el("label", {}, el("input", { type: "radio", name: "class", value: name }), el("span", { text: name })),
    );
    $("dialog-classes").append(...choices);
  }

  /** save({note, choice}) is awaited; its error is shown and the dialog stays. said: a class that can't be the answer. */
  ask({ title, text, ok, note = true, said = null, classes = false, save }) {
    say($("dialog-title"), title);
    say($("dialog-text"), text);
    say($("dialog-ok"), ok);
    say($("dialog-error"), "");
    $("dialog-note").value = "";
    $("dialog-note").hidden = $("dialog-note-label").hidden = !note;
    $("dialog-classes").hidden = !classes;
    for (const input of $("dialog-classes").querySelectorAll("input")) {
      input.checked = false;
      input.required = classes;
      input.disabled = !classes || input.value === said;
    }
    this.#save = save;
    this.node.showModal();
  }

  async #submit() {
    const choice = $("dialog-classes").querySelector("input:checked")?.value ?? null;
    $("dialog-ok").disabled = true;
    try {
      await this.#save({ note: $("dialog-note").value.trim(), choice });
      this.node.close();
    } catch (error) {
      say($("dialog-error"), error.message);
    } finally {
      $("dialog-ok").disabled = false;
    }
  }
}
