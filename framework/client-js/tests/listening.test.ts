import { expect, onTestFinished, test, vi } from "vitest";

import { opened } from "./peer.js";

test("listeners come and go", async () => {
  const { chat, talk } = await opened();
  const heard: string[] = [];
  const off = chat.on("said", (text) => heard.push(`a ${text}`));
  chat.once("said", (text) => heard.push(`once ${text}`));
  chat.on("said", (text) => heard.push(`b ${text}`));
  talk.send({ event: "said", data: 1 });
  await talk.settled();
  off();
  off();
  talk.send({ event: "said", data: 2 }, { event: "unheard", data: 3 });
  await talk.settled();
  expect(heard).toEqual(["a 1", "once 1", "b 1", "b 2"]);
});

test("who is taken away by a listener is not called any more", async () => {
  const { chat, talk } = await opened();
  const heard: string[] = [];
  chat.on("said", () => {
    heard.push("first");
    off();
  });
  const off = chat.on("said", () => heard.push("second"));
  talk.send({ event: "said" });
  await talk.settled();
  expect(heard).toEqual(["first"]);
});

test("what a listener throws hurts nobody else, and is reported", async () => {
  const { chat, talk } = await opened();
  const uncaught: unknown[] = [];
  const before = process.listeners("uncaughtException");
  process.removeAllListeners("uncaughtException");
  process.on("uncaughtException", (error) => uncaught.push(error));
  onTestFinished(() => {
    process.removeAllListeners("uncaughtException");
    for (const each of before) process.on("uncaughtException", each);
  });
  const bug = new Error("a bug");
  const heard: unknown[] = [];
  chat.on("said", () => {
    throw bug;
  });
  chat.on("said", (data) => heard.push(data));
  talk.send({ event: "said", data: 1, seq: 11 }, { event: "said", data: 2, seq: 12 });
  await talk.settled();
  expect(heard).toEqual([1, 2]);
  await vi.waitFor(() => expect(uncaught).toEqual([bug, bug]));
});

test("a stream that one stops reading is cancelled", async () => {
  const { chat, talk } = await opened();
  const seen: unknown[] = [];
  const reading = (async () => {
    for await (const item of chat.stream("count", 5)) {
      seen.push(item);
      if (seen.length === 2) break;
    }
  })();
  await talk.read();
  talk.send({ id: 1, item: 0 }, { id: 1, item: 1 }, { id: 1, item: 2 });
  await reading;
  expect(seen).toEqual([0, 1]);
  expect(await talk.read()).toEqual({ op: "cancel", id: 1 });
  talk.send({ id: 1, error: { code: "cancelled", message: "" } });
  await talk.settled();
});

test("a stream ends, or fails, after its items; a signal ends it", async () => {
  const { chat, talk } = await opened();
  const read = async (stream: AsyncIterable<unknown>) => {
    const seen: unknown[] = [];
    try {
      for await (const item of stream) seen.push(item);
    } catch (error) {
      seen.push((error as any).code ?? (error as Error).message);
    }
    return seen;
  };
  const good = read(chat.stream("good"));
  const bad = read(chat.stream("bad"));
  const ends = new AbortController();
  const stopped = read(chat.stream("stopped", null, { signal: ends.signal }));
  await talk.reads(3);
  for (const id of [1, 2, 3]) talk.send({ id, item: id });
  talk.send({ id: 1, data: null }, { id: 2, error: { code: "internal", message: "" } });
  expect(await good).toEqual([1]);
  expect(await bad).toEqual([2, "internal"]);
  ends.abort(new Error("enough"));
  expect(await stopped).toEqual([3, "enough"]);
  expect(await talk.read()).toEqual({ op: "cancel", id: 3 });
  await talk.settled();
});

test("a stream can be left while one waits for its next item", async () => {
  const { chat, talk } = await opened();
  const stream = chat.stream("forever");
  const next = stream.next();
  await talk.read();
  const left = stream.return();
  expect(await talk.read()).toEqual({ op: "cancel", id: 1 });
  expect(await next).toEqual({ done: true, value: undefined });
  expect((await left).done).toBe(true);
});

test("a stream that nobody reads is not sent", async () => {
  const { chat, talk } = await opened();
  chat.stream("count", 5);
  await talk.settled();
});
