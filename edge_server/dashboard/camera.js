// A drawn view of what a camera reports: the road in perspective, its lanes, how full they are, and the queue. It is a
// drawing from figures; a picture never leaves the device.

import { $, el, say, svg } from "./dom.js";
import { CLASSES, certainty, classOf, fixed, indexOf, shownAs, stateWords } from "./words.js";
import { classChip } from "./approaches.js";

const WIDTH = 360;
const HEIGHT = 190;
const NEAR = { y: 180, half: 150 };
const FAR = { y: 22, half: 34 };
const CAR_M = 4.8;
const GAP_M = 2.2;
const DEPTH = 2.2; // how strongly the far end is squeezed

/** Height on the drawing of a point `share` of the visible length away from the stop line. */
function rowOf(share) {
  const seen = (share * (1 + DEPTH)) / (1 + DEPTH * share);
  return NEAR.y + (FAR.y - NEAR.y) * Math.min(1, Math.max(0, seen));
}

const halfAt = (y) => NEAR.half + ((NEAR.y - y) / (NEAR.y - FAR.y)) * (FAR.half - NEAR.half);
const xAt = (across, y) => WIDTH / 2 + (across * 2 - 1) * halfAt(y);

/** The part of a lane between two distances; `from` and `to` across the road, shares of its width. */
function patch(from, to, near, far) {
  const [low, high] = [rowOf(near), rowOf(far)];
  const corners = [[from, low], [to, low], [to, high], [from, high]];
  return corners.map(([across, y]) => `${xAt(across, y).toFixed(1)},${y.toFixed(1)}`).join(" ");
}

/** A queue as cars, one behind the other, as many as fit in its length. */
function cars(lane, queue, length_m) {
  const width = lane.to - lane.from;
  const [from, to] = [lane.from + width * 0.2, lane.to - width * 0.2];
  const shapes = [];
  for (let near = 0.5 / length_m; near + CAR_M / length_m <= queue + 0.01; near += (CAR_M + GAP_M) / length_m) {
    shapes.push(`M${patch(from, to, near, near + CAR_M / length_m).replaceAll(" ", "L")}Z`);
  }
  return shapes.join("");
}

export class CameraView {
  #site = new Map();
  #shape = "";

  constructor(model) {
    this.model = model;
  }

  setSite(site) {
    this.#site = new Map(site.approaches.map((one) => [one.id, one]));
    this.#shape = "";
  }

  draw(id) {
    const approach = this.model.approach.get(id);
    $("approach").hidden = !approach;
    if (!approach) return;
    const now_ms = this.model.now_ms();
    const shown = shownAs(approach, now_ms);
    const known = CLASSES.includes(shown);
    classChip($("approach-class"), shown);
    const { index } = approach;
    say($("approach-index"), known ? fixed(index.value) : "–");
    const interval = index ? `90 % between ${fixed(index.low)} and ${fixed(index.high)}` : "no interval yet";
    const claimed = { learning: `not known yet, ${interval}`, blind: "not known", stale: "not known", none: "not known" };
    say($("approach-interval"), claimed[shown] ?? interval);
    this.#facts(approach, now_ms, known);
    this.#road(approach, shown, known);
    $("wrong-class").disabled = !known;
  }

  #facts(approach, now_ms, known) {
    const span = (one, digits, unit, factor = 1) =>
      one && one.value !== null && known
        ? `${fixed(one.value * factor, digits)} ${unit} (${fixed(one.low * factor, digits)}–${fixed(one.high * factor, digits)})`
        : "–";
    const facts = [
      ["Queue", span(approach.queue_m, 0, "m")],
      ["Speed", span(approach.speed_mps, 0, "km/h", 3.6)],
      ["Vehicles", span(approach.count, 0, "")],
      ["Picture", approach.quality === null ? "–" : `${Math.round(approach.quality * 100)} %`],
      ["State", stateWords(approach, now_ms)],
      ["Camera", [approach.camera ?? "none", approach.sensor === "simulated-truth" ? "(simulated truth)" : ""].join(" ").trim()],
    ];
    const list = $("approach-facts");
    if (!list.firstElementChild) {
      list.append(...facts.map(([term]) => el("div", {}, el("dt", { text: term }), el("dd"))));
    }
    facts.forEach(([, words], i) => say(list.children[i].lastElementChild, words));
  }

  #road(approach, shown, known) {
    const site = this.#site.get(approach.id);
    const lanes = lanesOf(site, approach);
    const length_m = site?.visible_length_m ?? 60;
    const shape = JSON.stringify([approach.id, lanes.map((lane) => [lane.id, lane.from]), length_m]);
    if (shape !== this.#shape) {
      this.#shape = shape;
      $("camera-view").replaceChildren(base(lanes, length_m));
    }
    const drawing = $("camera-view").firstElementChild;
    drawing.setAttribute("data-shown", shown);
    drawing.setAttribute("aria-label", words(approach, shown, lanes, known));
    for (const lane of lanes) {
      const parts = drawing.querySelector(`[data-lane="${CSS.escape(lane.id)}"]`).children;
      const [fill, maybe, queue, label] = parts;
      const said = lane.said;
      const occupancy = known && said ? said.occupancy.value : null;
      const level = occupancy === null ? shown : classOf(indexOf(occupancy));
      fill.setAttribute("class", `lane-fill is-${known ? level : shown}`);
      fill.style.fillOpacity = known ? 0.1 + 0.25 * certainty(approach) : 1;
      const m = known ? said?.queue_m : null;
      const share = (value) => Math.min(1, Math.max(0, (value ?? 0) / length_m));
      queue.setAttribute("class", `queue is-${known ? level : shown}`);
      queue.setAttribute("d", m && m.value > 0 ? cars(lane, share(m.value), length_m) : "");
      maybe.setAttribute("points", m && m.high > (m.value ?? 0) ? patch(lane.from, lane.to, share(m.value), share(m.high)) : "");
      say(label, occupancy === null || said.whole ? "" : `${Math.round(occupancy * 100)} %`);
    }
    const note = known ? "" : { learning: "learning the empty road", blind: "the camera sees nothing", stale: "no news", none: "no data yet" }[shown];
    say(drawing.querySelector(".road-note"), note);
  }
}

function lanesOf(site, approach) {
  const said = new Map(approach.lanes.map((lane) => [lane.id, lane]));
  // A camera that tells no lanes apart speaks for all of them: one queue, and no figure for each lane.
  const whole = approach.occupancy && { occupancy: approach.occupancy, queue_m: approach.queue_m, whole: true };
  const lanes = site?.lanes.length ? site.lanes : approach.lanes.length ? approach.lanes : [{ id: "road", width_m: 1 }];
  const apart = lanes.some((lane) => said.has(lane.id));
  const total = lanes.reduce((sum, lane) => sum + (lane.width_m ?? 1), 0);
  let from = 0;
  return lanes.map((lane) => {
    const to = from + (lane.width_m ?? 1) / total;
    const one = { id: lane.id, from, to, said: said.get(lane.id) ?? (apart ? undefined : whole) };
    from = to;
    return one;
  });
}

/** What changes only with the site: verge, road, lane marks, stop line and a scale. */
function base(lanes, length_m) {
  const step_m = length_m > 100 ? 50 : 20;
  const marks = [];
  for (let m = step_m; m < length_m; m += step_m) {
    const y = rowOf(m / length_m);
    marks.push(svg("line", { class: "scale", x1: xAt(0, y) - 8, x2: xAt(0, y), y1: y, y2: y }));
    marks.push(svg("text", { class: "scale-text", x: xAt(0, y) - 12, y: y + 3.5, "text-anchor": "end", text: `${m} m` }));
  }
  return svg(
    "svg",
    { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img" },
    svg("defs", {}, svg(
      "pattern",
      { id: "hatch", width: 6, height: 6, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" },
      svg("line", { class: "hatch", x1: 0, y1: 0, x2: 0, y2: 6 }),
    )),
    svg("polygon", { class: "carriageway", points: patch(0, 1, 0, 1) }),
    ...lanes.map((lane) =>
      svg(
        "g",
        { "data-lane": lane.id },
        svg("polygon", { class: "lane-fill", points: patch(lane.from, lane.to, 0, 1) }),
        svg("polygon", { class: "queue-maybe", points: "" }),
        svg("path", { class: "queue", d: "" }),
        svg("text", { class: "lane-text", x: xAt((lane.from + lane.to) / 2, 168), y: 172, "text-anchor": "middle" }),
      )),
    ...lanes.slice(1).map((lane) =>
      svg("line", { class: "lane-mark", x1: xAt(lane.from, NEAR.y), y1: NEAR.y, x2: xAt(lane.from, FAR.y), y2: FAR.y })),
    svg("line", { class: "stop-line", x1: xAt(0, NEAR.y), x2: xAt(1, NEAR.y), y1: NEAR.y, y2: NEAR.y }),
    ...marks,
    svg("text", { class: "road-note", x: WIDTH / 2, y: 110, "text-anchor": "middle" }),
  );
}

function words(approach, shown, lanes, known) {
  const heading = `Drawing of ${approach.name || approach.id}: ${shown}`;
  if (!known) return heading;
  const parts = lanes.filter((lane) => lane.said && !lane.said.whole).map((lane, i) => {
    const queue = lane.said.queue_m ? `, queue ${fixed(lane.said.queue_m.value, 0)} m` : "";
    return `lane ${i + 1} ${Math.round((lane.said.occupancy.value ?? 0) * 100)} % occupied${queue}`;
  });
  return [heading, ...parts].join(", ");
}
