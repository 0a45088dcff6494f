// The open conversation: its messages, the composer, who is typing.

import { $, cat, day, h, time, toast } from "./dom.js";
import { keyOf } from "./state.js";

const NEAR = 80; // pixels from the bottom that still count as being there
const TOGETHER = 5 * 60_000; // messages of one person within this time stand together

export class ConversationView {
  #elements = new Map(); // "sender:key" -> element, so that a sent message stays the same element
  #shown = null;
  #drafts = new Map();

  constructor(state, chat) {
    this.state = state;
    this.chat = chat;
    state.addEventListener("change", () => this.render());
    $("scroll").addEventListener("scroll", () => this.#scrolled(), { passive: true });
    $("to-bottom").addEventListener("click", () => this.#toBottom());
    $("earlier").addEventListener("click", () => this.#earlier());
    $("leave").addEventListener("click", () => this.#leave());
    $("composer").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#send();
    });
    const text = $("text");
    text.addEventListener("keydown", (event) => {
      // isComposing: Enter that only chooses a word in an input method sends nothing.
      if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
        event.preventDefault();
        this.#send();
      }
    });
    text.addEventListener("input", () => {
      this.#grow();
      if (text.value.trim()) chat.type(state.open);
    });
    // The on-screen keyboard takes away height: stay with the newest message.
    new ResizeObserver(() => this.#sticky && this.#toBottom()).observe($("scroll"));
  }

  #sticky = true;

  render() {
    const { state } = this;
    const { open } = state;
    $("conversation").classList.toggle("none", !open);
    document.body.dataset.place = open?.kind ?? "none";
    if (!open) {
      this.#shown = null;
      $("title").textContent = "";
      this.#clear();
      return;
    }
    const conversation = state.conversation(open);
    if (this.#shown !== conversation) this.#change(conversation);
    $("title").textContent = state.title(open);
    $("subtitle").textContent = open.kind === "room" ? "Open to everyone" : "Only the two of you";
    $("earlier").hidden = !conversation.more;
    const empty = conversation.messages.length + conversation.unsent.length === 0;
    $("empty").hidden = !empty || (!conversation.loaded && this.#sendable);
    $("empty").textContent = !conversation.loaded
      ? "You are offline. What was said here comes when you are back."
      : open.kind === "room" ? "Nobody has said anything yet. Miaou?" : "Nothing here yet. It stays between you two.";
    this.#messages(conversation);
    this.#typing(keyOf(open));
  }

  focus() {
    // On a phone the keyboard would cover what one came to read.
    if (matchMedia("(hover: hover)").matches) $("text").focus({ preventScroll: true });
  }

  #change(conversation) {
    const text = $("text");
    if (this.#shown) this.#drafts.set(keyOf(this.#shown.to), text.value);
    text.value = this.#drafts.get(keyOf(conversation.to)) ?? "";
    this.#shown = conversation;
    this.#clear();
    this.#sticky = true;
    this.#grow();
  }

  #clear() {
    this.#elements.clear();
    $("messages").replaceChildren();
    $("to-bottom").hidden = true;
    $("typing").textContent = "";
  }

  #messages(conversation) {
    const list = $("messages");
    // A whole history is not read aloud, only what is new.
    const many = list.childElementCount === 0;
    list.setAttribute("aria-live", many ? "off" : "polite");
    const me = this.state.me;
    const all = [...conversation.messages, ...conversation.unsent.map((unsent) => ({ ...unsent, sender: me, unsent }))];
    const kept = new Set();
    let before = null;
    let place = list.firstElementChild;
    for (const message of all) {
      const id = `${message.sender.id}:${message.key}`;
      kept.add(id);
      const shape = this.#shape(message, before);
      let element = this.#elements.get(id);
      if (element?.dataset.shape !== shape) {
        const fresh = this.#message(message, before);
        fresh.dataset.shape = shape;
        if (element === place && place) place = place.nextElementSibling;
        element?.remove();
        element = fresh;
        this.#elements.set(id, element);
      }
      if (element === place) place = place.nextElementSibling;
      else list.insertBefore(element, place);
      before = message;
    }
    for (const [id, element] of this.#elements) {
      if (kept.has(id)) continue;
      element.remove();
      this.#elements.delete(id);
    }
    const last = all.at(-1);
    if (this.#sticky) this.#toBottom();
    else if (last?.id > this.lastSeen) $("to-bottom").hidden = false;
  }

  /** Everything that an element's look depends on besides the message itself. */
  #shape(message, before) {
    const { first, newDay } = position(message, before);
    const { unsent } = message;
    return [first, newDay, unsent?.state, unsent?.why, unsent && this.#sendable, message.sender.nickname].join("|");
  }

  get #sendable() {
    return this.chat.status === "open";
  }

  #message(message, before) {
    const { first, newDay } = position(message, before);
    const mine = message.sender.id === this.state.me.id;
    const { unsent } = message;
    const classes = ["message", mine && "mine", first && "first", unsent?.state].filter(Boolean).join(" ");
    return h(
      "li",
      { class: classes },
      newDay && h("p", { class: "day" }, day(message.at)),
      first && !mine && cat(message.sender),
      h(
        "div",
        { class: "body" },
        first && h("p", { class: mine ? "author visually-hidden" : "author" }, message.sender.nickname),
        h("div", { class: "bubble" }, h("p", { class: "text" }, message.text), this.#stamp(message)),
        unsent?.state === "failed" && this.#failed(unsent),
      ),
    );
  }

  #stamp({ at, unsent }) {
    if (unsent?.state === "failed") return null;
    if (unsent) return h("span", { class: "stamp" }, this.#sendable ? "sending…" : "waiting for the connection");
    return h("time", { class: "stamp", datetime: new Date(at).toISOString() }, time(at));
  }

  #failed(unsent) {
    return h(
      "p",
      { class: "failure" },
      h("span", {}, unsent.why ? `Not sent: ${unsent.why}` : "Not sent"),
      h("button", { type: "button", onclick: () => this.chat.send(unsent) }, "Send again"),
      h("button", { type: "button", onclick: () => this.chat.discard(unsent) }, "Discard"),
    );
  }

  #typing(key) {
    const now = Date.now();
    const people = [...(this.state.typing.get(key)?.values() ?? [])].filter(({ until }) => until > now);
    const names = people.map(({ person }) => person.nickname);
    const some = names.length > 2 ? "Several people are typing…" : `${names.join(" and ")} ${names.length > 1 ? "are" : "is"} typing…`;
    const text = names.length ? some : "";
    if ($("typing").textContent !== text) $("typing").textContent = text;
  }

  #send() {
    const text = $("text");
    if (!text.value.trim()) return;
    this.#sticky = true;
    this.chat.say(this.state.open, text.value.trim());
    text.value = "";
    this.#grow();
    text.focus();
  }

  #leave() {
    if (this.#sendable) this.chat.leave(this.state.open.id);
    else toast("You are offline. Leave the room when you are back.");
  }

  async #earlier() {
    const scroll = $("scroll");
    const fromBottom = scroll.scrollHeight - scroll.scrollTop;
    this.#sticky = false;
    await this.chat.earlier(this.#shown);
    scroll.scrollTop = scroll.scrollHeight - fromBottom;
    scroll.focus({ preventScroll: true });
  }

  #scrolled() {
    const scroll = $("scroll");
    this.#sticky = scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < NEAR;
    if (this.#sticky) {
      this.lastSeen = this.#shown?.last ?? 0;
      $("to-bottom").hidden = true;
    }
  }

  #toBottom() {
    const scroll = $("scroll");
    scroll.scrollTop = scroll.scrollHeight;
    this.lastSeen = this.#shown?.last ?? 0;
    $("to-bottom").hidden = true;
  }

  #grow() {
    const text = $("text");
    text.style.height = "auto";
    text.style.height = `${Math.min(text.scrollHeight + 2, 160)}px`;
  }
}

function position(message, before) {
  const newDay = !before || day(before.at) !== day(message.at);
  const first = newDay || before.sender.id !== message.sender.id || message.at - before.at > TOGETHER;
  return { first, newDay };
}
