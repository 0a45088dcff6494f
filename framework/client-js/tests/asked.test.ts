import { once } from "node:events";

import { expect, onTestFinished, test, vi } from "vitest";

import { EventError } from "../src/gatewright.js";
import { becomes, HELLO, opened } from "./peer.js";

const SURE = { event: "sure", data: { about: "it" }, id: "7" };

test("a call of the server is answered by its handler", async () => {
  const { chat, talk } = await opened();
  const off = chat.handle("sure", ({ about }) => about === "it");
  talk.send(SURE);
  expect(await talk.read()).toEqual({ id: "7", data: true });
  off();
  talk.send({ ...SURE, id: "8" });
  expect(await talk.read()).toEqual({
    id: "8",
    error: { code: "unknown_event", message: "no handler for 'sure'" },
  });
});

test("what a handler throws is the answer, if it is meant to be", async () => {
  const { chat, talk } = await opened();
  const uncaught: unknown[] = [];
  const before = process.listeners("uncaughtException");
  process.removeAllListeners("uncaughtException");
  process.on("uncaughtException", (error) => uncaught.push(error));
  onTestFinished(() => {
    process.removeAllListeners("uncaughtException");
    for (const each of before) process.on("uncaughtException", each);
  });
  chat.handle("sure", () => {
    throw new EventError("busy", "not now", [1]);
  });
  talk.send(SURE);
  expect(await talk.read()).toEqual({
    id: "7",
    error: { code: "busy", message: "not now", details: [1] },
  });
  const bug = new Error("a bug");
  chat.handle("sure", async () => {
    throw bug;
  });
  talk.send({ ...SURE, id: "8" });
  const { error } = await talk.read();
  expect(error).toEqual({ code: "internal", message: "the client's handler failed" });
  chat.handle("sure", () => 1n);
  talk.send({ ...SURE, id: "9" });
  expect((await talk.read()).error.code).toBe("internal");
  await vi.waitFor(() => expect(uncaught).toEqual([bug, expect.any(TypeError)]));
});

test("the same call is not run twice, and known ones are answered again", async () => {
  const { peer, chat, talk } = await opened();
  let asked = 0;
  let finish = (_: unknown) => {};
  chat.handle("sure", () => {
    asked++;
    return new Promise((resolve) => (finish = resolve));
  });
  talk.send(SURE, SURE);
  await talk.settled();
  expect(asked).toBe(1);
  talk.cut();
  const again = await peer.talk();
  await again.hello({ resumed: true });
  again.send(SURE);
  await again.settled();
  finish(true);
  expect(await again.read()).toEqual({ id: "7", data: true });
  again.send(SURE);
  expect(await again.read()).toEqual({ id: "7", data: true });
  expect(asked).toBe(1);
});

test("an answer that came while there was no socket waits until it is asked for", async () => {
  const { peer, chat, talk } = await opened();
  let finish = (_: unknown) => {};
  chat.handle("sure", () => new Promise((resolve) => (finish = resolve)));
  talk.send(SURE);
  await talk.settled();
  talk.cut();
  await becomes(chat, "resuming");
  finish(true);
  const again = await peer.talk();
  await again.hello({ resumed: true });
  await again.settled();
  again.send(SURE);
  expect(await again.read()).toEqual({ id: "7", data: true });
});

test("an answer waits for hello", async () => {
  const { peer, chat, talk } = await opened();
  let finish = (_: unknown) => {};
  chat.handle("sure", () => new Promise((resolve) => (finish = resolve)));
  talk.send(SURE);
  await talk.settled();
  talk.cut();
  const again = await peer.talk();
  await again.read();
  finish(true);
  again.socket.ping();
  await once(again.socket, "pong");
  expect(again.unread).toBe(0);
  again.send({ ...HELLO, resumed: true }, SURE);
  expect(await again.read()).toEqual({ id: "7", data: true });
});

test("a new session has forgotten the calls of the one before", async () => {
  const { peer, chat, talk } = await opened();
  const finish: ((answer: unknown) => void)[] = [];
  chat.handle("sure", () => new Promise((resolve) => finish.push(resolve)));
  talk.send(SURE);
  await talk.settled();
  talk.cut();
  const again = await peer.talk();
  await again.hello({ session: "~two" });
  again.send(SURE);
  await again.settled();
  finish[0]!("of the former session");
  await again.settled();
  finish[1]!("of this one");
  expect(await again.read()).toEqual({ id: "7", data: "of this one" });
});

test("the answers of the last 128 are kept", async () => {
  const { chat, talk } = await opened();
  let asked = 0;
  chat.handle("sure", () => ++asked);
  for (let n = 0; n <= 128; n++) talk.send({ ...SURE, id: `${n}` });
  await talk.reads(129);
  talk.send({ ...SURE, id: "1" });
  expect(await talk.read()).toEqual({ id: "1", data: 2 });
  talk.send({ ...SURE, id: "0" });
  expect(await talk.read()).toEqual({ id: "0", data: 130 });
});

test("an answer that is too large is an error", async () => {
  const { chat, talk } = await opened({}, { max: 200 });
  chat.handle("sure", () => "x".repeat(300));
  talk.send(SURE);
  expect((await talk.read()).error).toMatchObject({ code: "too_large" });
});
