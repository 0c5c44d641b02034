// The conversation with the assistant, the same on a device's page and on the dashboard. Text is always set as text.
//
//   new Chat(root, { call: (method, path, body, signal) => fetch(…), store: "a key of localStorage", tiers: ["device"] })

const KEPT_TURNS = 200;
// What is longer is shortened as its asker wishes, up to what fits into a request.
const MOST_LETTERS = 2000;
const MOST_TYPED = 12000;
const SHORTENED = { newest: "Ask its newest part", summarise: "Ask a summary" };
const STEPS = { understanding: "Understanding the question", confirm: "Doing it", edge: "Asking the edge server" };
const TIERS = { device: "this device alone", edge: "the edge server as well", cloud: "the cloud as well" };

function el(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "text") node.textContent = value;
    else if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (value !== null && value !== false) node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children);
  return node;
}

/** A failure in words for a person. */
class Refused extends Error {}

export class Chat {
  #running = null;
  #turns = [];
  #conversation = Array.from(crypto.getRandomValues(new Uint8Array(8)), (one) => one.toString(16).padStart(2, "0")).join("");

  constructor(root, { call, store, tiers = ["device"] }) {
    this.call = call;
    this.store = store;
    this.log = el("ol", { class: "chat-log", role: "log", "aria-live": "polite", "aria-label": "Conversation", tabindex: "0" });
    this.empty = el("p", { class: "chat-empty", text: "Ask about roads, signals, emergency vehicles, devices, cameras and settings, or have something noted." });
    this.input = el("textarea", { id: "chat-question", rows: "1", maxlength: String(MOST_TYPED), autocomplete: "off", enterkeyhint: "send" });
    this.input.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      this.form.requestSubmit();
    });
    this.send = el("button", { type: "submit", class: "main", text: "Ask" });
    this.stop = el("button", { type: "button", text: "Stop", hidden: true, onclick: () => this.#running?.abort() });
    this.tier = el("select", { id: "chat-tier" }, ...tiers.map((one) => el("option", { value: one, text: TIERS[one] })));
    const tier = el("label", { class: "chat-tier", hidden: tiers.length < 2 }, "May be answered by ", this.tier);
    this.form = el("form", { class: "chat-form", onsubmit: (event) => this.#submit(event) });
    this.long = el("p", { class: "chat-choice chat-long", role: "status", hidden: true });
    this.input.addEventListener("input", () => (this.long.hidden = true));
    this.form.append(el("label", { class: "chat-label", for: "chat-question", text: "Your question" }), this.input, this.send, this.stop);
    root.classList.add("chat");
    root.append(this.empty, this.log, this.form, this.long, tier, this.#kept());
    this.#load();
  }

  /** Ask as if it had been typed. tooLong: what is done with a question that does not fit. */
  async ask(question, tooLong = "refuse") {
    if (this.#running) return;
    this.#running = new AbortController();
    this.#busy(true);
    const turn = { question, answer: "", receipt: "", failed: false };
    const shown = this.#show(turn);
    try {
      await this.#stream(turn, shown, tooLong, this.#running.signal);
    } catch (error) {
      const stopped = error.name === "AbortError";
      const away = error instanceof Refused ? error.message : "The assistant can't be reached. Try again when it is back.";
      turn.failed = true;
      turn.receipt = stopped ? "Stopped." : away;
      shown.step.textContent = "";
      shown.receipt.textContent = turn.receipt;
    }
    this.#running = null;
    this.#busy(false);
    this.#turns = [...this.#turns, turn].slice(-KEPT_TURNS);
    this.#save();
    this.input.focus();
  }

  async #stream(turn, shown, tooLong, signal) {
    const asked = { question: turn.question, conversation: this.#conversation, max_tier: this.tier.value, too_long: tooLong };
    const answer = await this.call("POST", "ask", asked, signal);
    await check(answer);
    for await (const said of lines(answer.body)) {
      if (said.type === "step") shown.step.textContent = `${STEPS[said.step] ?? "Looking"} …`;
      if (said.type === "piece") {
        turn.answer += said.text;
        shown.step.textContent = "";
        shown.answer.textContent = turn.answer;
        this.log.scrollTop = this.log.scrollHeight;
      }
      if (said.type === "fault") throw new Refused(`${said.cause} ${said.advice} (${said.code})`);
      if (said.type === "reply") {
        Object.assign(turn, { answer: said.answer, tool: said.tool, receipt: receipt(said) });
        shown.answer.textContent = said.answer;
        shown.receipt.textContent = turn.receipt;
        if (said.asks) this.#offer(shown);
        this.log.scrollTop = this.log.scrollHeight;
        return;
      }
    }
    throw new Refused("The answer broke off.");
  }

  /** Yes and No below a question back; either way they are good once. */
  #offer(shown) {
    const say = (word) => () => {
      choice.remove();
      this.ask(word);
    };
    const yes = el("button", { type: "button", class: "main", text: "Yes", onclick: say("yes") });
    const choice = el("p", { class: "chat-choice" }, yes, el("button", { type: "button", text: "No", onclick: say("no") }));
    shown.receipt.after(choice);
    this.log.scrollTop = this.log.scrollHeight;
  }

  #show(turn) {
    const step = el("p", { class: "chat-step" });
    const answer = el("p", { class: "chat-answer", text: turn.answer });
    const line = el("p", { class: "chat-receipt", text: turn.receipt });
    const better = el("button", { type: "button", class: "chat-small", text: "Better answer", onclick: () => this.#better(turn, node) });
    const node = el("li", {}, el("p", { class: "chat-question", text: turn.question }), step, answer, line, better);
    this.log.append(node);
    this.empty.hidden = true;
    this.log.scrollTop = this.log.scrollHeight;
    return { node, step, answer, receipt: line };
  }

  #better(turn, node) {
    if (node.querySelector(".chat-better")) return;
    const input = el("input", { type: "text", maxlength: String(MOST_LETTERS), "aria-label": "The better answer", required: true });
    const said = el("p", { role: "status" });
    const form = el("form", { class: "chat-better" }, input, el("button", { type: "submit", text: "Keep" }), said);
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      try {
        const body = { question: turn.question, answer: turn.answer, better: input.value, tool: turn.tool ?? "" };
        await check(await this.call("POST", "corrections", body));
        form.replaceChildren(el("p", { role: "status", text: "Kept. Nothing learns from it by itself." }));
        if (this.kept.open) this.#listCorrections();
      } catch (error) {
        said.textContent = error instanceof Refused ? error.message : "It could not be kept; try again later.";
      }
    });
    node.append(form);
    input.focus();
  }

  // What is kept: the conversation in this browser, corrections where the assistant runs.

  #kept() {
    this.list = el("ul", { class: "chat-corrections" });
    const forget = el("button", { type: "button", class: "chat-small", text: "Clear this conversation", onclick: () => this.#clear() });
    this.kept = el("details", { class: "chat-kept" }, el("summary", { text: "What is kept" }));
    this.kept.append(el("p", { text: "The conversation is kept in this browser alone, better answers where the assistant runs." }), forget, this.list);
    this.kept.addEventListener("toggle", () => this.kept.open && this.#listCorrections());
    return this.kept;
  }

  async #listCorrections() {
    try {
      const found = await check(await this.call("GET", "corrections"));
      this.list.replaceChildren(...found.map((one) => this.#correction(one)));
      if (!found.length) this.list.append(el("li", { text: "No better answer was given." }));
    } catch (error) {
      this.list.replaceChildren(el("li", { text: error instanceof Refused ? error.message : "The assistant can't be reached." }));
    }
  }

  #correction(one) {
    const drop = async () => {
      await check(await this.call("DELETE", `corrections/${one.id}`)).catch(() => null);
      this.#listCorrections();
    };
    const remove = el("button", { type: "button", class: "chat-small", text: "Delete", "aria-label": `Delete: ${one.better}`, onclick: drop });
    return el("li", {}, el("span", { text: `${one.question} → ${one.better}` }), remove);
  }

  #clear() {
    this.#turns = [];
    this.log.replaceChildren();
    this.empty.hidden = false;
    this.#save();
  }

  #load() {
    try {
      this.#turns = JSON.parse(localStorage.getItem(this.store)) ?? [];
      for (const turn of this.#turns) this.#show(turn);
    } catch {
      this.#turns = []; // no storage, or not ours: the conversation begins anew
    }
  }

  #save() {
    try {
      localStorage.setItem(this.store, JSON.stringify(this.#turns));
    } catch {
      // Full or forbidden: then it is not kept, and everything else works.
    }
  }

  #submit(event) {
    event.preventDefault();
    const question = this.input.value.trim();
    if (!question || this.#running) return;
    const letters = [...question].length;
    if (letters > MOST_LETTERS) return this.#offerShorter(question, letters - MOST_LETTERS);
    this.input.value = "";
    this.ask(question);
  }

  /** Too long: nothing is cut off unless its asker says what. */
  #offerShorter(question, excess) {
    const choose = (how) => () => {
      this.long.hidden = true;
      this.input.value = "";
      this.ask(question, how);
    };
    const ways = Object.entries(SHORTENED).map(([how, text]) => el("button", { type: "button", text, onclick: choose(how) }));
    this.long.replaceChildren(el("span", { text: `Your question is ${excess} characters too long.` }), ...ways);
    this.long.hidden = false;
    ways[0].focus();
  }

  #busy(yes) {
    this.send.hidden = yes;
    this.stop.hidden = !yes;
    if (yes) this.stop.focus();
  }
}

function receipt(said) {
  const sent = said.bytes_sent ? `${said.bytes_sent} bytes sent` : "nothing sent";
  return `${said.tier}, ${said.seconds.toFixed(2)} s, ${sent}: ${said.why}`;
}

/** The body of an answer that went well; else throws what a person should read. */
async function check(answer) {
  if (answer.ok) return answer.headers.get("Content-Type")?.startsWith("application/json") ? answer.json() : null;
  const data = await answer.json().catch(() => ({}));
  const { cause = `It was answered by ${answer.status}.`, advice = "", code = "" } = data.error ?? data;
  throw new Refused(`${cause} ${advice} ${code ? `(${code})` : ""}`.trim());
}

async function* lines(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let held = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      held += value ?? "";
      const whole = held.split("\n");
      held = whole.pop();
      for (const line of whole) if (line) yield JSON.parse(line);
      if (done) return;
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}
