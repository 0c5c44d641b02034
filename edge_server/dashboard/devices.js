// Devices and their cameras: who is there, how they are, and asking a camera to learn its empty road again.

import { api } from "./api.js";
import { $, blank, el, keyed, say } from "./dom.js";
import { age, named, size } from "./words.js";

const WAITING_MANY = 100;
const ROWS = 200; // a fleet of thousands: those that need somebody come first
const RANK = { online: 0, silent: 1, offline: 2 };

export class Devices {
  constructor(model, dialog) {
    this.model = model;
    this.dialog = dialog;
  }

  draw() {
    const all = [...this.model.device.values()].sort(
      (a, b) => RANK[b.state] - RANK[a.state] || a.id.localeCompare(b.id, [], { numeric: true }),
    );
    const devices = all.slice(0, ROWS);
    const cameras = grouped(this.model.camera.values());
    const more = all.length > ROWS ? `And ${all.length - ROWS} more, all doing no worse than these.` : "";
    blank(
      $("devices-blank"),
      devices.length
        ? more
        : "No device is here yet. Make a code under “Devices joining”, type it on the device (kinflow join CODE), then start kinflow agent run.",
    );
    keyed($("devices"), devices, (one) => one.id, make, (row, one) => this.#update(row, one, cameras.get(one.id) ?? []));
  }

  #update(row, device, cameras) {
    const [name, state, list, memory, disk, waiting, heard] = row.children;
    say(name.firstElementChild, named(device));
    say(name.lastElementChild, [device.role, device.simulated ? "simulated" : "", device.software, device.update, device.clock].filter(Boolean).join(" · "));
    const badge = state.firstElementChild;
    badge.dataset.state = device.state;
    say(badge, device.state);
    badge.title = device.reason;
    keyed(list.firstElementChild, cameras, (camera) => camera.id, (camera) => this.#makeCamera(camera), updateCamera);
    const hot = device.temperature_c !== null ? ` · ${Math.round(device.temperature_c)} °C` : "";
    say(memory, device.rss_mb === null ? "–" : size(device.rss_mb) + hot);
    say(disk, size(device.disk_free_mb));
    say(waiting, device.outbox_messages === null ? "–" : String(device.outbox_messages));
    waiting.classList.toggle("warn", (device.outbox_messages ?? 0) > WAITING_MANY);
    say(heard, device.heard_ms ? `${age(this.model.now_ms() - device.heard_ms)} ago` : "–");
  }

  #makeCamera(camera) {
    const button = el("button", { type: "button", class: "quiet small", text: "Relearn road", "data-needs": "operator", "aria-label": `Relearn the empty road of ${camera.id}` });
    button.addEventListener("click", () =>
      this.dialog.ask({
        title: "Learn the empty road again?",
        text: `Camera ${camera.id} forgets what its empty road looks like. Its approach shows “learning” until it has seen the road long enough.`,
        ok: "Relearn",
        note: false,
        save: () => api.relearn(camera.id),
      }),
    );
    return el("li", { "data-camera": camera.id }, el("span", { class: "badge" }), el("span", { class: "camera-words" }), button);
  }
}

function make(device) {
  return el(
    "tr",
    { "data-device": device.id },
    el("th", { scope: "row" }, el("span"), el("span", { class: "sub" })),
    el("td", {}, el("span", { class: "badge" })),
    el("td", {}, el("ul", { class: "cameras" })),
    el("td", { class: "number" }),
    el("td", { class: "number" }),
    el("td", { class: "number" }),
    el("td"),
  );
}

function updateCamera(item, camera) {
  const [badge, words, button] = item.children;
  badge.dataset.state = camera.state;
  say(badge, camera.state === "unknown" ? "not heard" : camera.state);
  const parts = [camera.id];
  if (camera.state === "running") parts.push(`${camera.frames_per_s.toFixed(0)} fps`);
  if (!camera.calibrated) parts.push("uncalibrated");
  if (camera.restarts) parts.push(`${camera.restarts} restarts`);
  if (camera.detail) parts.push(camera.detail);
  say(words, parts.join(" · "));
  button.disabled = camera.state === "unknown";
}

function grouped(cameras) {
  const groups = new Map();
  for (const camera of cameras) groups.set(camera.device, [...(groups.get(camera.device) ?? []), camera]);
  return groups;
}
