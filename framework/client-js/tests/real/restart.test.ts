import { expect, onTestFinished, test, vi } from "vitest";

import { connect, type StatusChange } from "../../src/gatewright.js";
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
