// Calls to the clients of all servers.

import assert from "node:assert/strict";

import { scenario } from "../../../interop/js/harness.js";

function answer(socket, ...args) {
  socket.on("question", (...all) => all.pop()(...args));
}

scenario("Node asks everybody in a room", async (test) => {
  const [ada, bob, eve] = await test.everybody();
  answer(ada, "from ada", "ignored");
  answer(bob, Buffer.from("bob"));
  answer(eve, { name: "eve" });
  const answers = await test.node().to(test.room).timeout(5000).emitWithAck("question", "?");
  const texts = answers.map((each) => (each.length ? String(each) : each));
  assert.equal(texts.length, 3);
  for (const each of ["from ada", "bob", { name: "eve" }]) {
    assert(texts.some((text) => JSON.stringify(text) === JSON.stringify(each)), String(each));
  }
});

scenario("Node hears of bytes, nothing, and numbers", async (test) => {
  const ada = await test.here("ada");
  ada.on("echo", (...args) => args.pop()(...args));
  const ask = (...args) => test.node().to(test.room).timeout(5000).emitWithAck("echo", ...args);
  const bytes = { deep: [Buffer.from([0, 255])] };
  assert.deepEqual(await ask(bytes), [bytes]);
  assert.deepEqual(await ask(2 ** 40, 1), [2 ** 40]);
  assert.deepEqual(await ask(), [null]);
});

scenario("a bare WebSocket answers Node, and so does an error", async (test) => {
  const plain = await test.plain("/chat");
  plain.send({ event: "join", data: test.room, id: 1 });
  assert.equal((await plain.next()).id, 1);
  const asked = async (reply) => {
    const { id } = await plain.next();
    plain.send({ id, ...reply });
  };
  const node = test.node().to(test.room).timeout(5000);
  const answers = node.emitWithAck("question");
  await asked({ data: 7 });
  assert.deepEqual(await answers, [7]);
  const errors = node.emitWithAck("question");
  await asked({ error: { code: "busy", message: "later" } });
  assert.deepEqual(await errors, [{ status: "error", code: "busy", message: "later" }]);
});

scenario("Node asks where nobody is here", async (test) => {
  const bob = await test.there("bob");
  answer(bob, 1);
  assert.deepEqual(await test.node().to(test.room).timeout(5000).emitWithAck("question"), [1]);
  assert.deepEqual(
    await test.node().to(`${test.room}, empty`).timeout(5000).emitWithAck("question"),
    [],
  );
});

scenario("Node gets the answers that came in time", async (test) => {
  const [, bob, eve] = await test.everybody();
  answer(bob, 1);
  answer(eve, 2);
  const late = await test
    .node()
    .to(test.room)
    .timeout(300)
    .emitWithAck("question")
    .catch((error) => error);
  assert.equal(late.message, "operation has timed out");
  assert.deepEqual(late.responses.sort(), [1, 2]);
});

scenario("Node asks one socket of ours", async (test) => {
  const ada = await test.here("ada");
  answer(ada, "yes");
  const [remote] = await test.node().in(ada.id).fetchSockets();
  assert.equal(await remote.timeout(5000).emitWithAck("question"), "yes");
});

scenario("ours asks everybody in a room", async (test) => {
  const [ada, bob, eve] = await test.everybody();
  answer(ada, 1);
  answer(bob, "two");
  answer(eve, [3]);
  const found = await ada.emitWithAck("poll", test.room, 5);
  assert.equal(found.missing, 0);
  assert.deepEqual(found.answers.map(String).sort(), ["1", "3", "two"]);
});

scenario("ours gets the answers that came in time, and knows how many did not", async (test) => {
  const [ada, bob] = await test.everybody();
  answer(ada, 1);
  answer(bob, 2);
  const found = await ada.emitWithAck("poll", test.room, 0.3);
  assert.deepEqual(found.answers.sort(), [1, 2]);
  assert.equal(found.missing, 1);
});

scenario("ours asks where nobody is", async (test) => {
  const ada = await test.here("ada");
  assert.deepEqual(await ada.emitWithAck("poll", `${test.room}, empty`, 5), {
    answers: [],
    missing: 0,
  });
});
