// A dialog made of fields: asks, sends, and says what went wrong without losing what was typed.

import { el, say } from "./dom.js";

export class Form {
  #save = null;

  constructor() {
    this.title = el("h2", { id: "form-title", text: "Question" });
    this.text = el("p", { class: "sub" });
    this.fields = el("div", { class: "form-fields" });
    this.error = el("p", { class: "error", role: "alert" });
    this.ok = el("button", { type: "submit", text: "OK" });
    const cancel = el("button", { type: "button", class: "quiet", text: "Cancel", onclick: () => this.node.close() });
    this.cancel = cancel;
    const form = el("form", { method: "dialog", onsubmit: (event) => this.#submit(event) });
    form.append(this.title, this.text, this.fields, this.error, el("p", { class: "actions" }, cancel, this.ok));
    this.form = form;
    this.node = el("dialog", { id: "form", "aria-labelledby": "form-title" }, form);
    // A password that was typed is not left lying about.
    this.node.addEventListener("close", () => this.fields.replaceChildren());
    document.body.append(this.node);
  }

  /**
   * fields: {name, label, type, options, value, autocomplete, minlength, min, max}. save(values) is awaited; its error is
   * shown and the dialog stays. It may return {shown: text} to show a secret once, with a picture of it.
   */
  ask({ title, text = "", ok, fields = [], save }) {
    say(this.title, title);
    say(this.text, text);
    say(this.ok, ok);
    say(this.error, "");
    this.ok.hidden = false;
    say(this.cancel, "Cancel");
    this.fields.replaceChildren(...fields.map(makeField));
    this.#save = save;
    this.node.showModal();
    this.fields.querySelector("input, select")?.focus();
  }

  async #submit(event) {
    event.preventDefault();
    if (this.ok.hidden) return;
    const values = Object.fromEntries(new FormData(this.form));
    this.ok.disabled = true;
    say(this.error, "");
    try {
      const done = await this.#save(values);
      if (done?.shown) this.#show(done);
      else this.node.close();
    } catch (error) {
      say(this.error, error.message);
    } finally {
      this.ok.disabled = false;
    }
  }

  #show({ shown, text, picture = null }) {
    say(this.text, text);
    const secret = el("input", { type: "text", readonly: "", value: shown, class: "secret", "aria-label": "Shown once" });
    this.fields.replaceChildren(secret, ...(picture ? [picture] : []));
    this.ok.hidden = true;
    say(this.cancel, "Done");
    secret.focus();
    secret.select();
  }
}

function makeField({ name, label, type = "text", options = null, value = "", ...more }) {
  const id = `form-${name}`;
  const limits = { required: "", autocomplete: "off", ...more };
  const input = options
    ? el("select", { id, name }, ...options.map((one) => el("option", { value: one, text: one, selected: one === value ? "" : null })))
    : el("input", { id, name, type, value, ...limits, autocapitalize: "none", spellcheck: "false" });
  return el("div", { class: "form-field" }, el("label", { for: id, text: label }), input);
}
