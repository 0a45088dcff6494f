import { getEventListeners } from "node:events";

import { expect, test, vi } from "vitest";

import { client, failure, HELLO, ignored, opened, Peer } from "./peer.js";

test("answers, errors and their order", async () => {
  const { chat, talk } = await opened();
  const good = chat.call("good", { a: 1 });
  const bad = failure(chat.call("bad"));
  expect(await talk.reads(2)).toEqual([
    { event: "good", data: { a: 1 }, id: 1 },
    { event: "bad", id: 2 },
  ]);
  expect(chat.pending).toBe(2);
  talk.send({ id: 2, error: { code: "taken", message: "is taken", details: [1] } });
  talk.send({ id: 1, data: "yes" });
  expect(await good).toBe("yes");
  expect(await bad).toMatchObject({
    code: "taken",
    message: "is taken",
    details: [1],
    event: "bad",
  });
  expect(chat.pending).toBe(0);
});

test("what is said is what it was when it was said", async () => {
  const peer = await Peer.listen();
  const chat = client(peer.url);
  const data = { text: "before" };
  ignored(chat.call("say", data));
  data.text = "after";
  const talk = await peer.talk();
  await talk.hello();
  expect((await talk.read()).data).toEqual({ text: "before" });
});

test("no id is 128 above the lowest that has not ended", async () => {
  const { chat, talk } = await opened();
  const calls = Array.from({ length: 130 }, (_, n) => ignored(chat.call("n", n)));
  const sent = await talk.reads(128);
  expect(sent.map(({ id }) => id)).toEqual(Array.from({ length: 128 }, (_, n) => n + 1));
  await talk.settled();
  talk.send({ id: 2, data: "two" }); // 1 has not ended: the window does not move
  expect(await calls[1]).toBe("two");
  await talk.settled();
  talk.send({ id: 1, data: "one" });
  expect((await talk.reads(2)).map(({ id }) => id)).toEqual([129, 130]);
});

test("a call that was given up is in the window until the server has ended it", async () => {
  const { chat, talk } = await opened();
  const ends = new AbortController();
  const call = failure(chat.call("slow", null, { signal: ends.signal }));
  for (let n = 0; n < 128; n++) ignored(chat.call("n", n));
  await talk.reads(128);
  ends.abort(new Error("never mind"));
  expect(await call).toMatchObject({ message: "never mind" });
  expect(chat.pending).toBe(128);
  expect(await talk.read()).toEqual({ op: "cancel", id: 1 });
  await talk.settled();
  talk.send({ id: 1, error: { code: "cancelled", message: "" } });
  expect((await talk.read()).id).toBe(129);
});

test("a stream holds nobody up", async () => {
  const { chat, talk } = await opened();
  const stream = chat.stream("forever");
  const first = stream.next();
  for (let n = 0; n < 200; n++) ignored(chat.call("n", n));
  const sent = await talk.reads(129);
  expect(sent.at(-1)!.id).toBe(129);
  talk.send({ id: 2, data: null });
  expect((await talk.read()).id).toBe(130);
  talk.send({ id: 1, item: "x" });
  expect(await first).toEqual({ done: false, value: "x" });
});

test("over the limit of what may wait a call is rejected, and an emit told of", async () => {
  const peer = await Peer.listen();
  const chat = client(peer.url, { queue: 2 });
  const told = vi.fn();
  chat.on("exception", told);
  ignored(chat.call("one"));
  chat.emit("two");
  expect(await failure(chat.call("three"))).toMatchObject({
    code: "too_many",
    message: "expected at most 2 calls waiting, got one more",
  });
  chat.emit("four");
  await vi.waitFor(() => expect(told).toHaveBeenCalledOnce());
  expect(told.mock.calls[0]![0]).toMatchObject({ code: "too_many", event: "four" });
});

test("a frame that is too large is refused here, by its size in UTF-8", async () => {
  const { chat, talk } = await opened({}, { max: 100 });
  // {"event":"say","data":"…","id":1}: 32 bytes and the text
  const fits = ignored(chat.call("say", "é".repeat(34)));
  expect(await failure(chat.call("say", "é".repeat(35)))).toMatchObject({
    code: "too_large",
    message: "expected a frame of at most 100 bytes, got 102",
    event: "say",
  });
  ignored(chat.call("say", "short"));
  expect((await talk.reads(2)).map(({ id }) => id)).toEqual([1, 3]);
  talk.send({ id: 1, data: 0 });
  expect(await fits).toBe(0);
});

test("what is no JSON is refused here", async () => {
  const { chat, talk } = await opened();
  expect(await failure(chat.call("say", 1n))).toBeInstanceOf(TypeError);
  ignored(chat.call("say", 1));
  expect((await talk.read()).id).toBe(1);
});

test("a timeout rejects, cancels, and lets the late answer pass", async () => {
  const { chat, talk } = await opened({ timeout: 30 });
  expect(await failure(chat.call("slow"))).toMatchObject({
    code: "timeout",
    message: "no answer within 30 ms",
    event: "slow",
  });
  expect(await talk.reads(2)).toEqual([
    { event: "slow", id: 1 },
    { op: "cancel", id: 1 },
  ]);
  talk.send({ id: 1, data: "late" });
  const patient = chat.call("slow", null, { timeout: 60_000 });
  await talk.read();
  talk.send({ id: 2, data: "there" });
  expect(await patient).toBe("there");
});

test("a timeout without end is none", async () => {
  const { chat, talk } = await opened();
  const call = chat.call("slow", null, { timeout: Infinity });
  await talk.read();
  await talk.settled();
  talk.send({ id: 1, data: 1 });
  expect(await call).toBe(1);
});

test("a call that was given up before it was sent is never sent", async () => {
  const peer = await Peer.listen();
  const chat = client(peer.url);
  const ends = new AbortController();
  const call = failure(chat.call("never", null, { signal: ends.signal }));
  ignored(chat.call("second"));
  ends.abort();
  expect(await call).toMatchObject({ name: "AbortError" });
  expect(await failure(chat.call("third", 0, { signal: ends.signal }))).toMatchObject({
    name: "AbortError",
  });
  const talk = await peer.talk();
  await talk.hello();
  expect(await talk.read()).toEqual({ event: "second", id: 1 });
  await talk.settled();
});

test("of a call that ended no listener and no timer is left", async () => {
  const { chat, talk } = await opened();
  const timers = () => process.getActiveResourcesInfo().filter((kind) => kind === "Timeout").length;
  const before = timers();
  const { signal } = new AbortController();
  const call = chat.call("quick", null, { signal, timeout: 60_000 });
  expect([timers(), getEventListeners(signal, "abort").length]).toEqual([before + 1, 1]);
  await talk.read();
  talk.send({ id: 1, data: 1 });
  await call;
  expect([timers(), getEventListeners(signal, "abort").length]).toEqual([before, 0]);
});

test("an emit is a call, and its failure an exception", async () => {
  const { chat, talk } = await opened();
  const told = vi.fn();
  const off = chat.on("exception", told);
  chat.emit("say", "hi");
  expect(await talk.read()).toEqual({ event: "say", data: "hi", id: 1 });
  talk.send({ id: 1, error: { code: "forbidden", message: "not you" } });
  await talk.settled();
  expect(told.mock.calls).toEqual([
    [expect.objectContaining({ code: "forbidden", message: "not you", event: "say" })],
  ]);
  off();
  const logged = vi.spyOn(console, "error").mockImplementation(() => {});
  chat.emit("say", "hi");
  await talk.read();
  talk.send({ id: 2, error: { code: "forbidden", message: "not you" } });
  await talk.settled();
  expect(logged).toHaveBeenCalledOnce();
});

test("a volatile emit is said now or never, and has no id", async () => {
  const peer = await Peer.listen();
  const chat = client(peer.url);
  chat.emit("typing", "early", { volatile: true });
  const talk = await peer.talk();
  await talk.hello();
  await chat.ready();
  chat.emit("typing", "now", { volatile: true });
  chat.emit("typing", undefined, { volatile: true });
  expect(await talk.reads(2)).toEqual([{ event: "typing", data: "now" }, { event: "typing" }]);
  expect(chat.pending).toBe(0);
});

test("an emit that was sent before close is no failure, one that was not is", async () => {
  const { chat } = await opened();
  const told = vi.fn();
  chat.on("exception", told);
  chat.emit("sent");
  chat.close();
  chat.emit("late");
  await vi.waitFor(() => expect(told).toHaveBeenCalled());
  expect(told.mock.calls).toEqual([[expect.objectContaining({ code: "closed", event: "late" })]]);
});

test("what nobody knows, or knows already, is ignored", async () => {
  const { chat, talk } = await opened();
  talk.send({ ...HELLO, session: "~other" });
  talk.send({ id: 77, data: 1 }, { id: 77, item: 1 }, { op: "ack", id: 7 }, { op: "new" }, { x: 1 });
  await talk.settled();
  expect(chat.id).toBe("~one");
});
