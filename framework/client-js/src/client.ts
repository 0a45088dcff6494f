/** One session with a namespace: what is said and heard in it, over however many sockets. */

import { type Call, Calls, oversize } from "./calls.js";
import { EventError } from "./errors.js";
import type { ErrorBody, Frame, Hello } from "./frames.js";
import { Identity, LONGEST } from "./identity.js";
import { Link } from "./link.js";
import { Listeners } from "./listeners.js";
import { Questions } from "./questions.js";
import type {
  Answer,
  CallOptions,
  Data,
  EmitOptions,
  Gap,
  Name,
  Off,
  Options,
  Part,
  Rest,
  Status,
  StatusChange,
  StreamOptions,
  Undeclared,
} from "./types.js";

/** A connection that comes back: made by `connect`. */
export class Client<C = Undeclared> {
  #options: Options;
  #link: Link;
  #calls: Calls;
  #questions: Questions;
  #identity: Identity;
  #status: Status = "connecting";
  #left = false;
  #reason = "";

  #hello: Hello | undefined;
  #epoch = "";
  #seq = 0;

  #events = new Map<string, Listeners<any>>();
  #changes = new Listeners<StatusChange>();
  #gaps = new Listeners<Gap>();

  constructor(url: string, options: Options) {
    this.#options = options;
    this.#link = new Link(url, options, {
      greet: () => this.#greet(),
      receive: (frame) => this.#receive(frame),
      down: (why) => this.#down(why),
      ended: (why) => this.#ended(why),
      close: () => this.close(),
    });
    this.#calls = new Calls(this.#link, options.queue ?? 1000);
    this.#questions = new Questions(this.#link);
    this.#identity = new Identity(options.auth, this.#link, (error) => this.#exception(error));
    this.#link.start();
  }

  /** Whether there is a connection, and if not, whether there will be one. */
  get status(): Status {
    return this.#status;
  }

  /** The id of the connection, which others know it by; absent before it was open. */
  get id(): string | undefined {
    return this.#hello?.session;
  }

  /** How many calls have not ended: sent ones without an answer, and those that wait. */
  get pending(): number {
    return this.#calls.size;
  }

  /**
   * Call an event and await its answer, over as many sockets as it takes. It is sent as soon as
   * there is a connection, and executed once. Rejects with an `EventError`; `reply_lost` says that
   * nobody knows whether it was executed.
   */
  call<E extends Name<Part<C, "calls">>>(
    event: E,
    ...[data, options]: Rest<Part<C, "calls">[E], CallOptions>
  ): Promise<Answer<Part<C, "calls">[E]>> {
    return this.#call(event, data, { timeout: this.#options.timeout, ...options }) as never;
  }

  /**
   * A call whose answer nobody needs. It is not lost, unless it is `volatile`: then it is said now
   * or never. If it fails, `exception` tells.
   */
  emit<E extends Name<Part<C, "calls">>>(
    event: E,
    ...[data, options]: Rest<Part<C, "calls">[E], EmitOptions>
  ): void {
    if (options?.volatile) {
      this.#say(event, data);
      return;
    }
    this.#call(event, data, {}).catch((error: EventError) => {
      // What had been sent is handled, though one does not wait to hear of it.
      if (!(this.#left && error.code === "reply_lost")) this.#exception(error);
    });
  }

  /**
   * Call an event that answers with a stream. It is sent when one begins to iterate, and cancelled
   * when one stops. It does not outlive a socket: then it throws an `EventError`, `interrupted`.
   */
  stream<E extends Name<Part<C, "streams">>>(
    event: E,
    ...[data, options]: Rest<Part<C, "streams">[E], StreamOptions>
  ): AsyncGenerator<Answer<Part<C, "streams">[E]>, void, undefined> {
    const gone = new AbortController();
    const items = this.#stream(event, data, options ?? {}, gone);
    const leave = items.return.bind(items);
    // A generator would not be told before its next item.
    items.return = (value) => {
      gone.abort();
      return leave(value);
    };
    return items as never;
  }

  /** Hear an event of the server; `exception` is what failed without a caller to tell. */
  on(event: "exception", listener: (error: EventError) => void): Off;
  on<E extends Name<Part<C, "events">>>(
    event: E,
    listener: (data: Part<C, "events">[E]) => void,
  ): Off;
  on(event: string, listener: (data: any) => void): Off {
    let listeners = this.#events.get(event);
    if (!listeners) this.#events.set(event, (listeners = new Listeners()));
    return listeners.add(listener);
  }

  /** Hear an event the next time only. */
  once(event: "exception", listener: (error: EventError) => void): Off;
  once<E extends Name<Part<C, "events">>>(
    event: E,
    listener: (data: Part<C, "events">[E]) => void,
  ): Off;
  once(event: any, listener: (data: any) => void): Off {
    const off = this.on(event, (data: any) => {
      off();
      listener(data);
    });
    return off;
  }

  /** Hear of every change of the status, and of every attempt to connect again. */
  onStatus(listener: (change: StatusChange) => void): Off {
    return this.#changes.add(listener);
  }

  /** Hear that something may have been missed: fetch again what these rooms are about. */
  onGap(listener: (gap: Gap) => void): Off {
    return this.#gaps.add(listener);
  }

  /** Answer a call of the server. An `EventError` that it throws is the answer, too. */
  handle<E extends Name<Part<C, "handlers">>>(
    event: E,
    handler: (
      ...data: Data<Part<C, "handlers">[E]>
    ) => Answer<Part<C, "handlers">[E]> | Promise<Answer<Part<C, "handlers">[E]>>,
  ): Off {
    return this.#questions.handle(event, (data) => handler(...([data] as never)));
  }

  /** Wait until it is open; rejects with `closed` if it never will be. */
  ready(): Promise<void> {
    return new Promise((resolve, reject) => {
      const settle = (status: Status): boolean => {
        if (status === "open") resolve();
        else if (status === "closed") reject(new EventError("closed", this.#reason));
        else return false;
        return true;
      };
      if (settle(this.#status)) return;
      const off = this.onStatus(({ status }) => {
        if (settle(status)) off();
      });
    });
  }

  /** Connect now instead of later; if it is open, find out whether that is still true. */
  retry(): void {
    if (this.#status !== "closed") this.#link.wake();
  }

  /** Leave for good: the server ends the session, calls without an answer reject. */
  close(): void {
    if (this.#status === "closed") return;
    this.#left = true;
    if (this.#link.ready) this.#link.send('{"op":"bye"}');
    this.#link.stop();
    this.#ended({ reason: "closed by the client" });
  }

  // The life of the link

  async #greet(): Promise<string> {
    const auth = await this.#options.auth?.();
    const resume = this.#hello && {
      session: this.#hello.session,
      token: this.#hello.token,
      epoch: this.#epoch,
      seq: this.#seq,
      sent: this.#calls.sent,
    };
    return JSON.stringify({ op: "open", auth, resume });
  }

  #welcome(hello: Hello): void {
    this.#hello = hello;
    this.#calls.max = this.#questions.max = hello.max;
    this.#link.established(hello);
    this.#identity.expire(hello.expires);
    const open = () => this.#become({ status: "open", reason: "", resumed: hello.resumed });
    if (hello.resumed) {
      this.#calls.resume();
      open();
      return;
    }
    this.#epoch = hello.epoch;
    this.#seq = hello.seq;
    this.#calls.renew();
    this.#questions.renew();
    // Whoever joins its rooms on hearing of this does so before what has waited is sent.
    this.#calls.before(open);
  }

  #down(why: Omit<StatusChange, "status">): void {
    this.#identity.stop();
    this.#calls.interrupt();
    this.#become({ status: this.#hello ? "resuming" : "connecting", ...why });
  }

  #ended(why: Omit<StatusChange, "status">): void {
    this.#identity.stop();
    this.#reason = why.reason;
    this.#become({ status: "closed", ...why });
    this.#calls.close(why.reason);
  }

  #become(change: StatusChange): void {
    this.#status = change.status;
    this.#changes.fire(change);
  }

  // What comes

  #receive(frame: Frame): void {
    const { event, id, op, seq } = frame;
    if (!this.#link.ready) {
      if (op === "hello") this.#welcome(frame as Hello);
    } else if (event !== undefined) {
      if (id !== undefined) {
        this.#questions.ask(event, id, frame.data);
        return;
      }
      if (seq !== undefined) {
        if (seq <= this.#seq) return;
        this.#seq = seq;
      }
      if (event === "exception") this.#exception(errorOf(frame.data, frame.data.event));
      else this.#events.get(event)?.fire(frame.data);
    } else if (op !== undefined) {
      this.#control(op, frame);
    } else if (id !== undefined) {
      this.#calls.answer(frame);
    }
  }

  #control(op: string, frame: Frame): void {
    const { seq = 0, epoch = "" } = frame;
    if (op === "ping") {
      if (seq > this.#seq) this.#seq = seq;
      this.#link.send('{"op":"pong"}');
    } else if (op === "gap") {
      if (epoch !== this.#epoch || seq < this.#seq) {
        this.#epoch = epoch;
        this.#seq = seq;
      }
      this.#gaps.fire({ rooms: frame.rooms! });
    } else if (op === "away") {
      this.#link.away(frame.after!, frame.reason!);
    } else if (op === "auth") {
      // The time of the former identity runs on, and with it the next attempt.
      if (frame.error) this.#exception(errorOf(frame.error));
      else this.#identity.expire(frame.expires);
    }
  }

  /** A message without an id: nobody sends it again, and nobody answers it. */
  #say(event: string, data: unknown): void {
    if (!this.#link.ready) return;
    const text = JSON.stringify({ event, data });
    const error = oversize(text, this.#calls.max);
    if (error) this.#exception(new EventError(error.code, error.message, undefined, event));
    else this.#link.send(text);
  }

  #exception(error: EventError): void {
    if (!this.#events.get("exception")?.fire(error)) console.error(error);
  }

  // Calls

  async *#stream(
    event: string,
    data: unknown,
    options: StreamOptions,
    gone: AbortController,
  ): AsyncGenerator<unknown, void, undefined> {
    const items: unknown[] = [];
    let news = () => {};
    let over = false;
    const end = this.#call(event, data, options, gone.signal, (item) => {
      items.push(item);
      news();
    }).finally(() => {
      over = true;
      news();
    });
    // Looked at below, but perhaps not before it is rejected.
    end.catch(() => {});
    try {
      for (;;) {
        const heard = new Promise<void>((resolve) => (news = resolve));
        for (const item of items.splice(0)) yield item;
        if (items.length) continue;
        if (over) break;
        await heard;
      }
      if (!gone.signal.aborted) await end;
    } finally {
      gone.abort();
    }
  }

  #call(
    event: string,
    data: unknown,
    { timeout, signal }: { timeout?: number | undefined; signal?: AbortSignal },
    gone?: AbortSignal,
    item?: (item: unknown) => void,
  ): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const ends = new AbortController();
      let timer: ReturnType<typeof setTimeout> | undefined;
      const settle =
        <T>(then: (value: T) => void) =>
        (value: T) => {
          ends.abort();
          clearTimeout(timer);
          then(value);
        };
      const call: Call = {
        event,
        data: JSON.stringify(data),
        id: 0,
        item,
        resolve: settle(resolve),
        reject: settle(reject),
      };
      const giveUp = (why: unknown) => {
        this.#calls.cancel(call);
        call.reject(why);
      };
      for (const each of [signal, gone]) {
        if (each?.aborted) return call.reject(each.reason);
        each?.addEventListener("abort", () => giveUp(each.reason), { signal: ends.signal });
      }
      if (timeout && timeout <= LONGEST) {
        const why = `no answer within ${timeout} ms`;
        timer = setTimeout(
          () => giveUp(new EventError("timeout", why, undefined, event)),
          timeout,
        );
      }
      this.#calls.add(call);
    });
  }
}

function errorOf({ code, message, details }: ErrorBody, event?: string): EventError {
  return new EventError(code, message, details, event);
}
