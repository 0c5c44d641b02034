// Vehicles that have or want the signals: who, why, for how much longer; and ending it by hand, with a reason.

import { api } from "./api.js";
import { $, el, keyed, say } from "./dom.js";
import { button } from "./panel.js";
import { STALE_MS, age, named, seconds } from "./words.js";

const HIGHER = { railway: "A railway crossing", bridge: "A bridge", "other-system": "Another system" };

export const isCamera = (claim) => claim.vehicle.startsWith("camera:");

/** What was heard long ago holds no more, for all that is known. */
const isOld = (model) => model.offline_since_ms !== null && Date.now() - model.offline_since_ms > STALE_MS;

/** Every claim with its intersection, those that hold first; none when the server has been away for a while. */
export function claimsOf(model) {
  if (isOld(model)) return [];
  return [...model.priority.values()].flatMap((one) => [
    ...(one.holder ? [{ ...one.holder, place: one.id, held: true }] : []),
    ...one.queue.map((claim) => ({ ...claim, place: one.id, held: false })),
  ]);
}

export const claimName = (claim) => (isCamera(claim) ? "Seen by a camera" : claim.vehicle);

/** What a claim comes to: below act nothing is granted. */
export function claimState(claim, signal) {
  const would = signal && signal.mode !== "act";
  if (claim.held) return would ? "would hold" : "holds";
  return would ? "would wait" : "waits";
}

export class Priorities {
  constructor(model, form) {
    this.model = model;
    this.form = form;
    this.list = $("claims");
  }

  draw() {
    const claims = claimsOf(this.model).sort((a, b) => b.held - a.held || a.arrival_ms - b.arrival_ms);
    const old = isOld(this.model);
    const others = old ? [] : [...this.model.priority.values()].flatMap((one) => this.#others(one));
    const rows = [...claims, ...others];
    this.list.querySelector(".blank")?.remove();
    keyed(this.list, rows, keyOf, (row) => this.#make(row), (node, row) => this.#update(node, row));
    if (!rows.length) this.list.append(el("li", { class: "blank", text: old ? "Not known: the server is away." : "No vehicle has the signals, and none asks for them." }));
  }

  /** What outranks everybody, and whose turn it is after a lease. */
  #others(one) {
    const found = Object.entries(one.higher).map(([source, kind]) => ({ place: one.id, key: source, title: HIGHER[kind], badge: "has the signals", why: `${source}: nothing is commanded here until it lets go` }));
    if (one.recovering !== null) {
      const signal = this.model.signal.get(one.id);
      const phase = signal?.phases.find((each) => each.phase === one.recovering);
      const turn = one.recovering ? `${phase?.name || `phase ${one.recovering}`} has waited longest and is served first` : "who has waited longest is served first";
      found.push({ place: one.id, key: "recovery", title: "The others' turn", badge: "after a lease", why: turn });
    }
    return found;
  }

  #make(row) {
    const place = named(this.model.signal.get(row.place)) || row.place;
    const end = button("End", "", () => this.#ask(row.place, row.vehicle));
    end.dataset.needs = "operator";
    return el(
      "li",
      { class: "claim", "data-claim": keyOf(row) },
      el("p", { class: "row-head" }, el("strong"), el("span", { class: "badge" }), el("span", { class: "place", text: place }), el("span", { class: "countdown when" })),
      el("p", { class: "why" }),
      el("p", { class: "actions" }, end),
    );
  }

  #update(node, row) {
    const [head, why, actions] = node.children;
    const [title, badge, , countdown] = head.children;
    const now_ms = this.model.now_ms();
    if (row.badge) {
      say(title, row.title);
      say(badge, row.badge);
      badge.dataset.claim = "higher";
      say(why, row.why);
      actions.hidden = true;
      return;
    }
    const signal = this.model.signal.get(row.place);
    say(title, claimName(row));
    const state = claimState(row, signal);
    say(badge, state);
    badge.dataset.claim = row.held ? (signal?.mode === "act" ? "held" : "would") : "waiting";
    say(countdown, row.held && row.until_ms !== null ? `${seconds(row.until_ms - now_ms)} left at most` : `there in ${seconds(row.arrival_ms - now_ms)}`);
    say(why, this.#why(row, signal, now_ms));
    const end = actions.firstElementChild;
    actions.hidden = isCamera(row);
    say(end, row.held ? "End" : "Refuse");
    end.setAttribute("aria-label", `${row.held ? "End" : "Refuse"}: ${row.vehicle}`);
  }

  #why(claim, signal, now_ms) {
    const from = this.model.approach.get(claim.approach);
    const way = `from ${named(from) || claim.approach}${claim.egress ? ` to ${named(this.model.approach.get(claim.egress)) || claim.egress}` : ""}`;
    const what = claim.level === "preempt" ? "pre-emption" : "priority inside the plan";
    const words = [`${claim.role || "emergency vehicle"} ${way}`, `${what}, importance ${claim.importance}`, `asked ${age(now_ms - claim.asked_ms)} ago`];
    if (claim.held && signal?.mode !== "act") words.push(`mode ${signal?.mode}: nothing is granted`);
    else if (claim.held && signal?.control !== "edge") words.push("this server does not steer here now");
    else if (claim.held && signal?.lease) words.push(`${signal.lease.edge} has the controller's lease`);
    return words.join("; ");
  }

  #ask(place, vehicle) {
    const claim = claimsOf(this.model).find((one) => one.place === place && one.vehicle === vehicle);
    if (!claim) return;
    const where = named(this.model.signal.get(place)) || place;
    this.form.ask({
      title: claim.held ? `End ${vehicle}'s lease at ${where}?` : `Refuse ${vehicle} at ${where}?`,
      text: "It is locked out for a while, and whoever waited longest is served first. What you say stands in the audit and in the log of pre-emption.",
      ok: claim.held ? "End it" : "Refuse it",
      fields: [{ name: "reason", label: "Reason", maxlength: 300 }],
      save: ({ reason }) => api.endPreemption(place, vehicle, reason),
    });
  }
}

const keyOf = (row) => `${row.place}/${row.vehicle ?? row.key}`;
