// What the page does over the network, and what it does with what it hears.

import { CallError, ReconnectingSocket } from "/reconnecting.js";
import { keyOf } from "./state.js";

const TYPING_EVERY = 2_000;
const TYPING_LASTS = 3_500;
const FEW_PAGES = 5;

/** Dispatches "entered", "left" and, with the error in `detail`, "refused" and "trouble". */
export class Chat extends EventTarget {
  #secret;
  #nickname = null;
  #lastTyping = 0;
  #looking = () => false;

  constructor(state, secret) {
    super();
    this.state = state;
    this.#secret = secret;
    const socket = (this.socket = new ReconnectingSocket("/miaou"));
    socket.addEventListener("status", () => {
      if (socket.status === "open") this.#register();
    });
    socket.on("said", ({ message }) => this.#said(message));
    socket.on("typing", (typing) => this.#typing(typing));
    socket.on("came", ({ room, person }) => this.#came(room, person));
    socket.on("went", ({ room, person }) => this.#went(room, person));
    socket.on("room_opened", ({ room }) => this.#opened(room));
    socket.on("exception", (error) => this.#trouble(new CallError(error.code, error.message)));
  }

  /** Whether somebody looks at a place decides whether its messages count as read. */
  set looking(ask) {
    this.#looking = ask;
  }

  enter(nickname) {
    this.#nickname = nickname;
    if (this.socket.status === "open") this.#register();
    else this.socket.connect();
  }

  async #register() {
    if (this.#nickname === null) return;
    const { state } = this;
    try {
      const welcome = await this.socket.call("register", { nickname: this.#nickname, secret: this.#secret });
      state.welcome(welcome);
    } catch (error) {
      // Without connection the socket tries again, and so do we.
      if (isLost(error)) return;
      this.#nickname = null;
      this.dispatchEvent(new CustomEvent("refused", { detail: error }));
      return;
    }
    this.dispatchEvent(new Event("entered"));
    state.changed();
  }

  /** Show a place: join the room if need be, and load what is missing. */
  async open(to) {
    const { state, socket } = this;
    state.open = to;
    state.changed();
    const conversation = state.conversation(to);
    try {
      if (to.kind === "room") {
        const here = await socket.call("join", to.id);
        state.here.set(to.id, new Map(here.map((person) => [person.id, person])));
        const view = state.rooms.get(to.id);
        if (view) view.joined = true;
      }
      await this.#load(conversation);
      this.#seen(conversation);
    } catch (error) {
      this.#trouble(error);
    }
    state.changed();
  }

  async #load(conversation) {
    const { to } = conversation;
    if (conversation.loaded) {
      conversation.catching = true;
      try {
        for (let pages = 0, more = true; more; pages++) {
          if (pages === FEW_PAGES) {
            // Away for long: start from the newest again instead of fetching a whole night.
            Object.assign(conversation, { messages: [], loaded: false, reached: 0 });
            break;
          }
          const page = await this.socket.call("history", { to, after: Math.max(conversation.reached, 1) });
          this.#take(conversation, page.messages);
          conversation.reached = page.messages.at(-1)?.id ?? conversation.reached;
          more = page.more;
        }
      } finally {
        conversation.catching = false;
      }
    }
    if (!conversation.loaded) {
      const page = await this.socket.call("history", { to });
      this.#take(conversation, page.messages);
      conversation.more = page.more;
      conversation.loaded = true;
    }
    conversation.reached = conversation.last;
  }

  async earlier(conversation) {
    try {
      const before = conversation.messages[0].id;
      const page = await this.socket.call("history", { to: conversation.to, before });
      this.#take(conversation, page.messages);
      conversation.more = page.more;
    } catch (error) {
      this.#trouble(error);
    }
    this.state.changed();
  }

  // Sending

  say(to, text) {
    const message = { to, text, at: Date.now(), key: randomKey(), title: this.state.title(to) };
    this.state.addUnsent(message);
    this.#lastTyping = 0;
    return this.send(message);
  }

  /** Send a message, for the first time or again: its key makes sure that it is kept once. */
  async send(message) {
    const { to, text, key } = message;
    message.state = "sending";
    this.state.changed();
    try {
      const kept = await this.socket.call("say", { to, text, key });
      this.#take(this.state.conversation(to), [kept]);
    } catch (error) {
      message.state = "failed";
      message.why = isLost(error) ? "" : error.message;
      if (!isLost(error)) this.#trouble(error);
    }
    this.state.changed();
  }

  sendAll() {
    for (const message of this.state.unsent) if (message.state === "failed") this.send(message);
  }

  discard({ to, key }) {
    this.state.removeUnsent(to, key);
    this.state.changed();
  }

  type(to) {
    if (Date.now() - this.#lastTyping < TYPING_EVERY) return;
    this.#lastTyping = Date.now();
    this.socket.emit("typing", to);
  }

  // Rooms; these let their errors through, for the form that asked

  async create(name) {
    const room = await this.socket.call("create", { name });
    this.#opened(room);
    return room;
  }

  async leave(room) {
    try {
      await this.socket.call("leave", room);
    } catch (error) {
      this.#trouble(error);
    }
  }

  seen() {
    const { open } = this.state;
    if (open) this.#seen(this.state.conversation(open));
  }

  #seen(conversation) {
    const view = this.state.view(conversation.to);
    if (!view || view.unread === 0 || !this.#looking(conversation.to)) return;
    view.unread = 0;
    if (conversation.last) this.socket.emit("read", { to: conversation.to, message: conversation.last });
    this.state.changed();
  }

  // Hearing

  #said(message) {
    const { state } = this;
    if (!state.me) return;
    const to = state.placeOf(message);
    const conversation = state.conversation(to);
    const mine = message.sender.id === state.me.id;
    if (to.kind === "person" && !mine) {
      // The newest nickname, and the newest conversation on top.
      const view = state.talks.get(to.id) ?? { unread: 0 };
      state.talks.delete(to.id);
      state.talks = new Map([[to.id, { ...view, person: message.sender }], ...state.talks]);
    }
    const fresh = this.#take(conversation, [message]);
    const view = state.view(to);
    if (fresh && !mine && view) {
      view.unread++;
      state.typing.get(keyOf(to))?.delete(message.sender.id);
      this.#seen(conversation);
    }
    state.changed();
  }

  #take(conversation, messages) {
    for (const message of messages) {
      if (message.sender.id === this.state.me.id) this.state.removeUnsent(conversation.to, message.key);
    }
    return conversation.add(messages);
  }

  #typing({ to, person }) {
    const { state } = this;
    const place = to.kind === "room" ? to : { kind: "person", id: person.id };
    const key = keyOf(place);
    if (!state.typing.has(key)) state.typing.set(key, new Map());
    state.typing.get(key).set(person.id, { person, until: Date.now() + TYPING_LASTS });
    setTimeout(() => state.changed(), TYPING_LASTS + 50);
    state.changed();
  }

  #came(room, person) {
    this.state.here.get(room)?.set(person.id, person);
    this.state.changed();
  }

  #went(room, person) {
    const { state } = this;
    if (person.id === state.me?.id) {
      // Left, here or in another tab.
      Object.assign(state.rooms.get(room) ?? {}, { joined: false, unread: 0 });
      state.conversations.delete(keyOf({ kind: "room", id: room }));
      if (state.open?.kind === "room" && state.open.id === room) state.open = null;
      this.dispatchEvent(new Event("left"));
    } else {
      state.here.get(room)?.delete(person.id);
    }
    state.changed();
  }

  #opened(room) {
    const { rooms } = this.state;
    if (!rooms.has(room.id)) rooms.set(room.id, { room, joined: false, unread: 0 });
    this.state.changed();
  }

  #trouble(error) {
    // The banner speaks for a lost connection.
    if (!isLost(error)) this.dispatchEvent(new CustomEvent("trouble", { detail: error }));
  }
}

function isLost(error) {
  if (!(error instanceof CallError)) throw error;
  return error.code === "lost" || error.code === "timeout";
}

export function randomKey() {
  // Not randomUUID(): that one is missing on pages that come over plain HTTP.
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
