// The list of conversations, and who is here.

import { $, cat, h } from "./dom.js";
import { keyOf } from "./state.js";

export class Sidebar {
  constructor(state, { signOut }) {
    this.state = state;
    this.signOut = signOut;
    state.addEventListener("change", () => this.render());
  }

  render() {
    const { state } = this;
    if (!state.me) return;
    const rooms = [...state.rooms.values()].sort((a, b) => a.room.name.localeCompare(b.room.name));
    fill($("rooms"), [
      ...rooms.filter((view) => view.joined).map((view) => this.#room(view)),
      ...rooms.filter((view) => !view.joined).map((view) => this.#room(view)),
    ]);
    fill($("talks"), [...state.talks.values()].map((view) => this.#talk(view)));
    $("no-talks").hidden = state.talks.size > 0;
    fill($("me"), [
      cat(state.me),
      h("span", { class: "name" }, state.me.nickname),
      h("button", { type: "button", class: "quiet", id: "sign-out", onclick: this.signOut }, "Change name"),
    ]);
    this.#here();
  }

  #room({ room, joined, unread }) {
    const mark = h("span", { class: "hash", "aria-hidden": "true" }, "#");
    const side = joined ? this.#badge({ kind: "room", id: room.id }, unread) : h("span", { class: "join" }, "Join");
    return this.#item({ kind: "room", id: room.id }, joined ? "" : "away", mark, room.name, side);
  }

  #talk({ person, unread }) {
    const to = { kind: "person", id: person.id };
    return this.#item(to, "", cat(person), person.nickname, this.#badge(to, unread));
  }

  #badge(to, unread) {
    const failed = this.state.conversations.get(keyOf(to))?.unsent.some(({ state }) => state === "failed");
    if (failed) return h("span", { class: "badge failed" }, "not sent");
    if (unread === 0) return null;
    return h("span", { class: "badge" }, unread > 99 ? "99+" : `${unread}`, h("span", { class: "visually-hidden" }, " unread"));
  }

  #item(to, kind, mark, name, side) {
    const { open } = this.state;
    const current = open && keyOf(open) === keyOf(to);
    const link = h(
      "a",
      { href: `#${keyOf(to)}`, class: kind, "aria-current": current ? "true" : null },
      mark,
      h("span", { class: "name" }, name),
      side,
    );
    return h("li", {}, link);
  }

  #here() {
    const { state } = this;
    const inRoom = state.open?.kind === "room";
    // Without a connection it is only what was true when it broke.
    const live = document.body.dataset.link === "open";
    $("people-title").textContent = live ? "Here now" : "Last seen here";
    const people = inRoom ? [...(state.here.get(state.open.id)?.values() ?? [])] : [];
    $("people-count").textContent = live ? `${people.length} here` : "People";
    people.sort((a, b) => a.nickname.localeCompare(b.nickname));
    fill(
      $("here"),
      people.map((person) => {
        if (person.id === state.me.id) {
          return h("li", { class: "you" }, cat(person), h("span", { class: "name" }, person.nickname), h("span", { class: "soft" }, "you"));
        }
        const write = {
          href: `#person/${person.id}`,
          title: `Write to ${person.nickname} in private`,
          // The place needs a name before its first message.
          onclick: () => this.#know(person),
        };
        return h("li", {}, h("a", write, cat(person), h("span", { class: "name" }, person.nickname)));
      }),
    );
  }

  #know(person) {
    const { talks } = this.state;
    if (!talks.has(person.id)) talks.set(person.id, { person, unread: 0 });
  }
}

/** Replace an element's children, and give the focus back to the one that had it. */
function fill(element, children) {
  const focused = element.contains(document.activeElement) ? document.activeElement : null;
  const again = focused?.getAttribute("href") ?? focused?.id;
  element.replaceChildren(...children);
  if (!again) return;
  const same = [...element.querySelectorAll("a, button")];
  same.find((each) => (each.getAttribute("href") ?? each.id) === again)?.focus({ preventScroll: true });
}
