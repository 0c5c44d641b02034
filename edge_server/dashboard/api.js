// The gateway's routes. Every failure is an ApiError with words for a person.

export class ApiError extends Error {
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

async function call(method, path, body) {
  const options = { method, headers: {}, credentials: "same-origin" };
  if (body !== undefined) {
    options.headers["Content-Type"] = "application/json";
    options.body = JSON.stringify(body);
  }
  let answer;
  try {
    answer = await fetch(`/api/v1/${path}`, options);
  } catch {
    throw new ApiError(0, "", "The server can't be reached. Nothing was saved; try again when it is back.");
  }
  if (answer.status === 204) return null;
  const data = await answer.json().catch(() => ({}));
  if (!answer.ok) {
    const { code = "", cause = `The server answered ${answer.status}.`, advice = "" } = data.error ?? {};
    throw new ApiError(answer.status, code, `${cause} ${advice}`.trim());
  }
  return data;
}

const id = encodeURIComponent;

export const api = {
  site: () => call("GET", "site"),
  history: (approach, seconds, bucket_s) =>
    call("GET", `approaches/${id(approach)}/history?seconds=${seconds}&bucket_s=${bucket_s}`),
  events: (before) => call("GET", `events-log?limit=100&before=${before}`),
  correct: (correction) => call("POST", "corrections", correction),
  withdraw: (correction) => call("DELETE", `corrections/${id(correction)}`),
  updates: () => call("GET", "updates"),
  beginRollout: (version) => call("POST", "updates/rollout", { version }),
  actOnRollout: (action) => call("POST", "updates/rollout/action", { action }),
  me: () => call("GET", "me"),
  signOut: () => call("POST", "me/sign-out"),
  signOutEverywhere: () => call("POST", "me/sign-out-everywhere"),
  changePassword: (said) => call("POST", "me/password", said),
  users: () => call("GET", "users"),
  addUser: (user) => call("POST", "users", user),
  setRole: (user, role) => call("PUT", `users/${id(user)}/role`, { role }),
  setPassword: (user, password) => call("PUT", `users/${id(user)}/password`, { password }),
  removeUser: (user) => call("DELETE", `users/${id(user)}`),
  tokens: () => call("GET", "tokens"),
  makeToken: (token) => call("POST", "tokens", token),
  revokeToken: (token) => call("DELETE", `tokens/${id(token)}`),
  audit: (limit, before) => call("GET", `audit?limit=${limit}${before ? `&before=${before}` : ""}`),
  trust: () => call("GET", "trust"),
  makeCode: (said) => call("POST", "trust/codes", said),
  approveJoin: (request) => call("POST", `trust/requests/${id(request)}/approve`),
  refuseJoin: (request) => call("POST", `trust/requests/${id(request)}/refuse`),
  revokeDevice: (device) => call("POST", `trust/devices/${id(device)}/revoke`),
  renameDevice: (device, name) => call("POST", `trust/devices/${id(device)}/rename`, { name }),
  replaceDevice: (device) => call("POST", `trust/devices/${id(device)}/replace`, {}),
  raiseMode: (place, said) => call("POST", `signals/${id(place)}/mode/raise`, said),
  lowerMode: (place, said) => call("POST", `signals/${id(place)}/mode/lower`, said),
  confirmAdvice: (place, proposal) => call("POST", `signals/${id(place)}/advice/${id(proposal)}/confirm`),
  declineAdvice: (place, proposal) => call("POST", `signals/${id(place)}/advice/${id(proposal)}/decline`, {}),
  shadow: (hours) => call("GET", `signals/shadow?hours=${hours}`),
  endPreemption: (place, vehicle, reason) => call("POST", `preemption/${id(place)}/end`, { vehicle, reason }),
  episodes: () => call("GET", "preemption/episodes"),
  episode: (episode) => call("GET", `preemption/episodes/${id(episode)}`),
  relearn: (camera) => call("POST", `cameras/${id(camera)}/relearn-road`),
};
