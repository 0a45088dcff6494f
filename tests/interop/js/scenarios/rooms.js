// Rooms: who is in, who is left out, who is asked.

import assert from "node:assert/strict";

import { once, scenario } from "../harness.js";

/** Chat clients in the scenario's room, and what each of them hears. */
async function people(test, ...names) {
  return Promise.all(
    names.map(async (name) => {
      const socket = await test.connect("/chat", { auth: { token: `${name} of ${test.room}` } });
      await socket.emitWithAck("join", test.room);
      socket.heard = [];
      socket.on("said", ({ text }) => socket.heard.push(text));
      return socket;
    }),
  );
}

/** Wait until everything that was said has arrived: what comes last for all is a last word. */
async function heard(test, ...sockets) {
  const last = sockets.map((socket) =>
    new Promise((resolve) => socket.on("said", ({ text }) => text === "last" && resolve())),
  );
  sockets[0].emit("say", test.room, "last");
  await Promise.all(last);
  return sockets.map((socket) => socket.heard.slice(0, -1));
}

scenario("a room hears, and who has left does not", async (test) => {
  const [ada, bob, eve] = await people(test, "ada", "bob", "eve");
  await eve.emitWithAck("quit", test.room);
  await ada.emitWithAck("say", test.room, "one");
  await bob.emitWithAck("say", test.room, "two");
  assert.deepEqual(await heard(test, ada, bob), [["one", "two"], ["one", "two"]]);
  await eve.emitWithAck("join", test.room);
  assert.deepEqual(eve.heard, []);
});

scenario("a broadcast leaves its sender out", async (test) => {
  const [ada, bob] = await people(test, "ada", "bob");
  await ada.emitWithAck("tell", test.room, "to others");
  assert.deepEqual(await heard(test, ada, bob), [[], ["to others"]]);
});

scenario("a room without another room", async (test) => {
  const [ada, bob, eve] = await people(test, "ada", "bob", "eve");
  await bob.emitWithAck("join", `${test.room}, quiet`);
  await ada.emitWithAck("say_except", test.room, `${test.room}, quiet`, "not for bob");
  await ada.emitWithAck("say_except", test.room, eve.id, "not for eve");
  assert.deepEqual(await heard(test, ada, bob, eve), [
    ["not for bob", "not for eve"],
    ["not for eve"],
    ["not for bob"],
  ]);
});

scenario("to a user, on all of their devices", async (test) => {
  const [ada, bob, phone] = await people(test, "ada", "bob", "bob");
  await ada.emitWithAck("whisper", `bob of ${test.room}`, "psst");
  assert.deepEqual(await heard(test, ada, bob, phone), [[], ["psst"], ["psst"]]);
});

scenario("to one connection by its id", async (test) => {
  const [ada, bob] = await people(test, "ada", "bob");
  await ada.emitWithAck("say", bob.id, "only you");
  assert.deepEqual(await heard(test, ada, bob), [[], ["only you"]]);
});

scenario("a room is asked, and all answer", async (test) => {
  const [ada, ...others] = await people(test, "ada", "bob", "eve");
  for (const [n, each] of [ada, ...others].entries()) {
    each.on("question", ({ text }, reply) => reply(`${n}: ${text}`));
  }
  const plain = await test.plain("/chat");
  plain.send({ event: "join", data: test.room, id: 1 });
  await plain.next();
  const poll = ada.emitWithAck("poll", test.room, "tea?");
  const question = await plain.next();
  assert.equal(question.event, "question");
  plain.send({ id: question.id, data: "3: plainly" });
  assert.deepEqual(await poll, ["0: tea?", "1: tea?", "2: tea?", "3: plainly"]);
});

scenario("a bare WebSocket is in the same room", async (test) => {
  const [ada] = await people(test, "ada");
  const plain = await test.plain("/chat");
  plain.send({ event: "join", data: test.room, id: 1 });
  await plain.next();
  await ada.emitWithAck("tell", test.room, "from Socket.IO 🧪");
  const got = await plain.next();
  assert.deepEqual([got.event, got.data], ["said", { text: "from Socket.IO 🧪" }]);
  const said = once(ada, "said");
  plain.send({ event: "tell", data: [test.room, "from a bare one"] });
  assert.deepEqual(await said, [{ text: "from a bare one" }]);
});

scenario("a room learns who leaves, and why", async (test) => {
  const [ada, bob] = await people(test, "ada", "bob");
  const { id } = bob;
  const left = once(ada, "left");
  bob.disconnect();
  assert.deepEqual(await left, [{ id, reason: "client namespace disconnect" }]);
});

scenario("a room is dismissed", async (test) => {
  const [ada, bob] = await people(test, "ada", "bob");
  const owner = await test.connect("/chat");
  const reasons = Promise.all([once(ada, "disconnect"), once(bob, "disconnect")]);
  await owner.emitWithAck("dismiss", test.room);
  assert.deepEqual((await reasons).map(([reason]) => reason), [
    "io server disconnect",
    "io server disconnect",
  ]);
  assert(owner.connected);
});
