// What the page does over the network, and what it does with what it hears.

import { connect, EventError } from "/gatewright.js";
import { keyOf } from "./state.js";

const TYPING_EVERY = 2_000;
const TYPING_LASTS = 3_500;
const FEW_PAGES = 5;
const PAUSE = 600; // milliseconds, after which the server lets one pass again: see its `event_rates`

/**
 * Dispatches "entered" and "returned", "left", "status" with the change in `detail`, and with the
 * error there "refused" and "trouble".
 */
export class Chat extends EventTarget {
  #client = null;
  #secret;
  #nickname = null;
  #lastTyping = 0;
  #leaving = []; // the messages on their way
  #looking = () => false;

  constructor(state, secret) {
    super();
    this.state = state;
    this.#secret = secret;
  }

  get status() {
    return this.#client?.status ?? "closed";
  }

  /** Whether somebody looks at a place decides whether its messages count as read. */
  set looking(ask) {
    this.#looking = ask;
  }

  enter(nickname) {
    this.#nickname = nickname;
    if (this.status === "closed") this.connect();
    else if (this.status === "open") this.#register();
  }

  /** Connect, and stay connected: what is lost on the way is the client's affair. */
  connect() {
    // The secret, so that the server knows who it is who returns.
    const client = connect("/miaou", { auth: () => ({ secret: this.#secret }) });
    this.#client = client;
    client.onStatus((change) => this.#changed(change));
    client.onGap(() => this.#missed());
    client.on("said", ({ message }) => this.#said(message));
    client.on("typing", (typing) => this.#typing(typing));
    client.on("presence:state", ({ room, people }) => this.#here(room, people));
    client.on("presence:diff", (diff) => this.#different(diff));
    client.on("left", ({ room }) => this.#left(room));
    client.on("room_opened", ({ room }) => this.#opened(room));
    client.on("exception", (error) => this.#trouble(error));
  }

  /** Try to connect now instead of later. */
  retry() {
    this.#client?.retry();
  }

  /** Leave for good. */
  close() {
    this.#client?.close();
  }

  #changed(change) {
    this.dispatchEvent(new CustomEvent("status", { detail: change }));
    if (change.status !== "open") return;
    if (change.resumed) {
      this.dispatchEvent(new Event("returned"));
    } else {
      this.state.here.clear();
      this.state.fallBehind();
      this.#register();
    }
  }

  /** Away for longer than the server remembers: what is shown is fetched again. */
  #missed() {
    const { state } = this;
    state.fallBehind();
    for (const conversation of state.conversations.values()) {
      if (conversation.to !== state.open) conversation.forget();
    }
    if (state.open) this.open(state.open);
  }

  async #register() {
    if (this.#nickname === null) return;
    const { state } = this;
    try {
      const welcome = await this.#client.call("register", { nickname: this.#nickname, secret: this.#secret });
      state.welcome(welcome);
    } catch (error) {
      // A new session registers anew, and who has left need not.
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
    const { state } = this;
    state.open = to;
    state.changed();
    const conversation = state.conversation(to);
    try {
      if (to.kind === "room") {
        await this.#client.call("join", to.id);
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
      // If it fails it stays so, until the next time.
      conversation.behind = true;
      for (let pages = 0, more = true; more; pages++) {
        if (pages === FEW_PAGES) {
          // Away for long: start from the newest again instead of fetching a whole night.
          conversation.forget();
          break;
        }
        const page = await this.#client.call("history", { to, after: Math.max(conversation.reached, 1) });
        this.#take(conversation, page.messages);
        conversation.reached = page.messages.at(-1)?.id ?? conversation.reached;
        more = page.more;
      }
    }
    if (!conversation.loaded) {
      const page = await this.#client.call("history", { to });
      this.#take(conversation, page.messages);
      conversation.more = page.more;
      conversation.loaded = true;
    }
    conversation.behind = false;
    conversation.reached = conversation.last;
  }

  async earlier(conversation) {
    try {
      const before = conversation.messages[0].id;
      const page = await this.#client.call("history", { to: conversation.to, before });
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
    this.send(message);
  }

  /** Send a message, for the first time or again: its key makes sure that it is kept once. */
  send(message) {
    message.state = "sending";
    this.state.changed();
    this.#leaving.push(message);
    if (this.#leaving.length === 1) this.#deliver();
  }

  /** One after another, so that none overtakes one that the server wants to hear later. */
  async #deliver() {
    for (; this.#leaving.length > 0; this.#leaving.shift()) {
      const message = this.#leaving[0];
      try {
        const kept = await this.#say(message);
        this.#take(this.state.conversation(message.to), [kept]);
      } catch (error) {
        message.state = "failed";
        message.why = isLost(error) ? "" : error.message;
        // What failed is told beside the message, and in the list.
        if (error.code === "unregistered") this.#trouble(error);
      }
      this.state.changed();
    }
  }

  async #say({ to, text, key }) {
    for (;;) {
      try {
        // Without a connection it waits for one; it is said once, however often that is lost.
        return await this.#client.call("say", { to, text, key });
      } catch (error) {
        // Nobody knows whether it was said, but its key does.
        if (error.code === "too_many") await new Promise((resolve) => setTimeout(resolve, PAUSE));
        else if (error.code !== "reply_lost") throw error;
      }
    }
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
    // Worth nothing later: without a connection it is not said at all.
    this.#client.emit("typing", to, { volatile: true });
  }

  // Rooms; these let their errors through, for the form that asked

  async create(name, signal) {
    const room = await this.#client.call("create", { name }, { signal });
    this.#opened(room);
    return room;
  }

  async leave(room) {
    try {
      await this.#client.call("leave", room);
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
    if (conversation.last) this.#client.emit("read", { to: conversation.to, message: conversation.last });
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

  /** Everybody in a room: told when we join it, and again after each return. */
  #here(room, people) {
    this.state.here.set(roomOf(room), new Map(people.map((each) => [each.id, personOf(each)])));
    this.state.changed();
  }

  /** Somebody with several tabs is one person, who leaves with the last of them. */
  #different({ room, joined, left, changed }) {
    const here = this.state.here.get(roomOf(room));
    for (const each of [...joined, ...changed]) here?.set(each.id, personOf(each));
    for (const each of left) here?.delete(each.id);
    this.state.changed();
  }

  /** We are no member any more: left here, or in another tab. */
  #left(room) {
    const { state } = this;
    Object.assign(state.rooms.get(room) ?? {}, { joined: false, unread: 0 });
    state.conversations.delete(keyOf({ kind: "room", id: room }));
    if (state.open?.kind === "room" && state.open.id === room) state.open = null;
    this.dispatchEvent(new Event("left"));
    state.changed();
  }

  #opened(room) {
    const { rooms } = this.state;
    if (!rooms.has(room.id)) rooms.set(room.id, { room, joined: false, unread: 0 });
    this.state.changed();
  }

  #trouble(error) {
    // The banner speaks for a lost connection.
    if (isLost(error)) return;
    // The server has forgotten us, and perhaps given our nickname away.
    if (error.code === "unregistered") this.#register();
    else this.dispatchEvent(new CustomEvent("trouble", { detail: error }));
  }
}

/** The number of a room, of its name on the server: "room 3". */
const roomOf = (name) => Number(name.replace("room ", ""));

/** Who it is; of several tabs the last one knows their nickname best. */
const personOf = ({ meta }) => meta.at(-1);

function isLost(error) {
  if (!(error instanceof EventError)) throw error;
  return error.code === "closed" || error.code === "reply_lost";
}

export function randomKey() {
  // Not randomUUID(): that one is missing on pages that come over plain HTTP.
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
