// The calibration page: four corners, two sizes, a look from above, save.

const CORNERS = ["near left", "near right", "far right", "far left"];
const REFRESH_MS = 1000;
const PREVIEW_MS = 250;
const SVG = "http://www.w3.org/2000/svg";

const $ = (id) => document.getElementById(id);
const token = location.hash.slice(1);
if (token) Object.assign($("talk"), { hidden: false, hash: token });
const state = { camera: null, picture: null, points: [], dirty: false, previews: 0 };

async function ask(path, options = {}) {
  const answer = await fetch(path, { ...options, headers: { Authorization: `Bearer ${token}`, ...options.headers } });
  if (!answer.ok) {
    const fault = await answer.json().catch(() => ({ cause: `The agent answered ${answer.status}.`, advice: "" }));
    throw Object.assign(new Error(`${fault.cause} ${fault.advice}`.trim()), { status: answer.status });
  }
  return answer;
}

const cameraPath = (leaf) => `/api/cameras/${encodeURIComponent(state.camera)}/${leaf}`;

// Cameras

async function loadCameras() {
  const cameras = await (await ask("/api/cameras")).json();
  const select = $("camera");
  if (select.options.length !== cameras.length) {
    select.replaceChildren(...cameras.map((one) => new Option(one.camera, one.camera)));
  }
  const chosen = cameras.find((one) => one.camera === select.value) ?? cameras[0];
  if (!chosen) {
    $("state").textContent = "This device has no camera.";
    return;
  }
  $("state").textContent = `${chosen.source}: ${chosen.state}${chosen.detail ? `. ${chosen.detail}` : ""}`;
  if (state.camera !== chosen.camera || (!state.dirty && state.points.length === 0 && chosen.calibration)) {
    state.camera = chosen.camera;
    state.dirty = false;
    take(chosen.calibration);
  }
}

function take(calibration) {
  state.points = calibration ? calibration.points.map(([x, y]) => ({ x, y })) : [];
  if (calibration) {
    state.picture = { width: calibration.picture[0], height: calibration.picture[1] };
    $("width").value = calibration.road_width_m;
    $("length").value = calibration.visible_length_m;
    $("lanes").value = calibration.calibrated ? calibration.lanes : 0;
  }
  draw();
  preview();
}

// The picture

async function refresh() {
  if (!state.camera || document.hidden || ($("freeze").checked && $("picture").src)) return;
  const data = await (await ask(cameraPath("snapshot.jpg"))).blob();
  const image = $("picture");
  const old = image.src;
  image.src = URL.createObjectURL(data);
  await image.decode().catch(() => {});
  if (old) URL.revokeObjectURL(old);
  $("blank").hidden = true;
  const size = { width: image.naturalWidth, height: image.naturalHeight };
  if (!state.picture || state.picture.width !== size.width || state.picture.height !== size.height) {
    state.picture = size;
    draw();
    preview();
  }
}

function draw() {
  const overlay = $("overlay");
  const focused = document.activeElement?.dataset?.corner;
  overlay.replaceChildren();
  const { width, height } = state.picture ?? { width: 16, height: 9 };
  overlay.setAttribute("viewBox", `0 0 ${width} ${height}`);
  const next = CORNERS[state.points.length];
  $("hint").textContent = next
    ? `Click the ${next} corner of the road in the picture.`
    : "Drag a corner, or choose it with Tab and move it with the arrow keys (Shift: ten pixels).";
  if (state.points.length > 1) {
    const shape = document.createElementNS(SVG, "polygon");
    shape.setAttribute("points", state.points.map((one) => `${one.x},${one.y}`).join(" "));
    overlay.append(shape);
  }
  const unit = width / Math.max(overlay.clientWidth, 1);
  state.points.forEach((point, index) => overlay.append(handle(point, index, unit)));
  if (focused !== undefined) overlay.querySelector(`[data-corner="${focused}"]`)?.focus();
}

function handle(point, index, unit) {
  const group = document.createElementNS(SVG, "g");
  group.setAttribute("class", "handle");
  group.setAttribute("tabindex", "0");
  group.setAttribute("role", "button");
  group.setAttribute("aria-label", `${CORNERS[index]}: ${Math.round(point.x)}, ${Math.round(point.y)}`);
  group.dataset.corner = index;
  const circle = document.createElementNS(SVG, "circle");
  circle.setAttribute("cx", point.x);
  circle.setAttribute("cy", point.y);
  circle.setAttribute("r", 13 * unit);
  const label = document.createElementNS(SVG, "text");
  label.setAttribute("x", point.x);
  label.setAttribute("y", point.y);
  label.setAttribute("font-size", 13 * unit);
  label.textContent = index + 1;
  group.append(circle, label);
  return group;
}

function place(event) {
  const box = $("overlay").getBoundingClientRect();
  const inside = (value, most) => Math.min(Math.max(value, 0), most);
  return {
    x: inside(((event.clientX - box.left) / box.width) * state.picture.width, state.picture.width),
    y: inside(((event.clientY - box.top) / box.height) * state.picture.height, state.picture.height),
  };
}

function changed() {
  state.dirty = true;
  $("saved").textContent = "";
  draw();
  preview();
}

let dragged = null;
$("overlay").addEventListener("pointerdown", (event) => {
  if (!state.picture) return;
  const corner = event.target.closest(".handle")?.dataset.corner;
  if (corner !== undefined) {
    dragged = Number(corner);
    $("overlay").setPointerCapture(event.pointerId);
    event.preventDefault();
    $("overlay").querySelector(`[data-corner="${corner}"]`).focus();
  } else if (state.points.length < 4) {
    state.points.push(place(event));
    changed();
  }
});
$("overlay").addEventListener("pointermove", (event) => {
  if (dragged === null) return;
  state.points[dragged] = place(event);
  changed();
});
for (const end of ["pointerup", "pointercancel"]) {
  $("overlay").addEventListener(end, () => { dragged = null; });
}
$("overlay").addEventListener("keydown", (event) => {
  const corner = event.target.closest(".handle")?.dataset.corner;
  const step = event.shiftKey ? 10 : 1;
  const move = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] }[event.key];
  if (corner === undefined || !move) return;
  event.preventDefault();
  const point = state.points[corner];
  point.x = Math.min(Math.max(point.x + move[0], 0), state.picture.width);
  point.y = Math.min(Math.max(point.y + move[1], 0), state.picture.height);
  changed();
});
$("again").addEventListener("click", () => {
  state.points = [];
  changed();
});

// The road from above

function wish() {
  const [width, length] = [$("width").valueAsNumber, $("length").valueAsNumber];
  if (state.points.length < 4 || !state.picture || Number.isNaN(width) || Number.isNaN(length)) return null;
  return JSON.stringify({
    points: state.points.map((one) => [one.x, one.y]),
    picture: [state.picture.width, state.picture.height],
    road_width_m: width,
    visible_length_m: length,
    lanes: $("lanes").valueAsNumber || 0,
  });
}

let waiting = null;
function preview() {
  clearTimeout(waiting);
  waiting = setTimeout(showFromAbove, PREVIEW_MS);
}

async function showFromAbove() {
  const body = wish();
  const image = $("above");
  const mine = ++state.previews;
  $("save").disabled = true;
  if (!body || !$("picture").src) {
    image.hidden = true;
    $("lane-count").textContent = "";
    $("fault").textContent = "";
    return;
  }
  try {
    const answer = await ask(cameraPath("preview"), { method: "POST", body });
    const lanes = Number(answer.headers.get("X-Lanes"));
    const data = await answer.blob();
    if (mine !== state.previews) return;
    if (image.src) URL.revokeObjectURL(image.src);
    image.src = URL.createObjectURL(data);
    image.hidden = false;
    $("lane-count").textContent = `${lanes} ${lanes === 1 ? "lane" : "lanes"}`;
    $("fault").textContent = "";
    $("save").disabled = false;
  } catch (error) {
    if (mine !== state.previews) return;
    image.hidden = true;
    $("lane-count").textContent = "";
    $("fault").textContent = error.message;
  }
}

$("save").addEventListener("click", async () => {
  const body = wish();
  if (!body) return;
  try {
    const { lanes } = await (await ask(cameraPath("calibration"), { method: "PUT", body })).json();
    state.dirty = false;
    $("fault").textContent = "";
    $("saved").textContent = `Saved: ${lanes} ${lanes === 1 ? "lane" : "lanes"}. The agent takes it up by itself.`;
  } catch (error) {
    $("fault").textContent = error.message;
  }
});
for (const id of ["width", "length", "lanes"]) $(id).addEventListener("input", () => { state.dirty = true; $("saved").textContent = ""; preview(); });
$("form").addEventListener("submit", (event) => event.preventDefault());
$("camera").addEventListener("change", () => {
  state.camera = null;
  state.picture = null;
  $("picture").removeAttribute("src");
  $("blank").hidden = false;
  tick();
});
addEventListener("resize", draw);

// A browser reports every failed fetch on its console; ask for a picture only when the agent says that there is one.
async function tick() {
  try {
    await loadCameras();
    if (state.camera && $("state").textContent.includes("running")) await refresh();
  } catch (error) {
    if (error.status === undefined) $("state").textContent = "The agent does not answer. Is it running?";
    else $("state").textContent = error.message;
  }
}
tick();
setInterval(tick, REFRESH_MS);
