// The assistant, for whoever is signed in. The conversation itself is that of a device's page.

import { Chat } from "/static/assistant/chat.js";
import { panel } from "./panel.js";

export class AssistantCard {
  #chat = null;

  constructor() {
    this.body = panel({ id: "assistant", title: "Assistant", needs: null }).body;
  }

  /** Once it is known who asks: each person's conversation is kept apart in this browser. */
  open({ name, way }) {
    if (this.#chat) return;
    this.#chat = new Chat(this.body, { call, store: `kinflow-chat:${way}:${name}`, tiers: ["edge"] });
  }
}

function call(method, path, body, signal) {
  const options = { method, headers: {}, credentials: "same-origin", signal };
  if (body !== undefined) {
    options.headers["Content-Type"] = "application/json";
    options.body = JSON.stringify(body);
  }
  return fetch(`/api/v1/assistant/${path}`, options);
}
