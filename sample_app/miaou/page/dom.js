// Building elements. Text always becomes a text node, so no name and no message can be markup.

const SVG = "http://www.w3.org/2000/svg";

export const $ = (id) => document.getElementById(id);

/** `h("button", { class: "x", onclick: f }, "text", child)`; null and false children are left out. */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child != null && child !== false));
  return element;
}

/** A person's cat: its colour is theirs in every browser. */
export function cat(person) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", `cat coat-${person.id % 8}`);
  svg.setAttribute("aria-hidden", "true");
  svg.setAttribute("viewBox", "0 0 64 64");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", "#i-cat");
  const letter = document.createElementNS(SVG, "text");
  letter.setAttribute("x", "32");
  letter.setAttribute("y", "42");
  // Not charAt: a nickname may start with an emoji, which is two of its units.
  letter.textContent = [...person.nickname][0].toLocaleUpperCase();
  svg.append(use, letter);
  return svg;
}

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const date = new Intl.DateTimeFormat(undefined, { weekday: "long", day: "numeric", month: "long" });

export const time = (at) => clock.format(at);

export function day(at) {
  const days = Math.round((new Date().setHours(0, 0, 0, 0) - new Date(at).setHours(0, 0, 0, 0)) / 86_400_000);
  if (days === 0) return "Today";
  return days === 1 ? "Yesterday" : date.format(at);
}

/** Tell something that went wrong; it stays for a while or until it is closed. */
export function toast(text) {
  // Said once, not once for each thing that it happened to.
  for (const shown of [...$("toasts").children]) if (shown.firstChild.textContent === text) shown.remove();
  const box = h("div", { class: "toast" }, h("span", {}, text));
  const close = h("button", { type: "button", "aria-label": "Close", onclick: () => box.remove() }, "×");
  box.append(close);
  $("toasts").append(box);
  setTimeout(() => box.remove(), 7000);
}
