/** One socket after another to the same place: attempts, waits, and the search for silent drops. */

import type { Frame, Hello } from "./frames.js";
import type { Off, Options, SocketClass, SocketLike, StatusChange } from "./types.js";

const PROBE = 3000;
/** A timer that fires so much later than it should: the page was frozen, or the machine slept. */
const LATE = 1000;
const OPEN = 1;

type Lost = Omit<StatusChange, "status" | "resumed">;

/** Whom the link works for. */
export interface Owner {
  /** The first frame of a socket. */
  greet(): Promise<string>;
  receive(frame: Frame): void;
  /** There is no socket; without `retryAt` a new one is being tried. */
  down(why: Lost): void;
  /** There will be none any more. */
  ended(why: Lost): void;
  /** The page goes away, and does not come back. */
  close(): void;
}

export class Link {
  /** Whether the server has said hello on the present socket. */
  ready = false;

  #url: string;
  #options: Options;
  #class: SocketClass;
  #owner: Owner;
  #socket: SocketLike | undefined;
  #attempt: object | undefined;
  #failures = 0;
  #readyAt = 0;
  #last: Lost = { reason: "" };
  #retry: ReturnType<typeof setTimeout> | undefined;

  /** Silence: how long it may last, when it was last broken, whether it was since the timer's start. */
  #patience = 0;
  #heardAt = 0;
  #heard = false;
  #watch: ReturnType<typeof setTimeout> | undefined;

  /** When to go elsewhere, and not before; 0 if nobody asked for it. */
  #awayAt = 0;
  #awayReason = "";
  #leave: ReturnType<typeof setTimeout> | undefined;

  #off: Off[] = [];

  constructor(url: string, options: Options, owner: Owner) {
    this.#url = resolve(url);
    this.#options = options;
    this.#owner = owner;
    const found = options.WebSocket ?? (globalThis.WebSocket as SocketClass | undefined);
    if (!found) {
      throw new TypeError(
        "expected a global WebSocket, got none: pass a class as the option WebSocket " +
          '(import WebSocket from "ws"), or use Node 22 or newer',
      );
    }
    this.#class = found;
  }

  start(): void {
    const page = globalThis.document as Document | undefined;
    this.#listen(globalThis, "offline", () => {
      if (this.#attempt) this.#lose("offline");
    });
    this.#listen(globalThis, "online", () => this.wake());
    this.#listen(page, "visibilitychange", () => {
      if (!page?.hidden) this.wake();
    });
    this.#listen(page, "resume", () => this.wake());
    this.#listen(globalThis, "pageshow", (event) => {
      if ((event as PageTransitionEvent).persisted) this.wake();
    });
    // A page that cannot be shown again takes its token with it: nobody need wait for its return.
    this.#listen(globalThis, "pagehide", (event) => {
      if (!(event as PageTransitionEvent).persisted) this.#owner.close();
    });
    void this.#try();
  }

  send(text: string): void {
    this.#socket?.send(text);
  }

  /** The server has said hello. */
  established({ heartbeat: { interval, timeout } }: Hello): void {
    this.ready = true;
    this.#readyAt = Date.now();
    this.#patience = (interval + timeout) * 1000;
    this.#expect(this.#patience);
  }

  /** Go on, but be gone `after` seconds from now; however the socket ends, come back then. */
  away(after: number, reason: string): void {
    this.#awayAt = Date.now() + Math.round(after * 1000);
    this.#awayReason = reason;
    clearTimeout(this.#leave);
    this.#leave = setTimeout(() => this.#lose(reason), after * 1000);
  }

  /** End it for good. */
  stop(): void {
    const socket = this.#forget();
    clearTimeout(this.#retry);
    for (const off of this.#off.splice(0)) off();
    socket?.close(1000);
  }

  #listen(target: EventTarget | undefined, event: string, listener: (event: Event) => void): void {
    target?.addEventListener?.(event, listener);
    this.#off.push(() => target?.removeEventListener?.(event, listener));
  }

  /** A moment at which a connection may have become possible, or may long be dead. */
  wake(): void {
    this.#failures = 0;
    if (this.ready) this.#probe();
    else if (!this.#attempt && Date.now() >= this.#awayAt) void this.#try();
  }

  async #try(): Promise<void> {
    clearTimeout(this.#retry);
    this.#awayAt = 0;
    const attempt = (this.#attempt = {});
    this.#heardAt = Date.now();
    const limit = this.#options.connectTimeout ?? 10_000;
    this.#expect(limit);
    const { retryAt: _, ...why } = this.#last;
    this.#owner.down(why);
    try {
      // Before there is a socket, which the server would not keep waiting for a slow `auth`.
      const first = await this.#owner.greet();
      if (this.#attempt !== attempt) return;
      this.#expect(limit);
      const socket = new this.#class(this.#url, ["gw.v1.json"]);
      this.#socket = socket;
      // Of a socket that was given up nothing is heard any more. Its handlers stay nevertheless:
      // `ws` throws the errors that nobody listens to.
      const mine =
        <E>(then: (event: E) => void) =>
        (event: E) => {
          if (this.#socket === socket) then(event);
        };
      socket.onopen = mine(() => {
        this.#expect(limit);
        socket.send(first);
      });
      socket.onmessage = mine((event: MessageEvent) => this.#receive(event.data));
      let trouble = "";
      socket.onerror = mine(({ message }: ErrorEvent) => {
        trouble = message;
        // `close` follows, except for a refused connection in Node 20's own class.
        if (socket.readyState < OPEN) this.#lose(trouble);
      });
      socket.onclose = mine(({ code, reason }: CloseEvent) => this.#lose(reason || trouble, code));
    } catch (error) {
      if (this.#attempt === attempt) this.#lose(String(error));
    }
  }

  #receive(data: string): void {
    this.#heard = true;
    this.#heardAt = Date.now();
    let frame: Frame;
    try {
      frame = JSON.parse(data) as Frame;
    } catch (error) {
      this.#lose(String(error));
      return;
    }
    this.#owner.receive(frame);
  }

  /** Wait so many milliseconds for anything at all. */
  #expect(limit: number): void {
    clearTimeout(this.#watch);
    this.#heard = false;
    const due = Date.now() + limit;
    this.#watch = setTimeout(() => {
      const now = Date.now();
      if (now - due > LATE) {
        // What has come meanwhile may still wait to be delivered.
        if (this.ready) this.#probe();
        else this.#expect(PROBE);
      } else if (this.#heard && this.ready) {
        this.#expect(Math.max(0, this.#heardAt + this.#patience - now));
      } else {
        this.#lose(`nothing heard for ${Math.round((now - this.#heardAt) / 1000)} s`);
      }
    }, limit);
  }

  #probe(): void {
    if (this.#socket?.readyState !== OPEN) {
      this.#lose("lost");
      return;
    }
    this.#socket.send('{"op":"ping"}');
    this.#expect(Math.min(PROBE, this.#patience));
  }

  /** Leave the present socket to itself. */
  #forget(): SocketLike | undefined {
    const socket = this.#socket;
    this.#socket = this.#attempt = undefined;
    this.ready = false;
    clearTimeout(this.#watch);
    clearTimeout(this.#leave);
    return socket;
  }

  #lose(reason: string, code?: number): void {
    const now = Date.now();
    const { minDelay = 500, maxDelay = 20_000 } = this.#options;
    const longest = () => Math.min(maxDelay, minDelay * 2 ** this.#failures);
    // One that ends at once, time and again, shall not be tried ever faster because it opened.
    if (this.ready && now - this.#readyAt > longest()) this.#failures = 0;
    const nobody = this.ready ? "lost" : "unreachable";
    const socket = this.#forget() as (SocketLike & { terminate?(): void }) | undefined;
    // `close` asks a peer for its goodbye that may never come. Where one can do without, one does.
    if (socket?.terminate) socket.terminate();
    else socket?.close();
    const why = { reason: reason || this.#awayReason || nobody, ...(code && { code }) };
    this.#awayReason = "";
    if (code === 1000 || code === 1008 || (code && code >= 4500 && code < 5000)) {
      this.stop();
      this.#owner.ended(why);
      return;
    }
    let at = now + Math.round(Math.random() * longest());
    this.#failures++;
    // It may be wrong about that, and our server on this machine. `online` comes in any case.
    if (globalThis.navigator?.onLine === false) at = now + maxDelay;
    if (this.#awayAt) at = Math.max(this.#awayAt, now);
    this.#last = { ...why, retryAt: at };
    this.#retry = setTimeout(() => void this.#try(), at - now);
    this.#owner.down(this.#last);
  }
}

function resolve(url: string): string {
  const base = (globalThis.location as Location | undefined)?.href;
  try {
    const found = new URL(url, base);
    found.protocol = found.protocol.replace("http", "ws");
    found.hash = "";
    if (found.protocol.startsWith("ws")) return found.href;
  } catch {
    // The same sentence for both.
  }
  throw new TypeError(
    `expected an address such as https://chat.example/chat, got '${url}': a path alone ` +
      "is enough on a page only",
  );
}
