// Signals: heads with their lamps, who steers each intersection, and why it shows what it shows.

import { $, el, keyed, say, svg } from "./dom.js";
import { STALE_MS, age, named } from "./words.js";

const CONTROL = {
  edge: ["Edge", "steered by an edge server under a lease"],
  local: ["Local plan", "runs its own plan"],
  flash: ["Flashing", "its conflict monitor took over"],
  unknown: ["? Not heard", "its controller has not been heard"],
};
const ASPECT_WORDS = { "pedestrian-clearance": "clearing", unknown: "not known" };

/** A controller that fell silent may show anything: then nothing is claimed. */
export function isStale(signal, model) {
  return !signal || signal.received_ms === null || model.now_ms() - signal.received_ms > STALE_MS;
}

function control(signal, model) {
  return isStale(signal, model) ? "unknown" : signal.control;
}

function aspectOf(signal, phase, model) {
  if (isStale(signal, model)) return "unknown";
  return signal.phases.find((one) => one.phase === phase)?.aspect ?? "unknown";
}

function head() {
  return svg(
    "svg",
    { class: "head", viewBox: "0 0 14 36", "aria-hidden": "true" },
    svg("rect", { class: "case", x: 0.5, y: 0.5, width: 13, height: 35, rx: 4 }),
    svg("circle", { class: "lamp red", cx: 7, cy: 7, r: 4.5 }),
    svg("circle", { class: "lamp yellow", cx: 7, cy: 18, r: 4.5 }),
    svg("circle", { class: "lamp green", cx: 7, cy: 29, r: 4.5 }),
  );
}

function walker() {
  return svg(
    "svg",
    { class: "head", viewBox: "0 0 14 25", "aria-hidden": "true" },
    svg("rect", { class: "case", x: 0.5, y: 0.5, width: 13, height: 24, rx: 4 }),
    svg("circle", { class: "lamp red", cx: 7, cy: 7, r: 4.5 }),
    svg("circle", { class: "lamp green", cx: 7, cy: 18, r: 4.5 }),
  );
}

/** The heads at one stop line: one for each phase that its lanes use. */
export function headsIcon(node, phases, signal, model) {
  if (!node) return;
  const place = node.firstElementChild;
  if (!place.firstElementChild) place.append(...phases.map(head));
  phases.forEach((phase, i) => {
    place.children[i].dataset.aspect = aspectOf(signal, phase, model);
    place.children[i].dataset.phase = phase;
  });
}

export function controlBadge(node, signal, model) {
  if (!node) return;
  const mode = control(signal, model);
  node.dataset.control = mode;
  const lease = mode === "edge" && signal.lease ? ` · ${signal.lease.edge}` : "";
  const [first, rest] = node.firstElementChild.children;
  say(first, CONTROL[mode][0][0]);
  say(rest, CONTROL[mode][0].slice(1));
  node.title = `${named(signal)}: ${CONTROL[mode][1]}${lease}`;
}

export class Signals {
  constructor(model) {
    this.model = model;
    this.list = $("signals");
  }

  draw() {
    const signals = [...this.model.signal.values()];
    if (!signals.length) {
      this.list.replaceChildren(el("li", { class: "blank", text: "No signals: there is no site yet, or its roads are only watched." }));
      this.list.keyed = undefined;
      return;
    }
    this.list.querySelector(".blank")?.remove();
    keyed(this.list, signals, (one) => one.id, make, (node, one) => update(node, one, this.model));
  }
}

function make(signal) {
  return el(
    "li",
    { class: "signal", "data-signal": signal.id },
    el("p", { class: "row-head" }, el("strong"), el("span", { class: "badge" })),
    el("p", { class: "phases" }),
    el("p", { class: "why" }),
  );
}

function update(node, signal, model) {
  const [title, phases, why] = node.children;
  say(title.firstElementChild, named(signal));
  const mode = control(signal, model);
  const badge = title.lastElementChild;
  badge.dataset.control = mode;
  const lease = mode === "edge" ? signal.lease : null;
  say(badge, CONTROL[mode][0].replace("? ", "") + (lease ? ` · ${lease.edge} · epoch ${lease.epoch}` : ""));
  keyed(phases, signal.phases, (phase) => phase.phase, makeHead, (one, phase) => {
    const called = signal.calls.includes(phase.phase) ? ", called" : "";
    showLamp(one, phase, aspectOf(signal, phase.phase, model), called);
    one.classList.toggle("called", Boolean(called));
  });
  say(why, reason(signal, mode, model));
}

/** A pedestrian head has two lamps: walk is its green, clearance blinks it. */
function lamp(aspect) {
  return { walk: "green", "pedestrian-clearance": "clearing" }[aspect] ?? aspect;
}

export function showLamp(node, phase, aspect, more) {
  node.dataset.aspect = aspect;
  node.firstElementChild.dataset.aspect = lamp(aspect);
  node.setAttribute("aria-label", `${phase.name || `Phase ${phase.phase}`}: ${ASPECT_WORDS[aspect] ?? aspect}${more}`);
  node.title = node.getAttribute("aria-label");
  say(node.lastElementChild, phase.name || `Phase ${phase.phase}`);
}

export function makeHead(phase) {
  const picture = phase.kind === "pedestrian" ? walker() : head();
  return el("span", { class: "phase", role: "img", "data-phase": phase.phase }, picture, el("span", { class: "phase-name" }));
}

function reason(signal, mode, model) {
  if (signal.fault) return `${mode === "local" ? "Takes no commands" : "Fault"}: ${signal.fault}`;
  if (mode === "unknown") {
    return signal.received_ms === null
      ? `Waiting for controller ${signal.controller}. Is it switched on and on this broker?`
      : `Controller ${signal.controller} was last heard ${age(model.now_ms() - signal.received_ms)} ago.`;
  }
  const words = mode === "edge" ? signal.decision?.reason ?? "" : CONTROL[mode][1];
  return signal.refusal ? `${words} · last command refused: ${signal.refusal}` : words;
}
