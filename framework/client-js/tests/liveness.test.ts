import { expect, onTestFinished, test, vi } from "vitest";

import type { StatusChange } from "../src/gatewright.js";
import { becomes, opened } from "./peer.js";

const QUICK = { heartbeat: { interval: 0.05, timeout: 0.05 } };

test("silence of interval and timeout together is a loss", async () => {
  const { peer, chat, talk } = await opened({}, QUICK);
  const changes: StatusChange[] = [];
  chat.onStatus((change) => changes.push(change));
  await (await peer.talk()).hello({ resumed: true });
  await chat.ready();
  expect(changes[0]).toMatchObject({ status: "resuming", reason: "nothing heard for 0 s" });
  await talk.closed;
});

test("who waits for the next attempt waits for no word of the lost socket", async () => {
  vi.spyOn(Math, "random").mockReturnValue(0.5);
  onTestFinished(() => void vi.restoreAllMocks());
  const { peer, chat, talk } = await opened({ minDelay: 400, maxDelay: 400 }, QUICK);
  const changes: StatusChange[] = [];
  chat.onStatus((change) => changes.push(change));
  talk.cut(); // 0.2 s, in which a silence of 0.1 s would be noticed
  await (await peer.talk()).hello({ resumed: true });
  await chat.ready();
  expect(changes.map(({ status, reason }) => [status, reason])).toEqual([
    ["resuming", "lost"],
    ["resuming", "lost"],
    ["open", ""],
  ]);
});

test("whatever comes is a sign of life", async () => {
  const { chat, talk } = await opened({}, QUICK);
  const changes: StatusChange[] = [];
  chat.onStatus((change) => changes.push(change));
  let beats = 0;
  chat.on("beat", () => beats++);
  const timer = setInterval(() => talk.send({ event: "beat" }), 10);
  await vi.waitFor(() => expect(beats).toBeGreaterThan(30), 5000);
  clearInterval(timer);
  expect(changes).toEqual([]);
});

test("a timer that fires late does not condemn: one asks first", async () => {
  const { chat, talk } = await opened({}, { heartbeat: { interval: 0.5, timeout: 0.5 } });
  const changes: StatusChange[] = [];
  chat.onStatus((change) => changes.push(change));
  // As after a night's sleep: the clock has gone on, and nothing came.
  const now = Date.now;
  vi.spyOn(Date, "now").mockImplementation(() => now() + 3_600_000);
  onTestFinished(() => void vi.restoreAllMocks());
  expect(await talk.read()).toEqual({ op: "ping" });
  talk.send({ op: "pong" });
  await talk.settled();
  expect(changes).toEqual([]);
  // This time nobody answers.
  await vi.waitFor(() => expect(changes).not.toEqual([]), 8000);
  expect(changes[0]!.status).toBe("resuming");
});

test("who is sent away goes on, and comes back when it was told to", async () => {
  const { peer, chat, talk } = await opened();
  const changes: StatusChange[] = [];
  chat.onStatus((change) => changes.push(change));
  const call = chat.call("slow");
  await talk.read();
  const begun = Date.now();
  talk.send({ op: "away", after: 0.2, reason: "a new version" });
  await talk.settled();
  expect(chat.status).toBe("open");
  talk.send({ id: 1, data: "still there" });
  expect(await call).toBe("still there");
  talk.socket.close(1012);
  const again = await peer.talk();
  expect(changes[0]).toMatchObject({ status: "resuming", reason: "a new version", code: 1012 });
  expect(changes[0]!.retryAt! - begun).toBeGreaterThanOrEqual(200);
  await again.hello({ resumed: true });
  await chat.ready();
});

test("who is sent away leaves by itself", async () => {
  const { peer, chat, talk } = await opened();
  const changes: StatusChange[] = [];
  chat.onStatus((change) => changes.push(change));
  talk.send({ op: "away", after: 0.05, reason: "balance" });
  await (await peer.talk()).hello({ resumed: true });
  await chat.ready();
  expect(changes[0]).toMatchObject({ status: "resuming", reason: "balance" });
  await talk.closed;
});

test("nothing brings back sooner who is sent away, and it is for once", async () => {
  const { peer, chat, talk } = await opened({ minDelay: 40, maxDelay: 40 });
  vi.spyOn(Math, "random").mockReturnValue(0.5);
  onTestFinished(() => void vi.restoreAllMocks());
  const changes: (StatusChange & { at: number })[] = [];
  chat.onStatus((change) => changes.push({ ...change, at: Date.now() }));
  talk.send({ op: "away", after: 0.1, reason: "balance" });
  await talk.settled();
  talk.cut();
  await becomes(chat, "resuming");
  chat.retry();
  const again = await peer.talk();
  expect(changes.map(({ status }) => status)).toEqual(["resuming", "resuming"]);
  expect(changes[1]!.at).toBeGreaterThanOrEqual(changes[0]!.retryAt! - 1);
  await again.hello({ resumed: true });
  await chat.ready();
  again.cut();
  await peer.talk();
  const lost = changes[3]!;
  expect(lost.reason).toBe("lost");
  expect(lost.retryAt! - lost.at).toBeGreaterThan(10);
});

test("what is no JSON ends the socket, not the client", async () => {
  const { peer, chat, talk } = await opened();
  talk.socket.send("{");
  const again = await peer.talk();
  await again.hello({ resumed: true });
  await chat.ready();
});

test("the waits grow at random up to the longest, and begin anew after a good connection", async () => {
  const { peer, chat, talk } = await opened({ minDelay: 4, maxDelay: 64 });
  let clock = Date.now();
  vi.spyOn(Date, "now").mockImplementation(() => clock);
  vi.spyOn(Math, "random").mockReturnValue(0.5);
  onTestFinished(() => void vi.restoreAllMocks());
  const waits: number[] = [];
  chat.onStatus(({ retryAt }) => {
    if (retryAt) waits.push(retryAt - clock);
  });
  talk.cut();
  for (let n = 0; n < 7; n++) {
    const next = await peer.talk();
    await next.read();
    next.cut();
  }
  const short = await peer.talk();
  await short.hello({ resumed: true });
  await chat.ready();
  short.cut(); // it opened, and ended at once
  const long = await peer.talk();
  await long.hello({ resumed: true });
  await chat.ready();
  clock += 65;
  long.cut();
  await peer.talk();
  expect(waits).toEqual([2, 4, 8, 16, 32, 32, 32, 32, 32, 2]);
});
