// Puts the parts together: one model, one stream, and each part told when what it shows has changed.

import { Alarms } from "./alarms.js";
import { api } from "./api.js";
import { AssistantCard } from "./assistant.js";
import { Approaches, drawDeviceTile, drawSignalTile } from "./approaches.js";
import { Audit } from "./audit.js";
import { CameraView } from "./camera.js";
import { Corrections } from "./corrections.js";
import { Devices } from "./devices.js";
import { Dialog } from "./dialog.js";
import { $, blank, el, say } from "./dom.js";
import { Events } from "./events.js";
import { Form } from "./form.js";
import { History } from "./history.js";
import { CityMap } from "./map.js";
import { Joining } from "./joining.js";
import { Me } from "./me.js";
import { Model } from "./model.js";
import { People } from "./people.js";
import { Priorities } from "./priority.js";
import { Programs } from "./programs.js";
import { Replay } from "./replay.js";
import { Shadow } from "./shadow.js";
import { Signals } from "./signals.js";
import { Steering } from "./steering.js";
import { Stream } from "./stream.js";
import { startTheme } from "./theme.js";
import { Updates } from "./updates.js";
import { SHOWN_WORDS, age, plural, time } from "./words.js";

const model = new Model();
const dialog = new Dialog();
const alarms = new Alarms(model, dialog);
const camera = new CameraView(model);
const corrections = new Corrections(model, dialog);
const devices = new Devices(model, dialog);
const events = new Events(model);
const history = new History(model);
const signals = new Signals(model);
const updates = new Updates(dialog);
const approaches = new Approaches(model, choose);
const map = new CityMap(model, choose);
const form = new Form();
const me = new Me(form);
const steering = new Steering(model, form);
const priorities = new Priorities(model, form);
const shadow = new Shadow(model);
const replay = new Replay(model);
const assistant = new AssistantCard();
const people = new People(form, loadAdmin);
const programs = new Programs(form, loadAdmin);
const audit = new Audit();
const joining = new Joining(form, () => me.known?.role);
let site = null;

/** What only an admin sees is asked for only by one. */
function loadAdmin() {
  joining.load();
  if (me.known?.role !== "admin") return;
  people.load();
  programs.load();
  audit.load();
}

function choose(id) {
  approaches.choose(id);
  map.choose(id);
  camera.draw(id);
  history.show(id);
}

function drawApproaches() {
  approaches.draw();
  map.drawRoads();
  camera.draw(approaches.chosen);
  history.append(model.approach.get(approaches.chosen));
  blank($("approach-blank"), approaches.chosen ? "" : "Choose an approach on the map or in the list, once there is one.");
}

function drawDevices() {
  devices.draw();
  drawDeviceTile(model);
}

/** At most once a second: a fleet of thousands says something all the time. */
function slowly(draw) {
  let timer = 0;
  let again = false;
  return function run() {
    if (timer) {
      again = true;
      return;
    }
    draw();
    timer = setTimeout(() => {
      timer = 0;
      if (again) run();
      again = false;
    }, 1000);
  };
}

function drawSignals() {
  signals.draw();
  map.drawSignals();
  drawSignalTile(model);
  steering.draw();
}

function drawClaims() {
  priorities.draw();
  map.corridor.draw();
}

function drawLink(state = stream.state) {
  const since_ms = model.offline_since_ms;
  const link = $("link");
  const server = model.server.get("edge");
  const deaf = state === "live" && server && !server.broker_connected;
  link.dataset.state = deaf ? "offline" : state;
  document.body.classList.toggle("offline", state === "offline" || state === "signed-out");
  const cramped = state === "live" && !deaf ? crampedWords(server) : "";
  $("banner").hidden = state === "connecting" || (state === "live" && !deaf && !cramped);
  $("retry").hidden = deaf || Boolean(cramped);
  if (state === "connecting") return;
  if (state === "live") {
    say($("link-text"), deaf ? "No broker" : `Live · ${time(model.now_ms())}`);
    if (deaf) say($("banner-text"), "The server has lost its broker and hears no device. Check that the broker runs; the server keeps trying.");
    if (cramped) say($("banner-text"), cramped);
    return;
  }
  say($("link-text"), state === "signed-out" ? "Signed out" : "Offline");
  say(
    $("banner-text"),
    state === "signed-out"
      ? "You are signed out here. Reload the page to sign in again."
      : `No word from the server since ${time(since_ms)} (${age(Date.now() - since_ms)}). What you see is old. It is tried again by itself; check that kinflow edge run is up and this machine's network.`,
  );
}

/** What little room on the server's disk means, or "" while there is enough. */
function crampedWords(server) {
  if (!server || !["very-low", "full"].includes(server.disk)) return "";
  const lost = `${plural(server.given_up, "reading was", "readings were")} not stored`;
  return server.disk === "full"
    ? `The server's disk is full: alarms use the last reserve, readings wait in their devices (${lost}). Free some space.`
    : `The server's disk is nearly full: alarms are stored, readings are not (${lost}). Free some space.`;
}

async function loadSite() {
  try {
    const found = await api.site();
    if (JSON.stringify(found) === JSON.stringify(site)) return;
    site = found;
  } catch {
    return; // the banner tells; it is asked for again when the stream is back
  }
  say($("site-name"), [site.name || site.id || "No site", site.simulated ? "simulated" : ""].filter(Boolean).join(" · "));
  camera.setSite(site);
  map.setSite(site);
  if (approaches.chosen) map.choose(approaches.chosen);
}

function drawLegend() {
  const items = Object.keys(SHOWN_WORDS)
    .filter((state) => state !== "stale")
    .map((state) => {
      const line = `<svg viewBox="0 0 34 10" aria-hidden="true"><path class="road is-${state}" d="M2 5H32"/></svg>`;
      const item = el("li");
      item.innerHTML = line; // our own words only
      item.append(SHOWN_WORDS[state]);
      return item;
    });
  $("legend").append(...items, el("li", { class: "sub", text: "paler = less certain" }), el("li", { class: "corridor-key", text: "corridor of a vehicle that has or wants the signals" }), el("li", { class: "sub", text: "E edge, L local plan, F flashing, ? not heard" }));
}

model.on(["approach"], drawApproaches);
model.on(["signal"], drawSignals);
model.on(["priority", "signal"], drawClaims);
model.on(["device", "camera"], slowly(drawDevices));
model.on(["vehicle"], () => map.drawVehicles());
model.on(["alarm"], () => alarms.draw());
model.on(["correction"], () => corrections.draw());
model.on(["event"], () => events.draw());

const stream = new Stream(model, (state) => {
  drawLink(state);
  if (state === "live") {
    me.load();
    loadSite();
    updates.load();
    shadow.load();
    replay.load();
    if (approaches.chosen) history.load();
  }
});

$("retry").addEventListener("click", () => stream.open());
$("wrong-class").addEventListener("click", () => corrections.askClass(model.approach.get(approaches.chosen)));
// Ages and what is stale change without an event.
setInterval(() => {
  drawLink();
  model.changed("approach", "signal", "priority", "vehicle", "device", "alarm");
}, 1000);

me.on(loadAdmin);
me.on((known) => assistant.open(known));
startTheme();
drawLegend();
stream.open();
