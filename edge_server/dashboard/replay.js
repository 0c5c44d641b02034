// An event of pre-emption again, step by step, out of the logs: claims, lamps, decisions.

import { api } from "./api.js";
import { blank, el, keyed, say } from "./dom.js";
import { button, panel } from "./panel.js";
import { makeHead, showLamp } from "./signals.js";
import { age, named, plural, seconds, time } from "./words.js";

const LOOK_MS = 30_000;
const PLAY_MS = 700;
const KIND_WORDS = { claims: "claims", lamps: "lamps", decision: "decision" };

export class Replay {
  #frames = [];
  #at = 0;
  #timer = 0;
  #shown = "";

  constructor(model) {
    this.model = model;
    const { card, body, actions, problem } = panel({ id: "replay", title: "Replay of a pre-emption", needs: null });
    this.card = card;
    this.problem = problem;
    this.choice = el("select", { id: "replay-choice", "aria-label": "Event shown", onchange: () => this.#open(this.choice.value) });
    this.again = button("Look again", "events of pre-emption", () => this.load());
    actions.append(this.choice, this.again);
    this.empty = el("p", { class: "blank", hidden: "" });
    this.range = el("input", { type: "range", id: "replay-step", min: 0, max: 0, value: 0, "aria-label": "Step", oninput: () => this.#go(Number(this.range.value)) });
    this.back = button("Step back", "", () => this.#go(this.#at - 1));
    this.play = button("Play", "", () => this.#toggle());
    this.on = button("Step forward", "", () => this.#go(this.#at + 1));
    this.head = el("p", { class: "row-head" }, el("strong", { id: "replay-time" }), el("span", { class: "badge", id: "replay-kind" }), el("span", { id: "replay-text", "aria-live": "polite" }));
    this.lamps = el("p", { class: "phases", id: "replay-lamps" });
    this.claims = el("ul", { class: "replay-claims", id: "replay-claims" });
    this.commanded = el("p", { class: "why", id: "replay-commanded" });
    this.steps = el("div", { class: "replay-body" }, el("p", { class: "replay-controls" }, this.back, this.play, this.on, this.range), this.head, this.claims, this.lamps, this.commanded);
    body.append(this.empty, this.steps);
    setInterval(() => this.load(), LOOK_MS);
  }

  async load() {
    if (document.hidden) return;
    let found;
    try {
      found = await api.episodes();
      say(this.problem, "");
    } catch (error) {
      if (error.status) say(this.problem, error.message);
      return;
    }
    const chosen = this.choice.value;
    keyed(this.choice, found, (one) => one.id, (one) => el("option", { value: one.id }), (node, one) => say(node, this.#title(one)));
    if (found.some((one) => one.id === chosen)) this.choice.value = chosen;
    this.choice.hidden = this.steps.hidden = !found.length;
    blank(this.empty, found.length ? "" : "No vehicle has asked for the signals since the log was begun.");
    if (found.length && this.#shown !== this.choice.value) await this.#open(this.choice.value);
  }

  #title(one) {
    const who = one.vehicles.map((name) => name.replace("camera:", "camera on ")).join(", ");
    const long = one.ended_ms === null ? "goes on" : age(one.ended_ms - one.begun_ms);
    return `${time(one.begun_ms)} ${named(this.model.signal.get(one.intersection)) || one.intersection}: ${who || "no vehicle"} (${long}, ${plural(one.granted, "lease")})`;
  }

  async #open(id) {
    this.#stop();
    try {
      this.#frames = await api.episode(id);
      say(this.problem, "");
    } catch (error) {
      say(this.problem, error.message);
      return;
    }
    this.#shown = id;
    this.place = id.slice(0, id.lastIndexOf("-"));
    this.range.max = Math.max(0, this.#frames.length - 1);
    this.#go(0);
  }

  #toggle() {
    if (this.#timer) {
      this.#stop();
      return;
    }
    if (this.#at >= this.#frames.length - 1) this.#go(0);
    say(this.play, "Pause");
    this.#timer = setInterval(() => {
      this.#go(this.#at + 1);
      if (this.#at >= this.#frames.length - 1) this.#stop();
    }, PLAY_MS);
  }

  #stop() {
    clearInterval(this.#timer);
    this.#timer = 0;
    say(this.play, "Play");
  }

  #go(at) {
    if (!this.#frames.length) return;
    this.#at = Math.max(0, Math.min(at, this.#frames.length - 1));
    const frame = this.#frames[this.#at];
    const first_ms = this.#frames[0].at_ms;
    this.range.value = this.#at;
    this.range.setAttribute("aria-valuetext", `Step ${this.#at + 1} of ${this.#frames.length}: ${frame.text}`);
    this.back.disabled = this.#at === 0;
    this.on.disabled = this.#at === this.#frames.length - 1;
    say(this.head.children[0], `${time(frame.at_ms)} (+${((frame.at_ms - first_ms) / 1000).toFixed(1)} s)`);
    say(this.head.children[1], KIND_WORDS[frame.kind]);
    this.head.children[1].dataset.kind = frame.kind;
    say(this.head.children[2], frame.text);
    this.#showClaims(frame);
    this.#showLamps(frame);
    say(this.commanded, frame.commanded ? `Last decision: ${frame.commanded}` : "No decision was written down by then.");
  }

  #showClaims(frame) {
    const rows = [
      ...(frame.holder ? [[`${frame.holder.vehicle} holds`, `${way(frame.holder)}, ${seconds(frame.holder.left_ms ?? 0)} left at most`]] : []),
      ...frame.queue.map((one) => [`${one.vehicle} waits`, `${way(one)}, there in ${seconds(one.arrives_in_ms)}`]),
      ...Object.entries(frame.higher).map(([source, kind]) => [`${kind} has the signals`, source]),
      ...(frame.recovering === null ? [] : [["The others' turn", frame.recovering ? `phase ${frame.recovering} first` : "not known yet whose"]]),
    ];
    if (!rows.length) rows.push(["Normal control", ""]);
    this.claims.replaceChildren(...rows.map(([title, text]) => el("li", {}, el("strong", { text: title }), el("span", { class: "sub", text: ` ${text}` }))));
  }

  #showLamps(frame) {
    const phases = this.model.signal.get(this.place)?.phases ?? [];
    keyed(this.lamps, phases, (phase) => `${this.place} ${phase.phase}`, makeHead, (node, phase) => showLamp(node, phase, frame.lamps[phase.phase] ?? "unknown", ""));
  }
}

const way = (one) => `${one.role || "camera"} from ${one.approach}${one.egress ? ` to ${one.egress}` : ""}`;
