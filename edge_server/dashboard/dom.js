// Small helpers to build and keep up to date what is shown. Text is always set as text, never as markup.

const SVG = "http://www.w3.org/2000/svg";

export const $ = (id) => document.getElementById(id);

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "text") node.textContent = value;
    else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

export const el = (name, attributes = {}, ...children) => fill(document.createElement(name), attributes, children);
export const svg = (name, attributes = {}, ...children) =>
  fill(document.createElementNS(SVG, name), attributes, children);

/** Set text only where it differs: a screen reader and the layout are left alone otherwise. */
export function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/**
 * Keep a list's children in step with `items`: a node is made once for each key, updated in place, and moved only when
 * the order changed, so that focus and scroll position stay.
 */
export function keyed(parent, items, keyOf, make, update) {
  const known = (parent.keyed ??= new Map());
  const wanted = new Set();
  let place = parent.firstElementChild;
  for (const item of items) {
    const key = String(keyOf(item));
    wanted.add(key);
    let node = known.get(key);
    if (!node) {
      node = make(item);
      known.set(key, node);
    }
    update(node, item);
    if (node === place) place = place.nextElementSibling;
    else parent.insertBefore(node, place);
  }
  for (const [key, node] of known) {
    if (!wanted.has(key)) {
      node.remove();
      known.delete(key);
    }
  }
}

export function blank(node, text) {
  node.hidden = !text;
  if (text) say(node, text);
}
