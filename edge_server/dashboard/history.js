// The index over time, with its 90 % interval as a band, and the bounds between classes.

import { api } from "./api.js";
import { $, say } from "./dom.js";
import { onTheme } from "./theme.js";
import { fixed } from "./words.js";

const POINTS = 900;
const BOUNDS = [0.25, 0.5, 0.8];
const uPlot = window.uPlot;

export class History {
  #plot = null;
  #id = null;
  #asked = 0;
  #points = []; // [seconds, low, high, index], oldest first, at most POINTS and a few

  constructor(model) {
    this.model = model;
    $("history-range").addEventListener("change", () => this.load());
    onTheme(() => this.#build());
    new ResizeObserver(() => this.#plot?.setSize(size())).observe($("history"));
  }

  show(id) {
    if (id === this.#id) return;
    this.#id = id;
    this.load();
  }

  /** Read the range anew: on a choice, and after a time without news. */
  async load() {
    const asked = ++this.#asked;
    const range_s = this.#range();
    this.#points = [];
    try {
      const rows = await api.history(this.#id, range_s, Math.max(1, range_s / POINTS));
      if (asked !== this.#asked) return;
      this.#points = rows.map((row) => [row.at_ms / 1000, row.low, row.high, row.index]);
    } catch {
      if (asked !== this.#asked) return; // the banner tells that the server is gone
    }
    this.#build();
  }

  /** Add the newest observation; one point for each step of the range. */
  append(approach) {
    if (!this.#plot || approach?.id !== this.#id || !approach.index || approach.received_ms === null) return;
    const at_s = approach.received_ms / 1000;
    const last = this.#points.at(-1)?.[0] ?? 0;
    const step_s = Math.max(1, this.#range() / POINTS);
    if (at_s - last < step_s) return;
    this.#points.push([at_s, approach.index.low, approach.index.high, approach.index.value]);
    const oldest_s = at_s - this.#range();
    const keep = this.#points.findIndex((point) => point[0] >= oldest_s);
    if (keep > 0) this.#points.splice(0, keep);
    this.#plot.setData(this.#data());
    this.#words();
  }

  #range() {
    return Number($("history-range").value);
  }

  #data() {
    return [0, 1, 2, 3].map((column) => this.#points.map((point) => point[column]));
  }

  #words() {
    const values = this.#points.map((point) => point[3]).filter((value) => value !== null);
    const words = values.length
      ? `Least ${fixed(Math.min(...values))}, most ${fixed(Math.max(...values))}, now ${fixed(values.at(-1))}. The band holds 90 %.`
      : "No figures in this time.";
    say($("history-words"), words);
  }

  #build() {
    this.#plot?.destroy();
    $("history").replaceChildren();
    const css = getComputedStyle(document.documentElement);
    const colour = (name) => css.getPropertyValue(name).trim();
    const axis = { stroke: colour("--muted"), grid: { stroke: colour("--grid"), width: 1 }, ticks: { show: false }, font: "11px system-ui, sans-serif" };
    this.#plot = new uPlot(
      {
        ...size(),
        legend: { show: false },
        cursor: { drag: { x: false, y: false } },
        scales: { x: { range: (plot, low, high) => this.#span(low, high) }, y: { range: [0, 1] } },
        axes: [
          { ...axis, values: (plot, ticks) => ticks.map((tick) => hourOf(tick)), space: 60 },
          { ...axis, splits: [0, ...BOUNDS, 1], values: (plot, ticks) => ticks.map((tick) => tick.toFixed(2)), size: 38 },
        ],
        series: [
          {},
          { stroke: "transparent", points: { show: false } },
          { stroke: "transparent", points: { show: false } },
          { stroke: colour("--accent"), width: 2, points: { show: false } },
        ],
        bands: [{ series: [2, 1], fill: colour("--band") }],
      },
      this.#data(),
      $("history"),
    );
    this.#words();
  }

  #span(low, high) {
    const end = Math.max(high ?? 0, this.model.now_ms() / 1000);
    return [end - this.#range(), end];
  }
}

const size = () => ({ width: Math.max(120, $("history").clientWidth), height: Math.max(150, $("history").clientHeight) });
const clock = new Intl.DateTimeFormat([], { hour: "2-digit", minute: "2-digit", hour12: false });
const hourOf = (at_s) => clock.format(at_s * 1000);
