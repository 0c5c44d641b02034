// The corridor of each vehicle that has or wants the signals: its way through every intersection it has asked, with a
// countdown. One vehicle's claims at several intersections join into one way.

import { claimName, claimState, claimsOf } from "./priority.js";
import { say } from "./dom.js";
import { named, seconds } from "./words.js";

const L = window.L;

export class Corridor {
  #legs = new Map();
  #approaches = new Map();
  #intersections = new Map();

  constructor(map, model) {
    this.map = map;
    this.model = model;
  }

  setSite(site) {
    for (const key of [...this.#legs.keys()]) this.#remove(key);
    this.#approaches = new Map(site.approaches.map((one) => [one.id, one]));
    this.#intersections = new Map(site.intersections.map((one) => [one.id, one]));
  }

  draw() {
    const now_ms = this.model.now_ms();
    const wanted = new Set();
    for (const claim of claimsOf(this.model)) {
      const points = this.#way(claim);
      if (!points) continue;
      const key = `${claim.place}/${claim.vehicle}`;
      wanted.add(key);
      const leg = this.#legs.get(key) ?? this.#add(key, claim, points);
      leg.line.setLatLngs(points);
      const signal = this.model.signal.get(claim.place);
      const path = leg.line.getElement();
      path?.classList.toggle("is-held", claim.held && signal?.mode === "act");
      if (path) path.dataset.state = claimState(claim, signal);
      const left_ms = claim.held && claim.until_ms !== null ? claim.until_ms - now_ms : claim.arrival_ms - now_ms;
      const words = leg.label.getElement()?.firstElementChild;
      if (words) {
        words.classList.toggle("is-held", claim.held && signal?.mode === "act");
        say(words.firstElementChild, `${claimName(claim)} `);
        say(words.lastElementChild, `${claimState(claim, signal)} · ${claim.held ? "" : "there in "}${seconds(left_ms)}`);
        words.title = `${claimName(claim)} at ${named(signal) || claim.place}`;
      }
    }
    for (const key of this.#legs.keys()) if (!wanted.has(key)) this.#remove(key);
  }

  /** In by its approach, over the middle, and out by its egress where that is a road of the site. */
  #way(claim) {
    const into = this.#approaches.get(claim.approach);
    const middle = this.#intersections.get(claim.place);
    if (!into || !middle) return null;
    const out = this.#approaches.get(claim.egress);
    const points = [...into.line, middle.position, ...(out ? [out.line[0]] : [])];
    return points.map(([longitude, latitude]) => [latitude, longitude]);
  }

  #add(key, claim, points) {
    const line = L.polyline(points, { className: "corridor", interactive: false }).addTo(this.map);
    line.bringToBack();
    line.getElement().dataset.corridor = key;
    const icon = L.divIcon({ className: "corridor-label", iconSize: null, html: "<span><b></b><i></i></span>" });
    const [longitude, latitude] = this.#intersections.get(claim.place).position;
    const label = L.marker([latitude, longitude], { icon, keyboard: false, interactive: false, zIndexOffset: 900 }).addTo(this.map);
    const several = [...this.#legs.keys()].filter((known) => known.startsWith(`${claim.place}/`)).length;
    label.getElement().firstElementChild.style.top = `${-34 - 22 * several}px`;
    const leg = { line, label };
    this.#legs.set(key, leg);
    return leg;
  }

  #remove(key) {
    const { line, label } = this.#legs.get(key);
    line.remove();
    label.remove();
    this.#legs.delete(key);
  }
}
