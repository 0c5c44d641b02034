// The shadow report: what real controllers did, beside what ours would have done, by a stated model.

import { api } from "./api.js";
import { blank, el, keyed, say } from "./dom.js";
import { panel, table } from "./panel.js";
import { age, fixed, named, time } from "./words.js";

const LOOK_MS = 60_000;
const SPANS = { 24: "24 hours", 168: "7 days", 744: "31 days" };

export class Shadow {
  constructor(model) {
    this.model = model;
    this.found = null;
    const { card, body, actions, problem } = panel({ id: "shadow", title: "Shadow report", needs: null });
    this.card = card;
    this.problem = problem;
    this.place = el("select", { id: "shadow-place", "aria-label": "Intersection of the report", onchange: () => this.draw() });
    this.span = el("select", { id: "shadow-span", "aria-label": "Time of the report", onchange: () => this.load() });
    this.span.append(...Object.entries(SPANS).map(([value, text]) => el("option", { value, text })));
    actions.append(this.place, this.span);
    this.empty = el("p", { class: "blank", hidden: "" });
    this.facts = el("dl", { id: "shadow-facts", class: "facts" });
    this.sides = el("div");
    this.rows = table(this.sides, "shadow-rows", ["Figure", "Real controller", "Ours would"]);
    this.hours = table(this.sides, "shadow-hours", ["Hour", "Agreement", "Vehicles", "Delay, real", "Delay, ours"]);
    this.model_words = el("p", { class: "sub shadow-model" });
    this.sides.append(this.model_words);
    body.append(this.empty, this.facts, this.sides);
    setInterval(() => this.load(), LOOK_MS);
  }

  async load() {
    if (document.hidden) return;
    try {
      this.found = await api.shadow(this.span.value);
      say(this.problem, "");
    } catch (error) {
      if (error.status) say(this.problem, error.message);
      return;
    }
    this.draw();
  }

  draw() {
    if (!this.found) return;
    const reports = this.found.intersections;
    const chosen = this.place.value;
    keyed(this.place, reports, (one) => one.intersection, (one) => el("option", { value: one.intersection }), (node, one) => say(node, named(this.model.signal.get(one.intersection)) || one.intersection));
    if (reports.some((one) => one.intersection === chosen)) this.place.value = chosen;
    const one = reports.find((each) => each.intersection === this.place.value) ?? reports[0];
    this.place.hidden = !reports.length;
    this.facts.hidden = this.sides.hidden = !one;
    blank(this.empty, one ? "" : "Nothing was shadowed: no intersection is in mode shadow or advise, or its controller was not heard.");
    if (one) this.#show(one);
  }

  #show(one) {
    const facts = {
      Compared: `${age(one.compared_s * 1000)} with ${one.control}`,
      "The same": `${percent(one.agreement)} of the time`,
      Overruled: `${percent(one.overruled_share)} of the time${one.overruled[0] ? `, most often: ${one.overruled[0].reason}` : ""}`,
      "Would grant": `${one.would_grant} times`,
      Seen: `${percent(one.seen_share)} of the lanes, ${Math.round(one.arrived)} vehicles`,
      Model: one.model_ratio === null ? "cameras tell of no queues" : `its queue is ${fixed(one.model_ratio)} of what was seen`,
    };
    keyed(this.facts, Object.entries(facts), ([name]) => name, ([name]) => el("div", {}, el("dt", { text: name }), el("dd")), (node, [, text]) => say(node.lastElementChild, text));
    const names = new Map(this.model.signal.get(one.intersection)?.phases.map((phase) => [phase.phase, phase.name]));
    const rows = [
      ["Delay of a vehicle (model)", tenths(one.real.delay_s), tenths(one.ours.delay_s)],
      ["Cycle", tenths(one.real.cycle_s), tenths(one.ours.cycle_s)],
      ...one.real.phases.map((phase, at) => [`Green, ${names.get(phase.phase) || `phase ${phase.phase}`}`, green(phase), green(one.ours.phases[at])]),
    ];
    keyed(this.rows, rows, ([name]) => name, ([name]) => el("tr", {}, el("th", { scope: "row", text: name }), el("td", { "data-side": "real: " }), el("td", { "data-side": "ours: " })), (node, row) => {
      say(node.children[1], row[1]);
      say(node.children[2], row[2]);
    });
    keyed(this.hours, [...one.hours].reverse().slice(0, 48), (hour) => hour.hour_ms, (hour) => el("tr", {}, el("th", { scope: "row", text: time(hour.hour_ms).slice(0, -3) }), el("td", { "data-side": "same: " }), el("td", { "data-side": "vehicles: " }), el("td", { "data-side": "real: " }), el("td", { "data-side": "ours: " })), (node, hour) => {
      [percent(hour.agreement), String(Math.round(hour.arrived)), tenths(hour.real_delay_s), tenths(hour.our_delay_s)].forEach((text, at) => say(node.children[at + 1], text));
    });
    say(this.model_words, this.found.model);
  }
}

const percent = (share) => (share === null ? "–" : `${Math.round(share * 100)} %`);
const tenths = (s) => (s === null ? "–" : `${s.toFixed(1)} s`);
const green = (phase) => `${percent(phase.green_share)}, ${tenths(phase.mean_green_s)} each`;
