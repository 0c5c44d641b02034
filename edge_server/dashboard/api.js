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
  relearn: (camera) => call("POST", `cameras/${id(camera)}/relearn-road`),
};
