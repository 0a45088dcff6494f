import { once } from "node:events";

import { expect, onTestFinished, test, vi } from "vitest";
import WebSocket from "ws";

import { connect, EventError, type StatusChange } from "../src/gatewright.js";
import { becomes, client, failure, HELLO, opened, Peer } from "./peer.js";

test("the first frame is open, with what auth gives, and nothing follows before hello", async () => {
  const peer = await Peer.listen();
  const chat = client(peer.url, { auth: async () => ({ token: "secret" }) });
  const call = chat.call("say", "hi");
  expect(chat.status).toBe("connecting");
  const talk = await peer.talk();
  expect(talk.socket.protocol).toBe("gw.v1.json");
  expect(await talk.read()).toEqual({ op: "open", auth: { token: "secret" } });
  talk.socket.ping();
  await once(talk.socket, "pong");
  expect(talk.unread).toBe(0);
  talk.send(HELLO);
  expect(await talk.read()).toEqual({ event: "say", data: "hi", id: 1 });
  expect([chat.status, chat.id]).toEqual(["open", "~one"]);
  talk.send({ id: 1, data: 3 });
  expect(await call).toBe(3);
});

test("without auth there is none in open", async () => {
  const peer = await Peer.listen();
  client(peer.url);
  expect(await (await peer.talk()).read()).toEqual({ op: "open" });
});

test("auth is asked anew at every attempt, and its failure is one of the attempt", async () => {
  const peer = await Peer.listen();
  let asked = 0;
  const changes: StatusChange[] = [];
  const chat = client(peer.url, {
    auth: () => {
      asked++;
      if (asked === 1) throw new Error("no token yet");
      return asked;
    },
  });
  chat.onStatus((change) => changes.push(change));
  const talk = await peer.talk();
  expect(await talk.read()).toEqual({ op: "open", auth: 2 });
  expect(changes[0]).toMatchObject({ status: "connecting", reason: "Error: no token yet" });
  expect(changes[0]!.retryAt).toBeTypeOf("number");
  expect(changes[1]).toEqual({ status: "connecting", reason: "Error: no token yet" });
});

test.each([1002, 1001, 1009, 1011, 1012, 4002, 4004, 4005, 4499])(
  "after the close code %i it connects again, with its session",
  async (code) => {
    const { peer, chat, talk } = await opened();
    const changes: StatusChange[] = [];
    chat.onStatus((change) => changes.push(change));
    talk.socket.close(code, "a reason");
    const again = await peer.talk();
    expect(await again.read()).toEqual({
      op: "open",
      resume: { session: "~one", token: "first", epoch: "a", seq: 10, sent: 0 },
    });
    expect(changes[0]).toMatchObject({ status: "resuming", reason: "a reason", code });
  },
);

test.each([1000, 1008, 4500, 4501, 4503, 4508, 4999])(
  "after the close code %i it is closed",
  async (code) => {
    const { peer, chat, talk } = await opened();
    const changes: StatusChange[] = [];
    chat.onStatus((change) => changes.push(change));
    const call = failure(chat.call("slow"));
    await talk.read();
    talk.socket.close(code, "a reason");
    expect(await call).toMatchObject({ code: "reply_lost", event: "slow" });
    expect(changes).toEqual([{ status: "closed", reason: "a reason", code }]);
    expect(await failure(chat.ready())).toMatchObject({ code: "closed", message: "a reason" });
    expect(await failure(chat.call("say"))).toMatchObject({ code: "closed" });
    expect(peer.untalked).toBe(0);
  },
);

test("ready waits, and rejects when it will never be", async () => {
  const peer = await Peer.listen();
  const chat = client(peer.url);
  const ready = failure(chat.ready());
  const talk = await peer.talk();
  await talk.read();
  talk.socket.close(4501, "who are you?");
  expect(await ready).toMatchObject({ code: "closed", message: "who are you?" });
});

test("close says bye, and rejects what was not sent as closed", async () => {
  const { chat, talk } = await opened();
  chat.close();
  expect(await talk.read()).toEqual({ op: "bye" });
  expect(await talk.closed).toBe(1000);
  expect(chat.status).toBe("closed");

  const never = connect("http://127.0.0.1:9/chat");
  const call = failure(never.call("say", "hi"));
  never.close();
  expect(await call).toMatchObject({ code: "closed", message: "closed by the client" });
});

test("a server that is not there yet is found when it is", async () => {
  const { port } = await opened().then(async ({ peer, chat }) => {
    chat.close();
    const { port } = peer;
    await peer.end();
    return { port };
  });
  const chat = client(`ws://127.0.0.1:${port}/chat`);
  const refused = await new Promise<StatusChange>((resolve) => chat.onStatus(resolve));
  expect(refused.status).toBe("connecting");
  expect(refused.reason).not.toBe("");
  const peer = await Peer.listen(port);
  await (await peer.talk()).hello();
  await chat.ready();
});

test("a class of another package is taken, and asked for where there is none", async () => {
  const { chat, talk } = await opened({ WebSocket });
  const call = chat.call("say");
  await talk.read();
  talk.send({ id: 1, data: null });
  expect(await call).toBeNull();

  vi.stubGlobal("WebSocket", undefined);
  onTestFinished(() => void vi.unstubAllGlobals());
  expect(() => connect("http://127.0.0.1/chat")).toThrow("pass a class as the option WebSocket");
});

test("a refused connection is noticed with ws, too", async () => {
  const peer = await Peer.listen();
  const { url } = peer;
  await peer.end();
  const chat = client(url, { WebSocket });
  const refused = await new Promise<StatusChange>((resolve) => chat.onStatus(resolve));
  expect(refused.reason).toContain("ECONNREFUSED");
});

test("a refused connection is noticed where it is told by an error alone, as in Node 20", async () => {
  const peer = await Peer.listen();
  let made = 0;
  class Refused {
    readyState = 0;
    onopen = null;
    onmessage = null;
    onclose = null;
    onerror = (_: object) => {};
    constructor(url: string, protocols: string[]) {
      if (made++) return new WebSocket(url, protocols) as never;
      setImmediate(() => this.onerror({ message: "refused" }));
    }
    send(): void {}
    close(): void {}
  }
  const chat = client(peer.url, { WebSocket: Refused, connectTimeout: 60_000 });
  const refused = await new Promise<StatusChange>((resolve) => chat.onStatus(resolve));
  expect(refused).toMatchObject({ status: "connecting", reason: "refused" });
  await (await peer.talk()).hello();
  await chat.ready();
});

test("who closes while auth is asked opens no socket any more", async () => {
  let made = 0;
  class Counted extends WebSocket {
    constructor(url: string, protocols: string[]) {
      super(url, protocols);
      made++;
    }
  }
  const peer = await Peer.listen();
  let answer = (_: unknown) => {};
  const asked = new Promise((resolve) => (answer = resolve));
  const chat = client(peer.url, { auth: () => asked, WebSocket: Counted });
  chat.close();
  answer("late");
  await asked;
  await new Promise(setImmediate);
  expect(made).toBe(0);
});

test.each(["/chat", "file:///chat", "chat.example", ""])(
  "%j is no address outside of a page",
  (url) => {
    expect(() => connect(url)).toThrow("a path alone is enough on a page only");
  },
);

test("the part of an address behind a # stays here", async () => {
  const peer = await Peer.listen();
  client(`${peer.url}#top`);
  await (await peer.talk()).read();
});

test("retry does not wait, and wakes nobody who is closed", async () => {
  const { peer, chat, talk } = await opened({ minDelay: 60_000, maxDelay: 60_000 });
  const lost = becomes(chat, "resuming");
  talk.cut();
  await lost;
  chat.retry();
  const again = await peer.talk();
  await again.hello({ resumed: true });
  await chat.ready();
  chat.retry(); // it is open: one asks
  expect(await again.read()).toEqual({ op: "ping" });
  again.send({ op: "pong" });
  await again.settled();
  chat.close();
  chat.retry();
  await again.closed;
  expect([chat.status, peer.untalked]).toEqual(["closed", 0]);
});

test("who closes on hearing that it is open rejects what has waited", async () => {
  const peer = await Peer.listen();
  const chat = client(peer.url);
  const call = failure(chat.call("say"));
  chat.onStatus(({ status }) => {
    if (status === "open") chat.close();
  });
  const talk = await peer.talk();
  await talk.hello();
  expect(await call).toMatchObject({ code: "closed" });
  expect(await talk.read()).toEqual({ op: "bye" });
});

test("a socket on which nobody says hello is given up", async () => {
  const peer = await Peer.listen();
  const chat = client(peer.url, { connectTimeout: 50 });
  const first = await peer.talk();
  await first.read();
  const changes: StatusChange[] = [];
  chat.onStatus((change) => changes.push(change));
  await (await peer.talk()).hello();
  await chat.ready();
  expect(changes[0]).toMatchObject({ status: "connecting", reason: "nothing heard for 0 s" });
});

test("EventError is an Error with a code", () => {
  const error = new EventError("taken", "", { free: ["b"] });
  expect(error).toBeInstanceOf(Error);
  expect([error.name, error.code, error.message, error.details]).toEqual([
    "EventError",
    "taken",
    "taken",
    { free: ["b"] },
  ]);
});
