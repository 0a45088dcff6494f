/** The other side of a conversation that a test writes down: a WebSocket server that says what it is told. */

import { once } from "node:events";
import type { AddressInfo } from "node:net";

import { onTestFinished } from "vitest";
import { WebSocketServer, type WebSocket } from "ws";

import { type Client, connect, type Options, type Status } from "../src/gatewright.js";

export type Frame = Record<string, any>;

/** What comes in, one after another. */
export class Queue<T> {
  #items: T[] = [];
  #wanted: ((item: T) => void)[] = [];

  put(item: T): void {
    const wanted = this.#wanted.shift();
    if (wanted) wanted(item);
    else this.#items.push(item);
  }

  get(): Promise<T> {
    const item = this.#items.shift();
    if (item !== undefined) return Promise.resolve(item);
    return new Promise((resolve) => this.#wanted.push(resolve));
  }

  get size(): number {
    return this.#items.length;
  }
}

/** One socket of a client. */
export class Talk {
  #frames = new Queue<Frame>();
  closed: Promise<number>;

  constructor(readonly socket: WebSocket) {
    socket.on("message", (data) => this.#frames.put(JSON.parse(String(data))));
    this.closed = once(socket, "close").then(([code]) => code);
  }

  read(): Promise<Frame> {
    return this.#frames.get();
  }

  async reads(count: number): Promise<Frame[]> {
    const all: Frame[] = [];
    while (all.length < count) all.push(await this.read());
    return all;
  }

  /** Whether something has come that was not read. */
  get unread(): number {
    return this.#frames.size;
  }

  send(...frames: Frame[]): void {
    for (const frame of frames) this.socket.send(JSON.stringify(frame));
  }

  /** Read `open` and answer it. */
  async hello(more: Frame = {}): Promise<Frame> {
    const open = await this.read();
    this.send({ ...HELLO, ...more });
    return open;
  }

  /** Everything sent before has been handled by the client when this is done. */
  async settled(): Promise<void> {
    this.send({ op: "ping", seq: 0 });
    for (;;) {
      const frame = await this.read();
      if (frame.op === "pong") return;
      throw new Error(`expected a pong, got ${JSON.stringify(frame)}`);
    }
  }

  /** As a cable that is pulled, for the client to notice. */
  cut(): void {
    this.socket.terminate();
  }
}

export const HELLO = {
  op: "hello",
  session: "~one",
  token: "first",
  resumed: false,
  epoch: "a",
  seq: 10,
  last: 0,
  heartbeat: { interval: 25, timeout: 10 },
  grace: 120,
  max: 65_536,
};

export class Peer {
  #talks = new Queue<Talk>();
  #server: WebSocketServer;

  private constructor(server: WebSocketServer) {
    this.#server = server;
    server.on("connection", (socket) => this.#talks.put(new Talk(socket)));
  }

  static async listen(port = 0): Promise<Peer> {
    const server = new WebSocketServer({
      host: "127.0.0.1",
      port,
      handleProtocols: (offered) => (offered.has("gw.v1.json") ? "gw.v1.json" : false),
    });
    await once(server, "listening");
    const peer = new Peer(server);
    onTestFinished(() => peer.end());
    return peer;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}/chat`;
  }

  /** The next socket. */
  talk(): Promise<Talk> {
    return this.#talks.get();
  }

  get untalked(): number {
    return this.#talks.size;
  }

  async end(): Promise<void> {
    for (const socket of this.#server.clients) socket.terminate();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

/** A client that does not wait long before it connects again, and is closed with its test. */
export function client(url: string, options: Options = {}): Client {
  const made = connect(url, { minDelay: 1, maxDelay: 20, ...options });
  onTestFinished(() => made.close());
  return made;
}

/** A client and its first socket, open. */
export async function opened(
  options: Options = {},
  hello: Frame = {},
): Promise<{ peer: Peer; chat: Client; talk: Talk }> {
  const peer = await Peer.listen();
  const chat = client(peer.url, options);
  const talk = await peer.talk();
  await talk.hello(hello);
  await chat.ready();
  return { peer, chat, talk };
}

/** What a promise is rejected with. */
export async function failure(promise: Promise<unknown>): Promise<any> {
  try {
    return { resolved: await promise };
  } catch (error) {
    return error;
  }
}

/** A promise whose failure is nobody's concern: the test ends before it is kept. */
export function ignored<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => {});
  return promise;
}

/** Wait until the status changes to this one. */
export function becomes(chat: Client, wanted: Status): Promise<void> {
  return new Promise((resolve) => {
    const off = chat.onStatus(({ status }) => {
      if (status !== wanted) return;
      off();
      resolve();
    });
  });
}
