import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from "vitest";
import WebSocket from "ws";

import { type Client, connect, EventError, type Gap, type StatusChange } from "../../src/gatewright.js";
import { becomes, failure } from "../peer.js";
import { Gatewright, Tunnel } from "./server.js";

const server = new Gatewright();
beforeAll(async () => void (await server.start()), 30_000);
afterAll(() => server.kill());

const PATIENT = { timeout: 15_000 };

describe.each([
  ["Node's own WebSocket", undefined],
  ["ws", WebSocket],
])("with %s", (_, kind) => {
  function enter(url: string, options = {}): Client {
    const own = kind ? { WebSocket: kind } : {};
    const chat = connect(url, { minDelay: 5, maxDelay: 50, ...own, ...options });
    onTestFinished(() => chat.close());
    return chat;
  }

  /** A client whose way can be cut. */
  async function through(path: string, options = {}): Promise<{ chat: Client; tunnel: Tunnel }> {
    const tunnel = await Tunnel.dig(server.port);
    return { chat: enter(tunnel.url + path, options), tunnel };
  }

  const room = () => `room ${Math.random()}`;

  test("calls, errors, messages, streams", async () => {
    const chat = enter(`${server.url}/chat`);
    const said: unknown[] = [];
    chat.on("said", (data) => said.push(data));
    const lobby = room();
    await chat.call("join", lobby);
    expect(await chat.call("say", { room: lobby, text: "hi" })).toBeTypeOf("number");
    await vi.waitFor(() => expect(said).toEqual([{ author: chat.id, text: "hi" }]));
    expect(await failure(chat.call("fail", "taken"))).toMatchObject({
      code: "taken",
      message: "As you wish.",
      details: { asked: "taken" },
    });
    expect(await failure(chat.call("nothing"))).toMatchObject({ code: "unknown_event" });
    expect(await failure(chat.call("say", { room: 1 }))).toMatchObject({ code: "invalid" });
    const numbers: unknown[] = [];
    for await (const number of chat.stream("count", [5, 2])) numbers.push(number);
    expect(numbers).toEqual([2, 3, 4]);
  });

  test("a stream that one leaves is stopped there", async () => {
    const chat = enter(`${server.url}/chat`);
    const before = await chat.call("stopped");
    for await (const item of chat.stream("forever")) {
      expect(item).toBe(1);
      break;
    }
    await vi.waitFor(async () => expect(await chat.call("stopped")).toBe(before + 1));
    const ends = new AbortController();
    const stream = chat.stream("forever", undefined, { signal: ends.signal });
    await stream.next();
    ends.abort(new Error("enough"));
    expect(await failure(stream.next())).toMatchObject({ message: "enough" });
    await vi.waitFor(async () => expect(await chat.call("stopped")).toBe(before + 2));
  });

  test("the server asks, and the client answers", async () => {
    const chat = enter(`${server.url}/chat`);
    chat.handle("sure", ({ about }) => about === "everything");
    expect(await chat.call("delete", "everything")).toBe(true);
    chat.handle("sure", () => {
      throw new EventError("busy", "not now");
    });
    expect(await failure(chat.call("delete", "x"))).toMatchObject({ code: "busy" });
  });

  test("a thousand calls at once are all answered, in order", async () => {
    const chat = enter(`${server.url}/chat`);
    const numbers = Array.from({ length: 1000 }, (_, n) => n);
    expect(await Promise.all(numbers.map((n) => chat.call("effect", n)))).toEqual(numbers);
  }, 15_000);

  test("over many cuts every message comes once, in order, and every call is executed once", async () => {
    const { chat: ben, tunnel } = await through("/chat");
    const { chat: ana, tunnel: other } = await through("/chat");
    const lobby = room();
    const gaps: Gap[] = [];
    const resumed: boolean[] = [];
    const said: number[] = [];
    ben.on("said", ({ text }) => said.push(Number(text)));
    ben.onGap((gap) => gaps.push(gap));
    ben.onStatus(({ status, resumed: same }) => status === "open" && resumed.push(same!));
    await ben.call("join", lobby);
    const cut = setInterval(() => {
      tunnel.cut();
      other.cut();
    }, 60);
    onTestFinished(() => clearInterval(cut));
    const count = 300;
    const before = (await enter(`${server.url}/chat`).call("effects")).length;
    for (let n = 0; n < count; n++) {
      ana.emit("said by others", { room: lobby, text: `${n}` });
      ben.emit("effect", n);
      if (n % 3 === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    }
    const numbers = Array.from({ length: count }, (_, n) => n);
    await vi.waitFor(() => expect(said.length).toBeGreaterThanOrEqual(count), PATIENT);
    await vi.waitFor(() => expect([ana.pending, ben.pending]).toEqual([0, 0]), PATIENT);
    clearInterval(cut);
    expect(said).toEqual(numbers);
    expect(gaps).toEqual([]);
    const effects = await enter(`${server.url}/chat`).call("effects");
    expect(effects.slice(before)).toEqual(numbers);
    expect(resumed.length).toBeGreaterThan(3);
    expect(resumed.slice(1)).not.toContain(false);
  }, 40_000);

  test("a call that was under way goes on over a cut, and is not begun again", async () => {
    const { chat, tunnel } = await through("/patient");
    const other = enter(`${server.url}/patient`);
    const key = room();
    const call = chat.call("wait", key);
    await vi.waitFor(async () => expect(await other.call("begun", key)).toBe(1));
    const lost = becomes(chat, "resuming");
    tunnel.cut();
    await lost;
    await chat.ready();
    await other.call("release", key);
    expect(await call).toBe(1);
  });

  test("a stream ends as interrupted when its socket is lost", async () => {
    const { chat, tunnel } = await through("/chat");
    const stream = chat.stream("forever");
    expect((await stream.next()).value).toBe(1);
    tunnel.cut();
    expect(await failure(stream.next())).toMatchObject({ code: "interrupted" });
    await chat.ready();
    expect(await chat.call("effect", 1)).toBe(1);
  });

  test("a connection on which nothing passes is noticed, and left", async () => {
    const { chat, tunnel } = await through("/quick/chat");
    await chat.call("join", "lobby");
    const changes: StatusChange[] = [];
    chat.onStatus((change) => changes.push(change));
    const { id } = chat;
    tunnel.block();
    const call = chat.call("effect", 77);
    await becomes(chat, "resuming");
    expect(changes[0]).toMatchObject({ reason: "nothing heard for 1 s" });
    tunnel.clear();
    expect(await call).toBe(77);
    expect([chat.id, chat.status]).toEqual([id, "open"]);
  }, 20_000);

  test("what is too much to be repeated is a gap", async () => {
    const { chat, tunnel } = await through("/forgetful/chat");
    const other = enter(`${server.url}/forgetful/chat`);
    const lobby = room();
    const said: string[] = [];
    const gaps: Gap[] = [];
    chat.on("said", ({ text }) => said.push(text));
    chat.onGap((gap) => gaps.push(gap));
    await chat.call("join", lobby);
    await other.call("join", lobby);
    tunnel.block();
    for (let n = 0; n < 10; n++) await other.call("say", { room: lobby, text: `${n}` });
    tunnel.clear();
    await vi.waitFor(() => expect(gaps).toEqual([{ rooms: [lobby] }]));
    await other.call("say", { room: lobby, text: "live" });
    await vi.waitFor(() => expect(said).toEqual(["live"]));
  });

  test("who is refused is closed, with the reason", async () => {
    const chat = enter(`${server.url}/chat`, { auth: () => ({ token: "wrong" }) });
    const changes: StatusChange[] = [];
    chat.onStatus((change) => changes.push(change));
    expect(await failure(chat.ready())).toMatchObject({ code: "closed", message: "who are you?" });
    expect(changes.at(-1)).toEqual({ status: "closed", reason: "who are you?", code: 4501 });
  });

  test("an identity is renewed before it expires", async () => {
    let asked = 0;
    const chat = enter(`${server.url}/chat`, {
      auth: () => ({ token: "ana", seconds: ++asked < 4 ? 0.6 : 600 }),
    });
    const changes: StatusChange[] = [];
    chat.onStatus((change) => changes.push(change));
    await vi.waitFor(() => expect(asked).toBe(4), PATIENT);
    expect(await chat.call("user")).toBe("ana");
    expect(changes.map(({ status }) => status)).toEqual(["open"]);
  });

  test("an identity of somebody else is refused, and the session goes on", async () => {
    const names = ["ana", "ben", "ana"];
    const chat = enter(`${server.url}/chat`, {
      auth: () => ({ token: names.shift() ?? "ana", seconds: 4 }),
    });
    const told: EventError[] = [];
    chat.on("exception", (error) => told.push(error));
    await vi.waitFor(() => expect(told).not.toEqual([]), PATIENT);
    expect(await chat.call("user")).toBe("ana");
  }, 20_000);

  test("whose identity has expired comes back with a new one", async () => {
    let asked = 0;
    const chat = enter(`${server.url}/chat`, {
      auth: () => {
        if (++asked === 1) return { token: "ana", seconds: 0.3 };
        if (chat.status === "open") throw new Error("not yet");
        return { token: "ana" };
      },
    });
    chat.on("exception", () => {});
    await chat.ready();
    const { id } = chat;
    const changes: StatusChange[] = [];
    chat.onStatus((change) => changes.push(change));
    await vi.waitFor(() => expect(changes.at(-1)?.status).toBe("open"), PATIENT);
    expect(changes[0]).toMatchObject({ status: "resuming", code: 4004 });
    expect([chat.id, changes.at(-1)?.resumed]).toEqual([id, true]);
  });

  test("close ends the session at once", async () => {
    const chat = enter(`${server.url}/chat`);
    await chat.ready();
    const { id } = chat;
    chat.close();
    const other = enter(`${server.url}/chat`);
    await vi.waitFor(async () => expect(await other.call("is ended", id)).toBe(true));
  });

  test("who is overtaken, by a late attempt of its own perhaps, comes back", async () => {
    const heard: string[] = [];
    class Overheard extends WebSocket {
      constructor(url: string, protocols: string[]) {
        super(url, protocols);
        this.on("message", (data) => heard.push(String(data)));
      }
    }
    const chat = enter(`${server.url}/chat`, { WebSocket: Overheard });
    await chat.ready();
    const { session, token, epoch, seq } = JSON.parse(heard[0]!);
    const changes: StatusChange[] = [];
    chat.onStatus((change) => changes.push(change));
    const late = new WebSocket(`${server.url.replace("http", "ws")}/chat`, ["gw.v1.json"]);
    onTestFinished(() => late.close());
    late.on("open", () => {
      const resume = { session, token, epoch, seq, sent: 0 };
      late.send(JSON.stringify({ op: "open", resume }));
    });
    await becomes(chat, "open");
    expect(changes[0]).toMatchObject({ status: "resuming", code: 4009 });
    expect(changes.at(-1)).toMatchObject({ status: "open", resumed: true });
    expect(chat.id).toBe(session);
  });

  test("what the server would refuse as too large never leaves", async () => {
    const chat = enter(`${server.url}/chat`);
    const text = "x".repeat(70_000);
    expect(await failure(chat.call("say", { room: "r", text }))).toMatchObject({
      code: "too_large",
    });
    expect(await chat.call("effect", 1)).toBe(1);
  });
});
