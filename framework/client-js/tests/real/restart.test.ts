import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { expect, onTestFinished, test, vi } from "vitest";

import { connect, type Gap, type StatusChange } from "../../src/gatewright.js";
import { becomes, failure } from "../peer.js";
import { Gatewright } from "./server.js";

test("a server that was killed and comes back is found, and nothing that waited is lost", async () => {
  const server = await new Gatewright().start();
  onTestFinished(() => server.kill());
  const chat = connect(`${server.url}/chat`, { minDelay: 20, maxDelay: 200 });
  onTestFinished(() => chat.close());
  const said: string[] = [];
  const changes: StatusChange[] = [];
  chat.on("said", ({ text }) => said.push(text));
  chat.onStatus((change) => {
    changes.push(change);
    // A new session is in no room.
    if (change.status === "open" && !change.resumed) chat.emit("join", "lobby");
  });
  await chat.call("say", { room: "lobby", text: "before" });
  const other = connect(`${server.url}/patient`, { minDelay: 20, maxDelay: 200 });
  onTestFinished(() => other.close());
  const lost = failure(other.call("wait", "for ever"));
  await other.call("begun", "for ever");
  const noticed = becomes(chat, "resuming");
  await server.kill();
  await noticed;
  const calls = [1, 2, 3].map((n) => chat.call("say", { room: "lobby", text: `${n}` }));
  await vi.waitFor(() => expect(changes.filter(({ retryAt }) => retryAt).length).toBeGreaterThan(2));
  await server.start();
  await Promise.all(calls);
  await vi.waitFor(() => expect(said).toEqual(["before", "1", "2", "3"]));
  expect(changes.at(-1)).toMatchObject({ status: "open", resumed: false });
  expect(await lost).toMatchObject({ code: "reply_lost", event: "wait" });
}, 40_000);

async function kept(): Promise<Gatewright> {
  const folder = await mkdtemp(join(tmpdir(), "gatewright-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  const server = await new Gatewright({ DATABASE: join(folder, "kept.db") }).start();
  onTestFinished(() => server.kill());
  return server;
}

test("a server that is stopped and started again is a pause: what is called meanwhile is answered", async () => {
  const server = await kept();
  const chat = connect(`${server.url}/kept/chat`, { minDelay: 20, maxDelay: 200 });
  onTestFinished(() => chat.close());
  const said: string[] = [];
  const resumed: boolean[] = [];
  chat.on("said", ({ text }) => said.push(text));
  await chat.call("join", "lobby");
  chat.onStatus((change) => change.status === "open" && resumed.push(change.resumed!));
  const changes: (StatusChange & { at: number })[] = [];
  chat.onStatus((change) => changes.push({ ...change, at: Date.now() }));
  const noticed = becomes(chat, "resuming");
  await Promise.all([noticed, server.terminate()]);
  const numbers = Array.from({ length: 200 }, (_, n) => `${n}`);
  const calls = numbers.map((text) => chat.call("say", { room: "lobby", text }));
  await server.start();
  await Promise.all(calls);
  await vi.waitFor(() => expect(said).toEqual(numbers));
  expect(resumed).toEqual([true]);
  // The server has said when to come back.
  expect(changes[0]).toMatchObject({ reason: "the server stops", code: 1012 });
  expect(changes[1]!.at).toBeGreaterThanOrEqual(changes[0]!.retryAt! - 1);
}, 40_000);

test("with a database sessions outlive a server that is killed: nothing lost, nothing twice", async () => {
  const server = await kept();
  const enter = () => {
    const chat = connect(`${server.url}/kept/chat`, { minDelay: 20, maxDelay: 200 });
    onTestFinished(() => chat.close());
    return chat;
  };
  const [ana, ben] = [enter(), enter()];
  const said: number[] = [];
  const gaps: Gap[] = [];
  const resumed: boolean[] = [];
  ben.on("said", ({ text }) => said.push(Number(text)));
  for (const chat of [ana, ben]) {
    chat.onGap((gap) => gaps.push(gap));
    await chat.call("join", "lobby");
    chat.onStatus((change) => change.status === "open" && resumed.push(change.resumed!));
  }
  const outcomes: Promise<"said" | "lost">[] = [];
  for (let round = 0; round < 3; round++) {
    const before = outcomes.length;
    for (let n = before; n < before + 100; n++) {
      outcomes.push(
        ana.call("say", { room: "lobby", text: `${n}` }).then(
          () => "said" as const,
          (error) => {
            expect(error).toMatchObject({ code: "reply_lost" });
            return "lost";
          },
        ),
      );
    }
    await outcomes[before + 20];
    const noticed = Promise.all([becomes(ana, "resuming"), becomes(ben, "resuming")]);
    await server.kill();
    await noticed;
    await server.start();
    await Promise.all([ana.ready(), ben.ready()]);
  }
  const ends = await Promise.all(outcomes);
  await ana.call("say", { room: "lobby", text: `${ends.length}` });
  await vi.waitFor(() => expect(said.at(-1)).toBe(ends.length), { timeout: 10_000 });
  const acknowledged = ends.flatMap((end, n) => (end === "said" ? [n] : []));
  expect(said).toEqual(expect.arrayContaining(acknowledged));
  expect(said).toEqual([...new Set(said)].sort((a, b) => a - b));
  expect(gaps).toEqual([]);
  expect(resumed).toEqual(Array(6).fill(true));
  expect(acknowledged.length).toBeGreaterThan(60);
}, 60_000);
