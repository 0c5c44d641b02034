// The token comes in the address's fragment once, and stays in this tab.
const TOKEN = "kinflow-cloud-token";
const EVERY_MS = 10_000;

if (location.hash.length > 1) {
  sessionStorage.setItem(TOKEN, location.hash.slice(1));
  history.replaceState(null, "", location.pathname);
}

const told = document.getElementById("told");
const table = document.querySelector("table");
const body = document.querySelector("tbody");

function cell(row, text, className = "") {
  const made = row.insertCell();
  made.textContent = text;
  made.className = className;
}

function ago(ms) {
  if (ms === null) return "never";
  const seconds = Math.max(0, Math.round((Date.now() - ms) / 1000));
  return seconds < 120 ? `${seconds} s ago` : `${Math.round(seconds / 60)} min ago`;
}

function clock(off) {
  if (off === null || Math.abs(off) < 5) return "right";
  return `${Math.abs(off)} s ${off > 0 ? "ahead" : "behind"}`;
}

function show(edges) {
  body.replaceChildren();
  for (const edge of edges) {
    const row = body.insertRow();
    cell(row, edge.edge);
    cell(row, edge.state, edge.state);
    cell(row, edge.site ?? "");
    cell(row, edge.software);
    cell(row, `${edge.devices_online} of ${edge.devices_total} online`);
    const { critical, warning } = edge.alarms;
    cell(row, `${critical} critical, ${warning} warnings`, critical ? "critical" : "");
    cell(row, ago(edge.heard_ms));
    cell(row, clock(edge.clock_off_s));
  }
  table.hidden = edges.length === 0;
  told.textContent = edges.length ? "" : "No edge server has joined yet: `kinflow cloud code` makes a code.";
}

async function refresh() {
  try {
    const token = sessionStorage.getItem(TOKEN) ?? "";
    const answer = await fetch("/api/v1/edges", { headers: { authorization: `Bearer ${token}` } });
    const said = await answer.json();
    if (answer.ok) show(said.edges);
    else told.textContent = `${said.error.cause} ${said.error.advice}`;
  } catch {
    told.textContent = "The cloud does not answer; what stands here may be old.";
  }
  setTimeout(refresh, EVERY_MS);
}

refresh();
