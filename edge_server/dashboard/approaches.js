// The list of approaches (what the map says, in words), the summary tiles, and the choice of the one looked at closely.

import { $, blank, el, keyed, say } from "./dom.js";
import { CLASSES, SHOWN_WORDS, fixed, named, plural, shownAs, stateWords } from "./words.js";

export class Approaches {
  #options = "";

  constructor(model, onChoose) {
    this.model = model;
    this.onChoose = onChoose;
    this.chosen = null;
    $("approach-choice").addEventListener("change", (event) => onChoose(event.target.value));
  }

  draw() {
    const now_ms = this.model.now_ms();
    const approaches = [...this.model.approach.values()].sort((a, b) => named(a).localeCompare(named(b)));
    blank(
      $("approaches-blank"),
      approaches.length ? "" : "No approaches yet. They come from the site file, or from the first camera that reports.",
    );
    keyed($("approaches"), approaches, (one) => one.id, (one) => this.#row(one), (row, one) => this.#update(row, one, now_ms));
    const options = approaches.map((one) => `${one.id}\n${named(one)}`).join("\n");
    $("approach-choice").hidden = !approaches.length;
    if (options !== this.#options) {
      this.#options = options;
      $("approach-choice").replaceChildren(...approaches.map((one) => el("option", { value: one.id, text: named(one) })));
      if (this.chosen) $("approach-choice").value = this.chosen;
    }
    if (approaches.length && !this.model.approach.has(this.chosen)) this.onChoose(worst(approaches, now_ms).id);
    this.#tile(approaches, now_ms);
  }

  choose(id) {
    this.chosen = id;
    $("approach-choice").value = id;
    for (const row of $("approaches").rows) {
      row.classList.toggle("chosen", row.dataset.approach === id);
      row.querySelector("button").setAttribute("aria-pressed", String(row.dataset.approach === id));
    }
  }

  #row(approach) {
    const pressed = String(approach.id === this.chosen);
    const button = el("button", { type: "button", class: "link-button", "aria-pressed": pressed });
    button.addEventListener("click", () => this.onChoose(approach.id));
    return el(
      "tr",
      { "data-approach": approach.id, class: approach.id === this.chosen ? "chosen" : "" },
      el("th", { scope: "row" }, button),
      el("td", {}, el("span", { class: "class-chip" })),
      el("td", { class: "number" }),
      el("td", { class: "number" }),
      el("td", { class: "state" }),
    );
  }

  #update(row, approach, now_ms) {
    const [name, chip, index, queue, state] = row.children;
    const shown = shownAs(approach, now_ms);
    const known = CLASSES.includes(shown);
    say(name.firstElementChild, named(approach));
    classChip(chip.firstElementChild, shown);
    say(index, known ? fixed(approach.index?.value) : "–");
    say(queue, known && approach.queue_m ? `${fixed(approach.queue_m.value, 0)} m` : "–");
    say(state, stateWords(approach, now_ms));
  }

  #tile(approaches, now_ms) {
    const counts = {};
    for (const one of approaches) counts[shownAs(one, now_ms)] = (counts[shownAs(one, now_ms)] ?? 0) + 1;
    const tile = $("tile-approaches");
    const busy = (counts.jam ?? 0) + (counts.dense ?? 0);
    const known = CLASSES.reduce((sum, state) => sum + (counts[state] ?? 0), 0);
    const figure = known ? `${busy} of ${approaches.length} busy` : "Not known";
    say(tile.querySelector(".figure"), approaches.length ? figure : "None yet");
    const words = [...CLASSES].reverse().filter((state) => counts[state]).map((state) => `${counts[state]} ${state}`);
    if (known < approaches.length) words.push(`${approaches.length - known} not known`);
    say(tile.querySelector(".sub"), words.join(" · "));
    // Green claims that all is well: only where every road is seen.
    tile.dataset.level = counts.jam ? "bad" : counts.dense ? "warn" : known && known === approaches.length ? "ok" : "unknown";
  }
}

export function classChip(node, shown) {
  say(node, SHOWN_WORDS[shown]);
  const name = `class-chip is-${shown}`;
  if (node.className !== name) node.className = name;
}

/** The most congested of those that are known; else the first. */
function worst(approaches, now_ms) {
  const known = approaches.filter((one) => CLASSES.includes(shownAs(one, now_ms)));
  return known.reduce((a, b) => ((b.index.value ?? 0) > (a.index.value ?? 0) ? b : a), known[0] ?? approaches[0]);
}

export function drawSignalTile(model) {
  const signals = [...model.signal.values()];
  const counts = { edge: 0, local: 0, flash: 0, unknown: 0 };
  for (const one of signals) {
    const stale = one.received_ms === null || model.now_ms() - one.received_ms > 10_000;
    counts[stale ? "unknown" : one.control]++;
  }
  const tile = $("tile-signals");
  say(tile.querySelector(".figure"), signals.length ? `${counts.edge} of ${signals.length} steered` : "None");
  const words = [
    counts.local && `${counts.local} on local plan`,
    counts.flash && `${counts.flash} flashing`,
    counts.unknown && `${counts.unknown} not heard`,
  ].filter(Boolean);
  say(tile.querySelector(".sub"), words.join(" · ") || (signals.length ? "all under a lease" : "no signals in this site"));
  tile.dataset.level = level(signals.length, counts.flash || counts.unknown, counts.local);
}

export function drawDeviceTile(model) {
  const devices = [...model.device.values()];
  const online = devices.filter((one) => one.state === "online").length;
  const tile = $("tile-devices");
  say(tile.querySelector(".figure"), devices.length ? `${online} of ${devices.length} online` : "None yet");
  const cameras = [...model.camera.values()];
  const running = cameras.filter((one) => one.state === "running").length;
  say(tile.querySelector(".sub"), cameras.length ? `${running} of ${plural(cameras.length, "camera")} running` : "no cameras");
  tile.dataset.level = level(devices.length, false, online < devices.length || running < cameras.length);
}

/** Nothing there is neither good nor bad. */
function level(count, bad, warn) {
  if (!count) return "unknown";
  return bad ? "bad" : warn ? "warn" : "ok";
}

