// Light or dark: the system's choice until a person makes one, which this browser then remembers.

const KEY = "kinflow-theme";
const system = matchMedia("(prefers-color-scheme: dark)");
const listeners = new Set();

function chosen() {
  try {
    return localStorage.getItem(KEY);
  } catch {
    return null; // storage may be forbidden; the system's choice then stands
  }
}

export function isDark() {
  const choice = document.documentElement.dataset.theme;
  return choice ? choice === "dark" : system.matches;
}

export function onTheme(listener) {
  listeners.add(listener);
}

function tell() {
  const button = document.getElementById("theme");
  if (button) button.setAttribute("aria-pressed", String(isDark()));
  for (const listener of listeners) listener();
}

export function startTheme() {
  document.getElementById("theme").addEventListener("click", () => {
    const choice = isDark() ? "light" : "dark";
    document.documentElement.dataset.theme = choice;
    try {
      localStorage.setItem(KEY, choice);
    } catch {
      // the choice then lasts as long as the page
    }
    tell();
  });
  system.addEventListener("change", tell);
  tell();
}

if (chosen()) document.documentElement.dataset.theme = chosen();
