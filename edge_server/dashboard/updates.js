// Updates: what is here to be rolled out, how far a rollout is, and each device's version, state and reason.

import { api } from "./api.js";
import { $, blank, el, keyed, say } from "./dom.js";

const LOOK_MS = 5000;
const ROWS = 200;
const RANK = { failed: 0, asked: 1, waiting: 2, later: 3, successful: 4, none: 5 };
const STATE_WORDS = { asked: "updating", successful: "updated", failed: "failed", waiting: "next", later: "later", none: "–" };
const QUESTIONS = {
  begin: ["Roll out version {version}?", "1 % of the devices come first, then 10 %, then all. Each stage waits for the one before, and stops by itself when devices fail.", "Begin"],
  pause: ["Pause the rollout?", "No further device is asked. Those that were asked go on.", "Pause"],
  resume: ["Go on with the rollout?", "The failures so far are accepted. Further ones stop it again.", "Go on"],
  abort: ["Abort the rollout?", "No further device is asked, for good. Devices that have version {version} keep it.", "Abort"],
};

export class Updates {
  constructor(dialog) {
    this.dialog = dialog;
    this.seen = null;
    for (const name of Object.keys(QUESTIONS)) $(`updates-${name}`).addEventListener("click", () => this.#ask(name));
    setInterval(() => this.load(), LOOK_MS);
  }

  async load() {
    if (document.hidden) return;
    try {
      this.seen = await api.updates();
    } catch {
      return; // the banner tells when the server is away
    }
    this.draw();
  }

  draw() {
    const { available, archs, fault, rollout, devices } = this.seen;
    $("updates-card").hidden = !available && !rollout && !fault;
    const here = available ? `Version ${available} is here, for ${archs.join(" and ")}.` : "No version is here to be rolled out.";
    say($("updates-here"), fault ? `${here} The mirror is not fresh: ${fault}` : here);
    const open = rollout && (rollout.status === "running" || rollout.status === "paused");
    $("updates-status").hidden = !rollout;
    if (rollout) {
      $("updates-status").dataset.state = rollout.status;
      say($("updates-status"), `${rollout.version}: ${rollout.status}`);
      const percent = rollout.stages_percent[Math.min(rollout.stage, rollout.stages_percent.length - 1)];
      say($("updates-stage"), `Stage ${rollout.stage + 1} of ${rollout.stages_percent.length}, ${percent} % of the devices. ${rollout.why}`);
    } else {
      say($("updates-stage"), "");
    }
    $("updates-begin").hidden = open || !available;
    $("updates-pause").hidden = !open || rollout.status !== "running";
    $("updates-resume").hidden = !open || rollout.status !== "paused";
    $("updates-abort").hidden = !open;
    const sorted = [...devices].sort((a, b) => RANK[a.state] - RANK[b.state] || a.device.localeCompare(b.device, [], { numeric: true }));
    blank($("updates-blank"), sorted.length > ROWS ? `And ${sorted.length - ROWS} more.` : "");
    keyed($("updates-devices"), sorted.slice(0, ROWS), (one) => one.device, make, update);
  }

  #ask(name) {
    const version = name === "begin" ? this.seen.available : this.seen.rollout.version;
    const [title, text, ok] = QUESTIONS[name].map((words) => words.replace("{version}", version));
    this.dialog.ask({
      title,
      text,
      ok,
      note: false,
      save: async () => {
        this.seen = await (name === "begin" ? api.beginRollout(version) : api.actOnRollout(name));
        this.draw();
      },
    });
  }
}

function make(one) {
  return el(
    "tr",
    { "data-update": one.device },
    el("th", { scope: "row" }),
    el("td"),
    el("td", {}, el("span", { class: "badge" })),
    el("td"),
  );
}

function update(row, one) {
  const [name, version, state, reason] = row.children;
  say(name, one.device);
  say(version, one.version ?? "unknown");
  const badge = state.firstElementChild;
  badge.dataset.state = one.state === "successful" ? "online" : one.state === "asked" ? "starting" : one.state;
  say(badge, STATE_WORDS[one.state]);
  say(reason, one.code ? `${one.code}: ${one.reason}` : one.present ? "" : "away");
}
