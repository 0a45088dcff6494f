/** The calls under way: their ids, the window, what is sent again and what waits for its turn. */

import { EventError } from "./errors.js";
import type { Frame } from "./frames.js";

/** The server keeps the ends of so many ids; no call may be further above one that has not ended. */
export const WINDOW = 128;

export interface Call {
  event: string;
  /** Already JSON, so that what happens to the object later does not change what was said. */
  data: string | undefined;
  /** 0 until it is sent. */
  id: number;
  /** Takes the items, if it is a stream. */
  item?: ((item: unknown) => void) | undefined;
  resolve(data: unknown): void;
  reject(error: unknown): void;
}

export interface Outlet {
  readonly ready: boolean;
  send(text: string): void;
}

export class Calls {
  /** The highest id under which anything was sent in this session. */
  sent = 0;
  /** The size in bytes of the largest frame that the server takes. */
  max = Infinity;

  #outlet: Outlet;
  #limit: number;
  #waiting: Call[] = [];
  /** Why nothing will ever be sent any more. */
  #closed: string | undefined;
  /** In the order of their ids; null for those that nobody wants to know about any more. */
  #open = new Map<number, Call | null>();
  /** Apart, for they are not sent again: one that goes on for hours holds nobody up. */
  #streams = new Map<number, Call>();

  constructor(outlet: Outlet, limit: number) {
    this.#outlet = outlet;
    this.#limit = limit;
  }

  /** How many have not ended, of those that somebody waits for. */
  get size(): number {
    const open = [...this.#open.values()].filter(Boolean).length;
    return this.#waiting.length + open + this.#streams.size;
  }

  add(call: Call): void {
    if (this.#closed !== undefined) {
      call.reject(new EventError("closed", this.#closed, undefined, call.event));
      return;
    }
    if (this.#waiting.length >= this.#limit) {
      call.reject(
        new EventError(
          "too_many",
          `expected at most ${this.#limit} calls waiting, got one more`,
          undefined,
          call.event,
        ),
      );
      return;
    }
    this.#waiting.push(call);
    this.flush();
  }

  /** Send what waits, as far as the window goes. */
  flush(): void {
    while (this.#waiting.length && this.#outlet.ready) {
      const [lowest = this.sent + 1] = this.#open.keys();
      if (this.sent + 1 - lowest >= WINDOW) return;
      const call = this.#waiting.shift()!;
      call.id = ++this.sent;
      (call.item ? this.#streams : this.#open).set(call.id, call);
      this.#transmit(call);
    }
  }

  /** An item or the end of a call. */
  answer(frame: Frame): void {
    const { item, data, error } = frame;
    const id = frame.id as number;
    const call = this.#streams.get(id) ?? this.#open.get(id);
    if (item !== undefined) {
      call?.item?.(item);
      return;
    }
    this.#streams.delete(id);
    this.#open.delete(id);
    if (error) call?.reject(new EventError(error.code, error.message, error.details, call.event));
    else call?.resolve(data);
    this.flush();
  }

  /** Lose interest in a call. Its id is in the window until the server has ended it. */
  cancel(call: Call): void {
    const place = this.#waiting.indexOf(call);
    if (place >= 0) this.#waiting.splice(place, 1);
    if (this.#open.get(call.id) === call) this.#open.set(call.id, null);
    else if (!this.#streams.delete(call.id)) return;
    if (this.#outlet.ready) this.#cancel(call.id);
  }

  /** The socket is lost: streams do not outlive it. */
  interrupt(): void {
    const lost = [...this.#streams.values()];
    this.#streams.clear();
    for (const call of lost) {
      call.reject(new EventError("interrupted", "the connection was lost", undefined, call.event));
    }
  }

  /** The session goes on with another socket: send again what has not ended, then the rest. */
  resume(): void {
    for (const [id, call] of this.#open) {
      if (call) {
        this.#transmit(call);
      } else {
        // The first cancel may be lost. To call again what nobody wants would be worse.
        this.#open.delete(id);
        this.#cancel(id);
      }
    }
    this.flush();
  }

  /** A new session: nobody knows what became of the calls that were sent; ids begin anew. */
  renew(): void {
    this.#lose("the session ended before the answer came");
    this.sent = 0;
  }

  /** Do something before what waits is sent. */
  before(first: () => void): void {
    const waiting = this.#waiting.splice(0);
    first();
    this.#waiting.push(...waiting);
    if (this.#closed === undefined) this.flush();
    else this.close(this.#closed);
  }

  /** The end of all calls. */
  close(reason: string): void {
    this.#closed = reason;
    this.interrupt();
    this.#lose(reason);
    for (const call of this.#waiting.splice(0)) {
      call.reject(new EventError("closed", reason, undefined, call.event));
    }
  }

  #lose(reason: string): void {
    const lost = [...this.#open.values()];
    this.#open.clear();
    for (const call of lost) {
      call?.reject(new EventError("reply_lost", reason, undefined, call.event));
    }
  }

  #cancel(id: number): void {
    this.#outlet.send(`{"op":"cancel","id":${id}}`);
  }

  #transmit(call: Call): void {
    const data = call.data === undefined ? "" : `,"data":${call.data}`;
    const text = `{"event":${JSON.stringify(call.event)}${data},"id":${call.id}}`;
    const error = oversize(text, this.max);
    if (!error) {
      this.#outlet.send(text);
      return;
    }
    this.#open.delete(call.id);
    this.#streams.delete(call.id);
    call.reject(new EventError(error.code, error.message, undefined, call.event));
  }
}

/** The error of a frame that is too large, if this one is. */
export function oversize(text: string, max: number): EventError | undefined {
  // A unit of UTF-16 has at most three bytes in UTF-8: most texts need not be encoded to know.
  if (text.length * 3 <= max) return undefined;
  const size = new TextEncoder().encode(text).length;
  if (size <= max) return undefined;
  return new EventError("too_large", `expected a frame of at most ${max} bytes, got ${size}`);
}
