// How figures, ages and states are written.

export const CLASSES = ["free", "slow", "dense", "jam"];
export const STALE_MS = 10_000;
const OCCUPANCY_AT_JAM = 0.35;

const clock = new Intl.DateTimeFormat([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
const day = new Intl.DateTimeFormat([], { month: "short", day: "2-digit" });

export function time(at_ms) {
  const old = Date.now() - at_ms > 20 * 3600_000;
  return (old ? `${day.format(at_ms)} ` : "") + clock.format(at_ms);
}

export function age(ms) {
  const s = Math.max(0, Math.round(ms / 1000));
  if (s < 90) return `${s} s`;
  if (s < 5400) return `${Math.round(s / 60)} min`;
  if (s < 48 * 3600) return `${Math.round(s / 3600)} h`;
  return `${Math.round(s / 86_400)} days`;
}

export const fixed = (value, digits = 2) => (value === null || value === undefined ? "–" : value.toFixed(digits));
/** Time left, in whole seconds, never below none. */
export const seconds = (ms) => `${Math.max(0, Math.ceil(ms / 1000))} s`;

/** The names of phases, those of vehicles first. */
export function phaseWords(signal, phases) {
  const known = phases.map((phase) => signal.phases.find((one) => one.phase === phase) ?? { phase, name: "", kind: "vehicle" });
  known.sort((a, b) => (a.kind === "pedestrian") - (b.kind === "pedestrian"));
  return known.map((one) => one.name || `phase ${one.phase}`).join(" and ");
}

export const plural = (count, one, many = `${one}s`) => `${count} ${count === 1 ? one : many}`;
export const indexOf = (occupancy) => Math.min(1, Math.max(0, occupancy / OCCUPANCY_AT_JAM));
export const classOf = (index) => CLASSES[[0.25, 0.5, 0.8].filter((bound) => index >= bound).length];
export const named = (object) => object?.name || object?.id || "";

export function size(mb) {
  if (mb === null || mb === undefined) return "–";
  return mb >= 1024 ? `${(mb / 1024).toFixed(1)} GB` : `${Math.round(mb)} MB`;
}

/**
 * What an approach is shown as: one of the four classes, or why there is none. A road that nobody sees is never free.
 */
export function shownAs(approach, now_ms) {
  if (!approach || approach.status === "none") return "none";
  if (now_ms - approach.received_ms > STALE_MS) return "stale";
  if (approach.status === "learning" || approach.status === "blind") return approach.status;
  return approach.congestion ?? "learning";
}

export const SHOWN_WORDS = {
  free: "free",
  slow: "slow",
  dense: "dense",
  jam: "jam",
  learning: "learning",
  blind: "blind",
  stale: "no news",
  none: "no data",
};

/** 1 for a sure figure, down to 0.4 for one that might be anything. */
export function certainty(approach) {
  if (!approach?.index) return 1;
  return 1 - 0.6 * Math.min(1, Math.max(0, (approach.index.high - approach.index.low) / 0.8));
}

export function stateWords(approach, now_ms) {
  if (approach.status === "none") return "nothing heard yet";
  const old_ms = now_ms - approach.received_ms;
  if (old_ms > STALE_MS) return `last heard ${age(old_ms)} ago`;
  const words = [];
  if (approach.status === "learning") words.push("learning the empty road");
  else if (approach.status === "blind") words.push("camera sees nothing");
  else if (approach.status === "degraded") words.push("degraded");
  for (const problem of approach.problems) words.push(problem);
  if (!approach.calibrated && !approach.problems.includes("uncalibrated")) words.push("uncalibrated");
  if (approach.emergency === "present" || approach.emergency === "requested") words.unshift(emergencyWords(approach));
  return words.join(", ") || "ok";
}

const VEHICLE_WORDS = { ambulance: "ambulance", police_car: "police car", fire_engine: "fire engine" };

/** The most urgent emergency vehicle, what it wants, and by which evidence. */
export function emergencyWords(approach) {
  const first = approach.emergencies?.[0];
  const name = VEHICLE_WORDS[first?.vehicle] ?? "emergency vehicle";
  const wish = approach.emergency === "requested" ? `${name} asks for way` : name;
  return first?.evidence.length ? `${wish} (${first.evidence.join(" + ")})` : wish;
}
