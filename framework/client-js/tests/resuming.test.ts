import { expect, test, vi } from "vitest";

import { type Gap, type StatusChange } from "../src/gatewright.js";
import { becomes, failure, ignored, opened } from "./peer.js";

const AGAIN = { token: "second", resumed: true };

test("calls are sent again under their ids, in order, before new ones", async () => {
  const { peer, chat, talk } = await opened();
  const calls = ["one", "two", "three"].map((event) => chat.call(event));
  await talk.reads(3);
  talk.send({ id: 2, data: "two" });
  await calls[1];
  talk.cut();
  await becomes(chat, "resuming");
  const four = chat.call("four");
  const again = await peer.talk();
  expect(await again.hello({ ...AGAIN, last: 2 })).toEqual({
    op: "open",
    resume: { session: "~one", token: "first", epoch: "a", seq: 10, sent: 3 },
  });
  expect(await again.reads(3)).toEqual([
    { event: "one", id: 1 },
    { event: "three", id: 3 },
    { event: "four", id: 4 },
  ]);
  again.send({ op: "ack", id: 3 });
  for (const id of [1, 3, 4]) again.send({ id, data: id });
  expect(await Promise.all([calls[0], calls[2], four])).toEqual([1, 3, 4]);
  again.cut();
  expect((await (await peer.talk()).read()).resume).toMatchObject({ token: "second", sent: 4 });
});

test("what one calls on hearing that it is open again comes after what is sent again", async () => {
  const { peer, chat, talk } = await opened();
  ignored(chat.call("one"));
  await talk.read();
  chat.onStatus(({ status }) => {
    if (status === "open") ignored(chat.call("two"));
  });
  talk.cut();
  const again = await peer.talk();
  await again.hello(AGAIN);
  expect(await again.reads(2)).toEqual([
    { event: "one", id: 1 },
    { event: "two", id: 2 },
  ]);
});

test("where nobody knows what was taken, the server is asked", async () => {
  const { peer, chat, talk } = await opened();
  const call = failure(chat.call("one"));
  await talk.read();
  talk.cut();
  const again = await peer.talk();
  await again.hello({ ...AGAIN, last: null });
  expect(await again.read()).toEqual({ event: "one", id: 1 });
  again.send({ id: 1, error: { code: "reply_lost", message: "" } });
  expect(await call).toMatchObject({ code: "reply_lost" });
});

test("in a new session what was sent is lost, and what was not goes under new ids", async () => {
  const { peer, chat, talk } = await opened();
  const told = vi.fn();
  chat.on("exception", told);
  const sent = failure(chat.call("one"));
  chat.emit("two");
  await talk.reads(2);
  talk.cut();
  await becomes(chat, "resuming");
  ignored(chat.call("three"));
  const again = await peer.talk();
  await again.hello({ session: "~two", token: "second" });
  expect(await sent).toMatchObject({ code: "reply_lost", event: "one" });
  expect(told.mock.calls).toEqual([[expect.objectContaining({ code: "reply_lost", event: "two" })]]);
  expect(await again.read()).toEqual({ event: "three", id: 1 });
  expect(chat.id).toBe("~two");
});

test("who joins on hearing of a new session does so before what has waited is sent", async () => {
  const { peer, chat, talk } = await opened();
  chat.onStatus(({ status, resumed }) => {
    if (status === "open" && !resumed) ignored(chat.call("join", "lobby"));
  });
  talk.cut();
  await becomes(chat, "resuming");
  ignored(chat.call("say"));
  let again = await peer.talk();
  await again.hello({ session: "~two" });
  expect(await again.reads(2)).toEqual([
    { event: "join", data: "lobby", id: 1 },
    { event: "say", id: 2 },
  ]);
  again.send({ id: 1, data: null });
  await again.settled();
  again.cut();
  again = await peer.talk();
  await again.hello({ session: "~two", resumed: true, last: 2 });
  expect(await again.read()).toEqual({ event: "say", id: 2 });
  await again.settled();
});

test("a cancelled call is cancelled once more, and not called again", async () => {
  const { peer, chat, talk } = await opened();
  const ends = new AbortController();
  const call = failure(chat.call("slow", null, { signal: ends.signal }));
  ignored(chat.call("other"));
  await talk.reads(2);
  talk.cut();
  await becomes(chat, "resuming");
  ends.abort();
  await call;
  const again = await peer.talk();
  await again.hello(AGAIN);
  expect(await again.reads(2)).toEqual([
    { op: "cancel", id: 1 },
    { event: "other", id: 2 },
  ]);
});

test("streams end as interrupted, after the items that came", async () => {
  const { peer, chat, talk } = await opened();
  const seen: unknown[] = [];
  const stream = failure(
    (async () => {
      for await (const item of chat.stream("count", 5)) seen.push(item);
    })(),
  );
  expect(await talk.read()).toEqual({ event: "count", data: 5, id: 1 });
  talk.send({ id: 1, item: 0 }, { id: 1, item: null });
  await talk.settled();
  talk.cut();
  expect(await stream).toMatchObject({ code: "interrupted", event: "count" });
  expect(seen).toEqual([0, null]);
  expect(chat.pending).toBe(0);
  const again = await peer.talk();
  await again.hello(AGAIN);
  await again.settled();
});

test("a message moves the position; what one has already got is ignored", async () => {
  const { peer, chat, talk } = await opened();
  const heard: unknown[] = [];
  chat.on("said", (data) => heard.push(data));
  talk.send(
    { event: "said", data: 9, seq: 9 },
    { event: "said", data: 10, seq: 10 },
    { event: "said", data: 12, seq: 12 },
    { event: "said", data: 11, seq: 11 },
    { event: "said", data: "volatile" },
  );
  await talk.settled();
  expect(heard).toEqual([12, "volatile"]);
  talk.cut();
  const again = await peer.talk();
  expect((await again.hello(AGAIN)).resume).toMatchObject({ epoch: "a", seq: 12 });
  again.send({ event: "said", data: 12, seq: 12 }, { event: "said", data: 13, seq: 13 });
  await again.settled();
  expect(heard).toEqual([12, "volatile", 13]);
});

test("a ping moves the position forwards only, and is answered", async () => {
  const { peer, talk } = await opened();
  talk.send({ op: "ping", seq: 20 }, { op: "ping", seq: 15 });
  expect(await talk.reads(2)).toEqual([{ op: "pong" }, { op: "pong" }]);
  talk.cut();
  expect((await (await peer.talk()).read()).resume.seq).toBe(20);
});

test.each([
  ["of the same epoch further on moves nothing", { epoch: "a", seq: 12 }, { epoch: "a", seq: 10 }],
  ["of a lower number goes back", { epoch: "a", seq: 3 }, { epoch: "a", seq: 3 }],
  ["of another epoch is taken", { epoch: "b", seq: 12 }, { epoch: "b", seq: 12 }],
])("a gap %s", async (_, told, position) => {
  const { peer, chat, talk } = await opened();
  const gaps: Gap[] = [];
  chat.onGap((gap) => gaps.push(gap));
  talk.send({ op: "gap", rooms: ["lobby", "*"], ...told });
  await talk.settled();
  expect(gaps).toEqual([{ rooms: ["lobby", "*"] }]);
  talk.cut();
  expect((await (await peer.talk()).read()).resume).toMatchObject(position);
});

test("a resumed session goes on from the client's own position", async () => {
  const { peer, talk } = await opened();
  talk.cut();
  const again = await peer.talk();
  await again.hello({ ...AGAIN, seq: 4 });
  await again.settled();
  again.cut();
  expect((await (await peer.talk()).read()).resume.seq).toBe(10);
});

test("the status tells the truth", async () => {
  const { peer, chat, talk } = await opened();
  const changes: StatusChange[] = [];
  chat.onStatus((change) => changes.push(change));
  talk.socket.close(1012, "the server restarts");
  const again = await peer.talk();
  await again.hello(AGAIN);
  await chat.ready();
  const retryAt = expect.any(Number);
  expect(changes).toEqual([
    { status: "resuming", reason: "the server restarts", code: 1012, retryAt },
    { status: "resuming", reason: "the server restarts", code: 1012 },
    { status: "open", reason: "", resumed: true },
  ]);
});
