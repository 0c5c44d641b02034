// The assistant's page on a device: an app that can be installed and opens without a network.

import { Chat } from "/chat.js";

const KEY = "kinflow-token";
const state = document.getElementById("state");

/** From the address that `kinflow agent page` prints; kept, since an installed app is opened without it. */
function token() {
  const given = location.hash.slice(1);
  if (given) {
    localStorage.setItem(KEY, given);
    history.replaceState(null, "", location.pathname);
  }
  return localStorage.getItem(KEY) ?? "";
}

const key = token();
document.getElementById("mark").hash = key;

function call(method, path, body, signal) {
  const headers = { Authorization: `Bearer ${key}` };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  return fetch(`/api/assistant${path ? `/${path}` : ""}`, { method, headers, signal, body: body && JSON.stringify(body) });
}

async function start() {
  let tiers = ["device"];
  try {
    const answer = await call("GET", "");
    if (answer.status === 401) state.textContent = "Open the address that `kinflow agent page` prints: this browser has no token, or an old one.";
    else if (answer.ok) ({ tiers } = await answer.json());
  } catch {
    state.textContent = "The agent is not running. What was said before is here; questions wait until it is back.";
  }
  window.chat = new Chat(document.getElementById("chat"), { call, store: "kinflow-chat", tiers });
}

start();
navigator.serviceWorker?.register("/sw.js");
