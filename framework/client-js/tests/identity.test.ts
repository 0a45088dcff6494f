import { expect, onTestFinished, test, vi } from "vitest";

import { opened } from "./peer.js";

test("a new identity is asked for before the old one has expired", async () => {
  let asked = 0;
  const { chat, talk } = await opened({ auth: () => ++asked }, { expires: 0.2 });
  expect(await talk.read()).toEqual({ op: "auth", auth: 2 });
  talk.send({ op: "auth", expires: 0.2 });
  expect(await talk.read()).toEqual({ op: "auth", auth: 3 });
  talk.send({ op: "auth", expires: null });
  await talk.settled();
  expect(chat.status).toBe("open");
});

test("a refusal is told, and tried again while there is time", async () => {
  vi.spyOn(Math, "random").mockReturnValue(0);
  onTestFinished(() => void vi.restoreAllMocks());
  const { chat, talk } = await opened({ auth: () => "mine" }, { expires: 2.2 });
  const told = vi.fn();
  chat.on("exception", told);
  await talk.read();
  talk.send({ op: "auth", error: { code: "unauthenticated", message: "too old" } });
  await talk.settled();
  expect(told.mock.calls).toEqual([
    [expect.objectContaining({ code: "unauthenticated", message: "too old" })],
  ]);
  expect(await talk.read()).toEqual({ op: "auth", auth: "mine" });
});

test("an identity that comes too late for its socket is not sent on another", async () => {
  let answer = (_: unknown) => {};
  let asked = 0;
  const auth = () => (++asked === 2 ? new Promise((resolve) => (answer = resolve)) : asked);
  const { peer, chat, talk } = await opened({ auth }, { expires: 0.1 });
  await vi.waitFor(() => expect(asked).toBe(2));
  talk.cut();
  const again = await peer.talk();
  expect(await again.hello({ resumed: true })).toMatchObject({ auth: 3 });
  await chat.ready();
  answer("late");
  await again.settled();
});

test("without a socket there is nothing to renew", async () => {
  vi.spyOn(Math, "random").mockReturnValue(0.5);
  onTestFinished(() => void vi.restoreAllMocks());
  let asked = 0;
  const options = { auth: () => ++asked, minDelay: 600, maxDelay: 600 };
  const { peer, talk } = await opened(options, { expires: 0.2 });
  talk.cut(); // it would be renewed while one waits
  expect(await (await peer.talk()).read()).toMatchObject({ auth: 2 });
});

test("an identity for longer than a timer can wait is not asked for at once", async () => {
  const { talk } = await opened({ auth: () => 1 }, { expires: 3e7 });
  await talk.settled();
});

test("a lost auth is an exception", async () => {
  let asked = 0;
  const { chat, talk } = await opened(
    {
      auth: () => {
        if (++asked > 1) throw new Error("logged out");
      },
    },
    { expires: 0.1 },
  );
  const told = vi.fn();
  chat.on("exception", told);
  await vi.waitFor(() => expect(told).toHaveBeenCalled());
  expect(told.mock.calls[0]![0]).toMatchObject({
    code: "unauthenticated",
    message: "Error: logged out",
  });
  await talk.settled();
});

test("exceptions of the server are heard, with the event that failed", async () => {
  const { chat, talk } = await opened();
  const told = vi.fn();
  chat.once("exception", told);
  const data = { status: "error", code: "invalid", message: "no", details: 1, event: "say" };
  talk.send({ event: "exception", data });
  await talk.settled();
  expect(told.mock.calls[0]![0]).toMatchObject({ code: "invalid", details: 1, event: "say" });
});
