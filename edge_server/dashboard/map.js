// The city: roads, congestion, signal heads at their stop lines, who steers, and vehicles. No tiles: the site is data.

import { Corridor } from "./corridor.js";
import { $, blank, say } from "./dom.js";
import { controlBadge, headsIcon } from "./signals.js";
import { SHOWN_WORDS, certainty, fixed, named, shownAs, stateWords } from "./words.js";

const L = window.L;
const STATES = Object.keys(SHOWN_WORDS);
const VEHICLE_KEPT_MS = 30_000;
const NEAR_M_PER_PX = 0.4; // closer than this there is room for whole words
const MIDDLE_M_PER_PX = 1; // thinner lines, so that the two directions of a road stay apart
const FAR_M_PER_PX = 1.7; // colours and patterns must do: labels would cover each other
const DISTANT_M_PER_PX = 2.2; // and from here heads, too
const HEAD_OFFSET_PX = 17;
const LABEL_OFFSET_PX = [42, 17]; // beside its road, on the traffic's right: the other direction has its own

export class CityMap {
  #roads = new Map();
  #signals = new Map();
  #vehicles = new Map();
  #bounds = null;

  constructor(model, onChoose) {
    this.model = model;
    this.onChoose = onChoose;
    this.map = L.map("map", { attributionControl: false, zoomSnap: 0.25, zoomControl: true, maxZoom: 22 });
    this.map.setView([0, 0], 2);
    this.corridor = new Corridor(this.map, model);
    this.map.on("zoomend", () => {
      const scale = this.#metresPerPixel();
      $("map").classList.toggle("near", scale < NEAR_M_PER_PX);
      $("map").classList.toggle("middle", scale > MIDDLE_M_PER_PX);
      $("map").classList.toggle("far", scale > FAR_M_PER_PX);
      $("map").classList.toggle("distant", scale > DISTANT_M_PER_PX);
    });
    L.control.scale({ imperial: false }).addTo(this.map);
    $("fit").addEventListener("click", () => this.fit());
    new ResizeObserver(() => this.map.invalidateSize({ pan: false })).observe($("map"));
  }

  setSite(site) {
    for (const road of this.#roads.values()) for (const layer of road.layers) layer.remove();
    for (const signal of this.#signals.values()) for (const marker of signal.markers) marker.remove();
    this.#roads.clear();
    this.#signals.clear();
    const points = [];
    for (const one of site.intersections) this.#addIntersection(one, site, points);
    for (const approach of site.approaches) this.#addRoad(approach, points);
    this.#bounds = points.length ? L.latLngBounds(points) : null;
    blank(
      $("map-blank"),
      site.id === null
        ? "No site yet. Give the server a site.toml (kinflow site check FILE judges it), or start kinflow city run for a simulated one."
        : "",
    );
    this.corridor.setSite(site);
    this.fit();
    this.drawRoads();
    this.drawSignals();
    this.corridor.draw();
  }

  fit() {
    if (this.#bounds) this.map.fitBounds(this.#bounds.pad(0.06), { animate: false });
  }

  #metresPerPixel() {
    const { lat } = this.map.getCenter();
    return (40_075_017 * Math.cos((lat * Math.PI) / 180)) / 2 ** (this.map.getZoom() + 8);
  }

  choose(id) {
    for (const [name, road] of this.#roads) road.line.getElement()?.classList.toggle("chosen", name === id);
  }

  drawRoads() {
    const now_ms = this.model.now_ms();
    for (const [id, road] of this.#roads) {
      const approach = this.model.approach.get(id);
      const shown = shownAs(approach, now_ms);
      const path = road.line.getElement();
      if (!path) continue;
      if (road.shown !== shown) {
        for (const state of STATES) path.classList.toggle(`is-${state}`, state === shown);
        path.dataset.shown = shown;
        road.shown = shown;
      }
      const opacity = STATES.indexOf(shown) < 4 ? certainty(approach) : 1;
      if (Math.abs((road.opacity ?? 0) - opacity) > 0.02) {
        path.style.strokeOpacity = opacity;
        road.opacity = opacity;
      }
      const value = approach?.index?.value;
      const figure = STATES.indexOf(shown) < 4 && value !== null && value !== undefined ? ` ${fixed(value)}` : "";
      const emergency = shown !== "stale" && ["present", "requested"].includes(approach?.emergency);
      this.#label(road, `${SHOWN_WORDS[shown]}${figure}`, shown, emergency);
      road.line.setTooltipContent(
        `${named(approach) || id}: ${SHOWN_WORDS[shown]}${figure}${approach ? ` (${stateWords(approach, now_ms)})` : ""}`,
      );
    }
  }

  drawSignals() {
    for (const [id, placed] of this.#signals) {
      const signal = this.model.signal.get(id);
      controlBadge(placed.badge.getElement(), signal, this.model);
      for (const { marker, phases } of placed.heads) headsIcon(marker.getElement(), phases, signal, this.model);
    }
  }

  drawVehicles() {
    const now_ms = this.model.now_ms();
    for (const [id, vehicle] of this.model.vehicle) {
      if (now_ms - vehicle.received_ms > VEHICLE_KEPT_MS) continue;
      const at = [vehicle.latitude, vehicle.longitude];
      let marker = this.#vehicles.get(id);
      if (!marker) {
        const icon = L.divIcon({ className: "vehicle", iconSize: [26, 26], html: VEHICLE });
        marker = L.marker(at, { icon, keyboard: false, interactive: true, zIndexOffset: 1000 }).addTo(this.map);
        marker.bindTooltip("");
        this.#vehicles.set(id, marker);
      }
      marker.setLatLng(at);
      const node = marker.getElement();
      node.classList.toggle("beacons", vehicle.beacons);
      node.dataset.vehicle = id;
      node.querySelector(".arrow").setAttribute("transform", `rotate(${vehicle.heading_deg} 13 13)`);
      marker.setTooltipContent(text(`${vehicle.role.replace("-", " ")} ${id}, ${(vehicle.speed_mps * 3.6).toFixed(0)} km/h`));
    }
    for (const [id, marker] of this.#vehicles) {
      const vehicle = this.model.vehicle.get(id);
      if (vehicle && now_ms - vehicle.received_ms <= VEHICLE_KEPT_MS) continue;
      marker.remove();
      this.#vehicles.delete(id);
    }
  }

  #addRoad(approach, points) {
    const line = approach.line.map(([longitude, latitude]) => [latitude, longitude]);
    points.push(...line);
    const bed = L.polyline(line, { className: "road-bed", interactive: false }).addTo(this.map);
    const shown = L.polyline(line, { className: "road", bubblingMouseEvents: false }).addTo(this.map);
    shown.bindTooltip(text(approach.name || approach.id), { sticky: true });
    shown.on("click", () => this.onChoose(approach.id));
    shown.getElement().dataset.approach = approach.id;
    const label = L.marker(along(line, 0.5), {
      icon: L.divIcon({ className: "road-label", iconSize: null, html: "<span></span>" }),
      keyboard: false,
      interactive: false,
    }).addTo(this.map);
    const [aside, down] = kerbSide(line);
    const words = label.getElement().firstElementChild;
    words.style.left = `${aside * LABEL_OFFSET_PX[0]}px`;
    words.style.top = `${down * LABEL_OFFSET_PX[1]}px`;
    this.#roads.set(approach.id, { line: shown, label, layers: [bed, shown, label] });
    const placed = this.#signals.get(approach.intersection);
    const phases = [...new Set(approach.lanes.flatMap((lane) => lane.phases))];
    if (placed && phases.length) {
      const icon = L.divIcon({ className: "heads", iconSize: null, html: '<span class="place"></span>' });
      const marker = L.marker(line.at(-1), { icon, keyboard: false, interactive: false, zIndexOffset: 500 }).addTo(this.map);
      marker.getElement().dataset.approach = approach.id;
      const [x, y] = kerbSide(line);
      const place = marker.getElement().firstElementChild;
      place.style.left = `${x * HEAD_OFFSET_PX}px`;
      place.style.top = `${y * HEAD_OFFSET_PX}px`;
      placed.heads.push({ marker, phases });
      placed.markers.push(marker);
    }
  }

  #addIntersection(one, site, points) {
    const at = [one.position[1], one.position[0]];
    points.push(at);
    const icon = L.divIcon({ className: "control", iconSize: null, html: CONTROL });
    const badge = L.marker(at, { icon, keyboard: false, interactive: false, zIndexOffset: 600 }).addTo(this.map);
    badge.getElement().dataset.intersection = one.id;
    const stops = site.approaches.filter((approach) => approach.intersection === one.id).map((approach) => approach.line.at(-1));
    const radius = Math.min(...stops.map(([longitude, latitude]) => this.map.distance(at, [latitude, longitude])), 40);
    const junction = L.circle(at, { radius, className: "junction", interactive: false }).addTo(this.map);
    this.#signals.set(one.id, { badge, heads: [], markers: [badge, junction] });
  }

  #label(road, words, shown, emergency) {
    const node = road.label.getElement()?.firstElementChild;
    if (!node) return;
    say(node, words);
    node.className = `is-${shown}${emergency ? " emergency" : ""}`;
  }
}

const CONTROL = '<span class="pill"><span class="first"></span><span class="rest"></span></span>';
const VEHICLE =
  '<svg viewBox="0 0 26 26" aria-hidden="true"><circle class="halo" cx="13" cy="13" r="12"/><g class="arrow"><path d="M13 3 21 21 13 17 5 21Z"/></g></svg>';

function text(words) {
  const node = document.createElement("span");
  node.textContent = words;
  return node;
}

/** On the screen, one step to the right of the traffic at the stop line, and a little back: where a pole stands. */
function kerbSide(line) {
  const [from, to] = [line.at(-2), line.at(-1)];
  const x = (to[1] - from[1]) * Math.cos((to[0] * Math.PI) / 180);
  const y = from[0] - to[0]; // down on the screen
  const length = Math.hypot(x, y) || 1;
  return [(-y - 0.3 * x) / length, (x - 0.3 * y) / length];
}

/** The point at `share` of a line's length. */
function along(line, share) {
  const lengths = line.slice(1).map((point, i) => Math.hypot(point[0] - line[i][0], point[1] - line[i][1]));
  let left = lengths.reduce((sum, one) => sum + one, 0) * share;
  for (let i = 0; i < lengths.length; i++) {
    if (left <= lengths[i] && lengths[i] > 0) {
      const part = left / lengths[i];
      return [0, 1].map((axis) => line[i][axis] + part * (line[i + 1][axis] - line[i][axis]));
    }
    left -= lengths[i];
  }
  return line.at(-1);
}
