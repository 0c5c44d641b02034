// Devices joining: codes with their QR, requests with the key's fingerprint, and the devices that have joined.

import { api } from "./api.js";
import { el, keyed, say } from "./dom.js";
import { button, panel, table } from "./panel.js";
import { time } from "./words.js";

const LOOK_MS = 4000;
const RANK = { viewer: 0, operator: 1, admin: 2 };

export class Joining {
  constructor(form, role) {
    this.form = form;
    this.role = role;
    this.frame = panel({ id: "joining", title: "Devices joining", needs: "operator" });
    this.words = el("p", { class: "sub joining-words" });
    this.frame.body.append(this.words);
    this.requests = table(this.frame.body, "joining-requests", ["Asks to join", "Key", "From", "Decide"]);
    this.quiet = el("p", { class: "blank", text: "No device asks to join. Make a code, and type it on the device: kinflow join CODE." });
    this.frame.body.append(this.quiet, el("h3", { class: "joining-head", text: "Joined" }));
    this.devices = table(this.frame.body, "joining-devices", ["Device", "State", "Certificate until", "Key", "Change"]);
    this.frame.actions.append(button("Make a code", "", () => this.#make()));
    setInterval(() => document.visibilityState === "visible" && this.load(), LOOK_MS);
  }

  async load() {
    if ((RANK[this.role()] ?? -1) < RANK.operator) return;
    try {
      const view = await api.trust();
      say(this.frame.problem, "");
      this.#draw(view);
    } catch (error) {
      say(this.frame.problem, error.status === 404 ? "This server has no authority." : error.message);
    }
  }

  #draw(view) {
    const codes = view.codes.length === 1 ? "1 code waits to be used." : `${view.codes.length} codes wait to be used.`;
    say(
      this.words,
      view.open
        ? `Devices come to ${view.address}. ${codes} This site's fingerprint: ${view.fingerprint}`
        : "Devices can't join yet: only this machine can reach the server. Set edge.allow_lan and edge.host in kinflow.toml.",
    );
    this.quiet.hidden = view.requests.length > 0;
    keyed(this.requests, view.requests, (one) => one.id, (one) => this.#requestRow(one), updateRequest);
    keyed(this.devices, view.devices, (one) => one.device, (one) => this.#deviceRow(one), updateDevice);
  }

  #requestRow({ id, device }) {
    const approve = button("Approve", device, () => this.#ask("approve", id, device));
    const refuse = button("Refuse", device, () => this.#ask("refuse", id, device));
    return el("tr", { "data-request": id }, el("th", { scope: "row", text: device }), el("td", { class: "fingerprint" }), el("td"), el("td", { class: "actions" }, approve, refuse));
  }

  #ask(decision, id, device) {
    const approve = decision === "approve";
    this.form.ask({
      title: approve ? `Let ${device} in?` : `Keep ${device} out?`,
      text: approve ? "Compare the key with the fingerprint that kinflow join printed on the device. Let it in only if they are the same." : "Its code is spent. It needs a new one to ask again.",
      ok: approve ? "Let it in" : "Keep it out",
      save: async () => {
        await (approve ? api.approveJoin(id) : api.refuseJoin(id));
        await this.load();
      },
    });
  }

  #deviceRow({ device }) {
    const rename = button("Rename", device, () => this.#rename(device));
    const replace = button("Replace", device, () => this.#replace(device));
    const revoke = button("Revoke", device, () =>
      this.form.ask({
        title: `Revoke ${device}?`,
        text: "Its connection ends within seconds, and it can't come back without a new code.",
        ok: "Revoke",
        save: async () => {
          await api.revokeDevice(device);
          await this.load();
        },
      }),
    );
    return el("tr", { "data-joined": device }, el("th", { scope: "row" }, el("span"), el("span", { class: "sub" })), el("td", {}, el("span", { class: "badge" })), el("td"), el("td", { class: "fingerprint" }), el("td", { class: "actions" }, rename, replace, revoke));
  }

  #rename(device) {
    this.form.ask({
      title: `What is ${device} called?`,
      text: "The name is for people. The id stays, since history and the site file go by it.",
      ok: "Rename",
      fields: [{ name: "name", label: "Name", maxlength: 100 }],
      save: async ({ name }) => {
        await api.renameDevice(device, name);
        await this.load();
      },
    });
  }

  #replace(device) {
    this.form.ask({
      title: `Put another board in ${device}'s place?`,
      text: "This makes a code. Once the new board has joined by it, the old one is put out.",
      ok: "Make the code",
      save: async () => this.#shown(await api.replaceDevice(device)),
    });
  }

  #make() {
    this.form.ask({
      title: "Make a join code",
      text: "One device joins by it, once.",
      ok: "Make",
      fields: [
        { name: "minutes", label: "Good for minutes", type: "number", value: "15", min: 1, max: 43200 },
        { name: "device", label: "Only for this device id (optional)", maxlength: 63, required: null },
        { name: "approved", label: "Who has the code", options: ["waits until somebody agrees here", "is let in at once"], value: "waits until somebody agrees here" },
      ],
      save: async ({ minutes, device, approved }) =>
        this.#shown(await api.makeCode({ minutes: Number(minutes), device: device.trim() || null, approved: approved.startsWith("is") })),
    });
  }

  #shown(made) {
    this.load();
    const until = time(made.expires_ms);
    return {
      shown: made.code,
      text: `Shown once; good until ${until}. On the device: ${made.command}`,
      picture: picture(made.qr),
    };
  }
}

/** The server's own drawing, put in as nodes: the page's policy lets no other image in. */
function picture(svg) {
  const drawing = new DOMParser().parseFromString(svg, "image/svg+xml").documentElement;
  const box = el("div", { class: "qr", role: "img", "aria-label": "QR of the code and this server's address" });
  box.append(document.importNode(drawing, true));
  return box;
}

function updateRequest(row, one) {
  const [, key, from] = row.children;
  say(key, one.fingerprint);
  say(from, `${one.address}, ${time(one.made_ms)}${one.replaces ? ", takes the place of the one before" : ""}`);
}

function updateDevice(row, one) {
  const [name, state, until, key, actions] = row.children;
  say(name.firstElementChild, one.name || one.device);
  say(name.lastElementChild, one.name ? `${one.device} · ${one.role}` : one.role);
  const badge = state.firstElementChild;
  badge.dataset.state = one.state === "joined" ? "online" : "offline";
  say(badge, one.moving_to ? `moving to ${one.moving_to}` : one.state);
  say(until, one.state === "joined" ? time(one.expires_ms) : "–");
  say(key, one.fingerprint);
  actions.lastElementChild.hidden = one.state !== "joined";
}
