// How far each intersection is given into the server's hands: its mode, what would be commanded, and what is proposed.

import { api } from "./api.js";
import { $, el, keyed, say } from "./dom.js";
import { button } from "./panel.js";
import { named, phaseWords, seconds, time } from "./words.js";

const MODES = ["off", "shadow", "advise", "act"];
const MODE_WORDS = {
  off: "nothing is decided",
  shadow: "decides and writes it down; the controller runs its own plan",
  advise: "proposes; an operator confirms",
  act: "steers",
};

export class Steering {
  constructor(model, form) {
    this.model = model;
    this.form = form;
    this.list = $("steering");
  }

  draw() {
    // What somebody has to decide comes first.
    const signals = [...this.model.signal.values()].sort((a, b) => Boolean(b.proposal) - Boolean(a.proposal));
    this.list.querySelector(".blank")?.remove();
    keyed(this.list, signals, (one) => one.id, (one) => this.#make(one), (node, one) => this.#update(node, one));
    if (!signals.length) this.list.append(el("li", { class: "blank", text: "No signals: there is no site yet, or its roads are only watched." }));
  }

  #make(signal) {
    const about = named(signal);
    const raise = button("Raise", about, () => this.#ask(signal.id, true));
    const lower = button("Lower", about, () => this.#ask(signal.id, false));
    raise.dataset.needs = "admin";
    lower.dataset.needs = "operator";
    const confirm = el("button", { type: "button", class: "confirm", text: "Confirm", "data-needs": "operator", "aria-label": `Confirm: ${about}`, onclick: () => this.#decide(signal.id, true) });
    const decline = button("Decline", about, () => this.#decide(signal.id, false));
    decline.dataset.needs = "operator";
    return el(
      "li",
      { class: "steered", "data-steering": signal.id },
      el("p", { class: "row-head" }, el("strong", { text: about }), el("span", { class: "badge" }), el("span", { class: "actions" }, lower, raise)),
      el("p", { class: "sub" }),
      el("p", { class: "would" }),
      el("div", { class: "proposal", role: "status", hidden: "" }, el("p", {}, el("strong"), el("span", { class: "countdown" })), el("p", { class: "sub" }), el("p", { class: "error" }), el("p", { class: "actions" }, decline, confirm)),
    );
  }

  #update(node, signal) {
    const [title, since, would, proposal] = node.children;
    const [, badge, actions] = title.children;
    badge.dataset.mode = signal.mode;
    say(badge, signal.mode);
    badge.title = MODE_WORDS[signal.mode];
    const at = MODES.indexOf(signal.mode);
    actions.children[0].disabled = at === 0;
    actions.children[1].disabled = at === MODES.length - 1;
    const who = signal.mode_by ? ` · ${signal.mode_by} at ${time(signal.mode_ms)}${signal.mode_reason ? `: ${signal.mode_reason}` : ""}` : "";
    say(since, MODE_WORDS[signal.mode] + who);
    would.hidden = !signal.would || !["shadow", "advise"].includes(signal.mode);
    if (!would.hidden) {
      const { phases, reason, agrees } = signal.would;
      say(would, agrees ? `Would leave it as it is: ${reason}` : `Would serve ${phaseWords(signal, phases)}: ${reason}`);
    }
    this.#propose(proposal, signal);
  }

  #propose(node, signal) {
    const one = signal.proposal;
    const left_ms = one ? one.ends_ms - this.model.now_ms() : 0;
    node.hidden = !one || left_ms <= 0;
    if (node.hidden) return;
    const [head, why, , actions] = node.children;
    node.dataset.proposal = one.id;
    node.classList.toggle("confirmed", one.confirmed);
    say(head.firstElementChild, `${one.confirmed ? "Serving" : "Serve"} ${phaseWords(signal, one.phases)}`);
    say(head.lastElementChild, one.confirmed ? ` · confirmed, ${seconds(left_ms)} left at most` : ` · ${seconds(left_ms)} left to decide`);
    say(why, `${one.controller}: ${one.reason}`);
    const [decline, confirm] = actions.children;
    say(decline, one.confirmed ? "End" : "Decline");
    confirm.hidden = one.confirmed;
  }

  async #decide(id, confirmed) {
    const node = this.list.querySelector(`[data-steering="${CSS.escape(id)}"] .proposal`);
    const error = node.querySelector(".error");
    say(error, "");
    try {
      await (confirmed ? api.confirmAdvice(id, node.dataset.proposal) : api.declineAdvice(id, node.dataset.proposal));
    } catch (problem) {
      say(error, problem.message);
    }
  }

  #ask(id, upwards) {
    const signal = this.model.signal.get(id);
    const at = MODES.indexOf(signal.mode);
    const options = upwards ? MODES.slice(at + 1) : MODES.slice(0, at).reverse();
    const words = options.map((mode) => `${mode}: ${MODE_WORDS[mode]}`).join(". ");
    this.form.ask({
      title: `${upwards ? "Raise" : "Lower"} the mode of ${named(signal)}?`,
      text: `It is in ${signal.mode}. ${words}. ${upwards ? "What you say stands in the audit." : "The controller is back on its own plan within 3 s of leaving act."}`,
      ok: upwards ? "Raise" : "Lower",
      fields: [
        { name: "mode", label: "Mode", options },
        { name: "reason", label: upwards ? "Reason" : "Reason (optional)", maxlength: 300, ...(upwards ? {} : { required: null }) },
      ],
      save: (said) => (upwards ? api.raiseMode(id, said) : api.lowerMode(id, said)),
    });
  }
}
