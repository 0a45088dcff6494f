/** A call, an event or the connection failed; programs go by `code`, people by `message`. */
export declare class EventError extends Error {
	readonly code: string;
	readonly details?: unknown | undefined;
	/** The event that failed, where one is known. */
	readonly event?: string | undefined;
	/**
	 * `code` is one of the application's own, of the protocol's, or of this client's: `timeout`,
	 * `too_many` (the queue is full), `too_large`, `closed` (it was never sent). Thrown by a handler
	 * of `handle` it is the answer.
	 */
	constructor(code: string, message?: string, details?: unknown | undefined, 
	/** The event that failed, where one is known. */
	event?: string | undefined);
}
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
interface Undeclared {
	events: Record<string, any>;
	calls: Record<string, (data?: any) => any>;
	streams: Record<string, (data?: any) => any>;
	handlers: Record<string, (data: any) => any>;
}
type Part<C, K extends keyof Contract> = C extends Record<K, infer P> ? P : {};
type Name<P> = Extract<keyof P, string>;
type Data<F> = F extends (...data: infer D extends any[]) => unknown ? D : never;
type Answer<F> = F extends (...data: any[]) => infer A ? A : never;
type Rest<F, O> = [
] extends Data<F> ? [
	data?: Data<F>[0],
	options?: O
] : [
	data: Data<F>[0],
	options?: O
];
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
/** A connection that comes back: made by `connect`. */
export declare class Client<C = Undeclared> {
	#private;
	constructor(url: string, options: Options);
	/** Whether there is a connection, and if not, whether there will be one. */
	get status(): Status;
	/** The id of the connection, which others know it by; absent before it was open. */
	get id(): string | undefined;
	/** How many calls have not ended: sent ones without an answer, and those that wait. */
	get pending(): number;
	/**
	 * Call an event and await its answer, over as many sockets as it takes. It is sent as soon as
	 * there is a connection, and executed once. Rejects with an `EventError`; `reply_lost` says that
	 * nobody knows whether it was executed.
	 */
	call<E extends Name<Part<C, "calls">>>(event: E, ...[data, options]: Rest<Part<C, "calls">[E], CallOptions>): Promise<Answer<Part<C, "calls">[E]>>;
	/**
	 * A call whose answer nobody needs. It is not lost, unless it is `volatile`: then it is said now
	 * or never. If it fails, `exception` tells.
	 */
	emit<E extends Name<Part<C, "calls">>>(event: E, ...[data, options]: Rest<Part<C, "calls">[E], EmitOptions>): void;
	/**
	 * Call an event that answers with a stream. It is sent when one begins to iterate, and cancelled
	 * when one stops. It does not outlive a socket: then it throws an `EventError`, `interrupted`.
	 */
	stream<E extends Name<Part<C, "streams">>>(event: E, ...[data, options]: Rest<Part<C, "streams">[E], StreamOptions>): AsyncGenerator<Answer<Part<C, "streams">[E]>, void, undefined>;
	/** Hear an event of the server; `exception` is what failed without a caller to tell. */
	on(event: "exception", listener: (error: EventError) => void): Off;
	on<E extends Name<Part<C, "events">>>(event: E, listener: (data: Part<C, "events">[E]) => void): Off;
	/** Hear an event the next time only. */
	once(event: "exception", listener: (error: EventError) => void): Off;
	once<E extends Name<Part<C, "events">>>(event: E, listener: (data: Part<C, "events">[E]) => void): Off;
	/** Hear of every change of the status, and of every attempt to connect again. */
	onStatus(listener: (change: StatusChange) => void): Off;
	/** Hear that something may have been missed: fetch again what these rooms are about. */
	onGap(listener: (gap: Gap) => void): Off;
	/** Answer a call of the server. An `EventError` that it throws is the answer, too. */
	handle<E extends Name<Part<C, "handlers">>>(event: E, handler: (...data: Data<Part<C, "handlers">[E]>) => Answer<Part<C, "handlers">[E]> | Promise<Answer<Part<C, "handlers">[E]>>): Off;
	/** Wait until it is open; rejects with `closed` if it never will be. */
	ready(): Promise<void>;
	/** Connect now instead of later; if it is open, find out whether that is still true. */
	retry(): void;
	/** Leave for good: the server ends the session, calls without an answer reject. */
	close(): void;
}
/**
 * Connect to a namespace, and stay connected until `close`.
 *
 * `url` is a path of the page's own server, or an address (`http:` and `https:` will do, too). The
 * interface says what may be said and heard: see `Contract`.
 */
export declare function connect<C extends object = Undeclared>(url: string, options?: Options): Client<C>;

export {};
