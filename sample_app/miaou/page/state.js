// What the page knows. No network and no elements: chat.js fills it, the views show it.

/** The name of a place, as key and in the address bar: "room/3", "person/7". */
export const keyOf = (to) => `${to.kind}/${to.id}`;

export function placeOf(key) {
  const match = /^(room|person)\/(\d+)$/.exec(key);
  return match && { kind: match[1], id: Number(match[2]) };
}

const UNSENT = "miaou:unsent:";

export class State extends EventTarget {
  me = null;
  rooms = new Map(); // id -> { room, joined, unread }
  talks = new Map(); // id of the other person -> { person, unread }
  here = new Map(); // id of a room -> Map of the people in it
  typing = new Map(); // key of a place -> Map of people, each with `until`
  conversations = new Map(); // key of a place -> Conversation
  open = null; // the place that is shown

  changed() {
    this.dispatchEvent(new Event("change"));
  }

  welcome({ me, rooms, talks }) {
    const again = this.me?.id === me.id;
    this.me = me;
    this.rooms = new Map(rooms.map((view) => [view.room.id, view]));
    const known = this.talks;
    this.talks = new Map(talks.map((view) => [view.person.id, view]));
    // A private place that was opened and has no message yet is known to this page alone.
    if (again) for (const [id, view] of known) if (!this.talks.has(id)) this.talks.set(id, view);
    const shown = again && this.open ? this.conversations.get(keyOf(this.open)) : null;
    const unsent = again ? [...this.conversations.values()] : [];
    this.conversations.clear();
    // What was said meanwhile is fetched for the shown place, and for others when they are opened.
    if (shown) this.conversations.set(keyOf(shown.to), shown);
    for (const old of unsent) if (old !== shown) this.conversation(old.to).unsent = old.unsent;
    if (!again) this.#restore();
  }

  /** Messages may be missing: until they are fetched, newer ones come after a hole. */
  fallBehind() {
    for (const conversation of this.conversations.values()) conversation.behind = true;
  }

  conversation(to) {
    const key = keyOf(to);
    let found = this.conversations.get(key);
    if (!found) this.conversations.set(key, (found = new Conversation(to)));
    return found;
  }

  /** Where a message belongs on this page: a private one under the other person. */
  placeOf({ to, sender }) {
    const mine = sender.id === this.me.id;
    return to.kind === "room" || mine ? to : { kind: "person", id: sender.id };
  }

  title(to) {
    if (to.kind === "room") return this.rooms.get(to.id)?.room.name ?? "";
    return this.talks.get(to.id)?.person.nickname ?? "";
  }

  view(to) {
    return to.kind === "room" ? this.rooms.get(to.id) : this.talks.get(to.id);
  }

  get unread() {
    let sum = 0;
    for (const view of [...this.rooms.values(), ...this.talks.values()]) sum += view.unread;
    return sum;
  }

  // What could not be sent yet. One entry of the storage for each message, since two tabs share it.

  addUnsent(message) {
    this.conversation(message.to).unsent.push(message);
    const { to, text, at, key, title } = message;
    localStorage.setItem(UNSENT + `${this.me.id}:${key}`, JSON.stringify({ to, text, at, key, title }));
  }

  removeUnsent(to, key) {
    const conversation = this.conversation(to);
    conversation.unsent = conversation.unsent.filter((message) => message.key !== key);
    localStorage.removeItem(UNSENT + `${this.me.id}:${key}`);
  }

  get unsent() {
    return [...this.conversations.values()].flatMap((conversation) => conversation.unsent);
  }

  #restore() {
    const mine = UNSENT + `${this.me.id}:`;
    const found = Object.keys(localStorage)
      .filter((name) => name.startsWith(mine))
      .map((name) => JSON.parse(localStorage.getItem(name)))
      .sort((a, b) => a.at - b.at);
    for (const message of found) {
      this.conversation(message.to).unsent.push({ ...message, state: "failed" });
      if (message.to.kind === "person" && !this.talks.has(message.to.id)) {
        const person = { id: message.to.id, nickname: message.title };
        this.talks.set(person.id, { person, unread: 0 });
      }
    }
  }
}

/** The messages of one place, by id, and those of ours that are not sent. */
export class Conversation {
  messages = [];
  unsent = []; // { to, text, at, key, state: "sending" | "failed" }
  loaded = false;
  more = false; // there is earlier history
  reached = 0; // everything up to this id is here; later ones may have holes before them
  behind = false; // messages may be missing between those and newer ones

  constructor(to) {
    this.to = to;
  }

  get last() {
    return this.messages.at(-1)?.id ?? 0;
  }

  /** Know nothing of what others said: it is fetched again when it is shown. */
  forget() {
    Object.assign(this, { messages: [], loaded: false, more: false, reached: 0 });
  }

  /** Put messages where they belong; known ones are passed over. Returns whether any was new. */
  add(messages) {
    let any = false;
    for (const message of messages) {
      // From the end: most are the newest.
      let at = this.messages.length;
      while (at > 0 && this.messages[at - 1].id > message.id) at--;
      if (this.messages[at - 1]?.id === message.id) continue;
      this.messages.splice(at, 0, message);
      any = true;
    }
    if (this.loaded && !this.behind) this.reached = this.last;
    return any;
  }
}
