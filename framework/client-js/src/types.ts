/** What the client's methods take and give. */

/**
 * The shape of an interface that describes a gateway, for `connect<ChatEvents>(…)`. Every part may
 * be absent; without an interface any name and any data will do.
 */
export interface Contract {
  /** Messages of the server, heard with `on`: the data of each. */
  events?: object;
  /** What `call` and `emit` send: a function from the data to the answer. */
  calls?: object;
  /** What `stream` sends: a function from the data to one item. */
  streams?: object;
  /** Calls of the server, answered with `handle`: a function from the data to the answer. */
  handlers?: object;
}

/** The contract of who has declared none. */
export interface Undeclared {
  events: Record<string, any>;
  calls: Record<string, (data?: any) => any>;
  streams: Record<string, (data?: any) => any>;
  handlers: Record<string, (data: any) => any>;
}

export type Part<C, K extends keyof Contract> = C extends Record<K, infer P> ? P : {};
export type Name<P> = Extract<keyof P, string>;
export type Data<F> = F extends (...data: infer D extends any[]) => unknown ? D : never;
export type Answer<F> = F extends (...data: any[]) => infer A ? A : never;

/** The data, which may be left out if the function takes none or can do without, and options. */
export type Rest<F, O> = [] extends Data<F>
  ? [data?: Data<F>[0], options?: O]
  : [data: Data<F>[0], options?: O];

/** Ends what it came from: a listener, a handler. */
export type Off = () => void;

/**
 * `connecting` until there is a session, `open`, then `resuming` whenever the socket is lost, and
 * `closed` for good.
 */
export type Status = "connecting" | "open" | "resuming" | "closed";

/** The status, each time that there is news about it. */
export interface StatusChange {
  status: Status;
  /** Why it is not open, for people; empty where nobody said. */
  reason: string;
  /** The code that the socket was closed with, where it was. */
  code?: number;
  /** When the next attempt begins, as by `Date.now()`; absent while one is under way. */
  retryAt?: number;
  /** With `open`: whether it is the session of before. A new one is in no room. */
  resumed?: boolean;
}

/** Something may be missing of what was emitted to these rooms; what follows is live again. */
export interface Gap {
  /** Names of rooms, the user, the own id, or `*` for what was emitted to everyone. */
  rooms: string[];
}

export interface CallOptions {
  /** In milliseconds, from now; time without a connection counts. By default there is no limit. */
  timeout?: number;
  /** Cancels the call, which then rejects with the signal's reason. */
  signal?: AbortSignal;
}

export interface EmitOptions {
  /** Whether it may be lost: for what is worth nothing later, as that somebody is typing. */
  volatile?: boolean;
}

export interface StreamOptions {
  /** Cancels the stream, which then throws the signal's reason. */
  signal?: AbortSignal;
}

export interface Options {
  /**
   * What `authenticate` finds in `handshake.auth`. Asked before every attempt and in time before
   * the identity expires, so that what it gives may be short-lived.
   */
  auth?: () => unknown;
  /** The `timeout` of calls that name none, in milliseconds. */
  timeout?: number;
  /** How many calls may wait for a connection; those over it reject with `too_many`. 1000. */
  queue?: number;
  /** The longest wait before the first attempt to connect again, in milliseconds: 500. */
  minDelay?: number;
  /** The longest wait before any attempt, in milliseconds: 20,000. */
  maxDelay?: number;
  /** How long `auth`, the handshake and the server's first word may each take, in milliseconds: 10,000. */
  connectTimeout?: number;
  /** A class like the browser's WebSocket, for Node 20, which has none: the one of `ws` does. */
  WebSocket?: SocketClass;
}

/** What is needed of a WebSocket; the browser's, Node's and that of `ws` have it. */
export interface SocketLike {
  readonly readyState: number;
  onopen: any;
  onmessage: any;
  onclose: any;
  onerror: any;
  send(text: string): void;
  close(code?: number, reason?: string): void;
}

export type SocketClass = new (url: string, protocols: string[]) => SocketLike;
