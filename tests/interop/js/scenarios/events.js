// Events and answers, in both directions.

import assert from "node:assert/strict";

import { once, scenario, times } from "../harness.js";

const answer = (socket, ...args) =>
  new Promise((resolve) => socket.emit(...args, (...all) => resolve(all)));

scenario("emits no, one and several arguments", async (test) => {
  const socket = await test.connect();
  assert.deepEqual(await answer(socket, "nothing"), [null]);
  assert.deepEqual(await answer(socket, "echo", { a: [1, 2.5, true, null] }), [
    { a: [1, 2.5, true, null] },
  ]);
  assert.deepEqual(await answer(socket, "pair", 1, "two"), ["two", 1, "none"]);
  assert.deepEqual(await answer(socket, "pair", [1], null, { 3: 3 }), [null, [1], { 3: 3 }]);
});

scenario("a list that is one argument stays one", async (test) => {
  const socket = await test.connect();
  assert.deepEqual(await answer(socket, "echo", [1, 2]), [[1, 2]]);
  assert.deepEqual(await answer(socket, "echo", []), [[]]);
});

scenario("receives no, one and several arguments", async (test) => {
  const socket = await test.connect();
  const bell = once(socket, "bell");
  const number = once(socket, "number");
  const weather = times(socket, "weather", 2);
  for (const count of [0, 1, 3, 4]) socket.emit("event", count);
  assert.deepEqual(await bell, []);
  assert.deepEqual(await number, [1]);
  assert.deepEqual(await weather, [
    ["Jena", 18.5, [3, 5]],
    ["Jena", 18.5, [3, 5], "sunny"],
  ]);
});

scenario("emitWithAck, with and without a timeout", async (test) => {
  const socket = await test.connect();
  assert.equal(await socket.emitWithAck("echo", "a"), "a");
  assert.equal(await socket.timeout(10_000).emitWithAck("echo", "b"), "b");
  assert.equal(await socket.timeout(10_000).emitWithAck("nothing"), null);
});

scenario("an answer that comes after the timeout is left alone", async (test) => {
  const socket = await test.connect("/patient");
  const key = test.room;
  await assert.rejects(socket.timeout(50).emitWithAck("slow", key), /timed out/);
  // Lets the first attempt be answered as well.
  assert.equal(await socket.emitWithAck("slow", key), 2);
  assert.equal(await socket.emitWithAck("attempts", key), 2);
});

scenario("the server asks, the client answers", async (test) => {
  const socket = await test.connect();
  socket.on("question", ({ text }, reply) => {
    if (text === "two") reply(2, "zwei");
    else if (text === "bytes") reply(Buffer.from([1, 2, 3]));
    else reply(`${text}!`);
  });
  assert.equal(await socket.emitWithAck("ask", "how"), "how!");
  assert.deepEqual(await socket.emitWithAck("ask_two"), [2, "zwei"]);
  assert.equal(await socket.emitWithAck("ask_bytes"), 6);
});

scenario("the server asks in vain, or gets what it cannot use", async (test) => {
  const socket = await test.connect();
  const silent = await socket.emitWithAck("ask_in_vain");
  assert.deepEqual([silent.status, silent.code], ["error", "timeout"]);
  socket.on("question", (question, reply) => reply({ no: "text" }));
  const wrong = await socket.emitWithAck("ask", "how");
  assert.deepEqual([wrong.status, wrong.code], ["error", "invalid"]);
});

scenario("any text", async (test) => {
  const socket = await test.connect();
  const texts = ["", "é", "日本語", "👩‍🔬 🧬", "𝒳 𐍈", "a\u2028b\u2029c", '"\\/\b\n', "\u0000\u001e", "-0,"];
  assert.deepEqual(await socket.emitWithAck("echo", texts), texts);
  for (const text of texts) {
    assert.equal(await socket.emitWithAck("echo", text), text);
    assert.deepEqual(await socket.emitWithAck("echo", { [text]: text }), { [text]: text });
  }
});

scenario("numbers as large as JavaScript counts", async (test) => {
  const socket = await test.connect();
  const numbers = [0, -1, 2 ** 31, 2 ** 53 - 1, -(2 ** 53) + 1, 0.1, -1.5e-9];
  assert.deepEqual(await socket.emitWithAck("echo", numbers), numbers);
});

scenario("dates are texts, and undefined is null", async (test) => {
  const socket = await test.connect();
  const date = new Date("2026-01-31T12:30:00.250Z");
  const got = await socket.emitWithAck("echo", [date, undefined, 1]);
  assert.deepEqual(got, ["2026-01-31T12:30:00.250Z", null, 1]);
  assert.deepEqual(await answer(socket, "pair", undefined, date), [date.toJSON(), null, "none"]);
});

scenario("catch-all listeners see every event, both ways", async (test) => {
  const socket = await test.connect();
  const incoming = [];
  const outgoing = [];
  socket.onAny((...args) => incoming.push(args));
  socket.onAnyOutgoing((...args) => outgoing.push(args));
  await socket.emitWithAck("event", 1);
  await socket.emitWithAck("event", 0);
  await socket.emitWithAck("nothing");
  assert.deepEqual(incoming, [["number", 1], ["bell"]]);
  assert.deepEqual(outgoing.map(([event]) => event), ["event", "event", "nothing"]);
});

scenario("volatile events arrive where nothing is in the way", async (test) => {
  const socket = await test.connect();
  await socket.emitWithAck("nothing");
  const bell = once(socket, "bell");
  if (!socket.io.engine.transport.writable) await once(socket.io.engine, "drain");
  socket.volatile.emit("flicker");
  await bell;
});

scenario("an error is the answer of a call", async (test) => {
  const socket = await test.connect();
  assert.deepEqual(await socket.emitWithAck("take", "ada"), {
    status: "error",
    code: "taken",
    message: "ada is taken",
    details: { free: ["ada2"] },
  });
  const internal = await socket.emitWithAck("crash");
  assert.equal(internal.code, "internal");
  assert(!JSON.stringify(internal).includes("asked for"));
});

scenario("without an answer an error is the event exception", async (test) => {
  const socket = await test.connect();
  const exceptions = times(socket, "exception", 3);
  socket.emit("take", "ada");
  socket.emit("unheard", 1);
  socket.emit("move", { piece: "rook", to: { x: 1 } });
  // What no handler is asked for is refused at once, ahead of handlers that are under way.
  const byCode = Object.fromEntries((await exceptions).map(([error]) => [error.code, error]));
  assert.deepEqual(Object.keys(byCode).sort(), ["invalid", "taken", "unknown_event"]);
  assert.equal(byCode.taken.status, "error");
  assert.deepEqual(byCode.taken.details, { free: ["ada2"] });
});

scenario("a payload that does not fit is told where", async (test) => {
  const socket = await test.connect();
  const nested = await socket.emitWithAck("move", { piece: "rook", to: { x: 1, y: "2" } });
  assert.equal(nested.code, "invalid");
  assert.match(nested.message, /`\$\.to\.y`/);
  const second = await socket.emitWithAck("steps", 1, { x: "1", y: 2 });
  assert.match(second.message, /`\$\[1\]\.x`/);
  assert.equal((await socket.emitWithAck("steps", 1)).code, "invalid");
  assert.equal((await socket.emitWithAck("move")).code, "invalid");
  assert.equal(await socket.emitWithAck("move", { piece: "rook", to: { x: 1, y: 2 } }), "rook to 1, 2");
});

scenario("an unknown event is told so", async (test) => {
  const socket = await test.connect();
  assert.equal((await socket.emitWithAck("unheard")).code, "unknown_event");
});

scenario("a stream's items are events, and the answer ends it", async (test) => {
  const socket = await test.connect();
  const items = [];
  socket.on("count", (n) => items.push(n));
  assert.equal(await socket.emitWithAck("count", 5), null);
  assert.deepEqual(items, [0, 1, 2, 3, 4]);
});

scenario("retries go on until they are answered", async (test) => {
  const key = test.room;
  const socket = await test.connect("/patient", { retries: 3, ackTimeout: 300 });
  // The first attempt is answered only once the second has come.
  assert(await answer(socket, "slow", key).then(([error, value]) => error === null && value >= 2));
  const [, attempts] = await answer(socket, "attempts", key);
  assert(attempts >= 2, `attempts: ${attempts}`);
});

scenario("with retries an event without a result is sent once", async (test) => {
  const key = test.room;
  const socket = await test.connect("/patient", { retries: 3, ackTimeout: 10_000 });
  for (const _ of [1, 2, 3]) socket.emit("quick", key);
  const [, attempts] = await answer(socket, "attempts", key);
  assert.equal(attempts, 3);
});

scenario("retries without a timeout take null for success", async (test) => {
  const key = test.room;
  const socket = await test.connect("/patient", { retries: 3 });
  for (const _ of [1, 2, 3]) socket.emit("quick", key);
  const asking = await test.connect("/patient");
  const seen = async () => (await asking.emitWithAck("attempts", key)) === 3;
  while (!(await seen()));
  await answer(socket, "quick", key);
  assert.equal(await asking.emitWithAck("attempts", key), 4);
});
