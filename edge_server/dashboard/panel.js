// The frame for what is not about traffic: one card at the foot of the page for each module, shown to who may use it.
//
//   const { body, actions } = panel({ id: "people", title: "People", needs: "admin" });

import { $, el } from "./dom.js";

/**
 * Make a card and return where its content and its buttons go. needs: the least role it is shown to. The server refuses
 * the others whatever the page shows.
 */
export function panel({ id, title, needs }) {
  const body = el("div", { class: "panel-body" });
  const actions = el("div", { class: "actions" });
  const problem = el("p", { class: "error panel-problem", role: "alert" });
  const head = el("div", { class: "card-head" }, el("h2", { id: `${id}-title`, text: title }), actions);
  const card = el("section", { id: `${id}-card`, class: "card panel", "aria-labelledby": `${id}-title`, "data-needs": needs }, head, problem, body);
  $("panels").append(card);
  return { card, body, actions, problem };
}

/** A table whose rows are kept in step by dom.js's keyed(). columns: its headings, of which the first names a table that
 * is not its card's only one; returns the tbody. */
export function table(body, id, columns) {
  const rows = el("tbody", { id });
  const heads = columns.map((text) => el("th", { scope: "col", text }));
  const title = $(`${id}-title`)?.id ?? null;
  const scroll = el("div", { class: "scroll", tabindex: "0", role: "region", "aria-labelledby": title, "aria-label": title ? null : columns[0] });
  scroll.append(el("table", {}, el("thead", {}, el("tr", {}, ...heads)), rows));
  body.append(scroll);
  return rows;
}

/** A small button that says what it does and to whom. */
export function button(text, about, onclick) {
  return el("button", { type: "button", class: "quiet small", text, "aria-label": about ? `${text}: ${about}` : null, onclick });
}
