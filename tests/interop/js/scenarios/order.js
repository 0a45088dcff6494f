// Many events and large ones: all arrive, in order.

import assert from "node:assert/strict";

import { once, scenario, times } from "../harness.js";

const upTo = (count) => Array.from({ length: count }, (_, n) => n);

scenario("500 events arrive in order at the server", async (test) => {
  const socket = await test.connect();
  for (const n of upTo(500)) socket.emit("number", n);
  assert.deepEqual(await socket.emitWithAck("numbers"), upTo(500));
});

scenario("500 events arrive in order at the client", async (test) => {
  const socket = await test.connect();
  const numbers = times(socket, "number", 500);
  socket.emit("burst", 500);
  assert.deepEqual((await numbers).map(([n]) => n), upTo(500));
});

scenario("answers come in the order of their calls", async (test) => {
  const socket = await test.connect();
  const answered = [];
  await Promise.all(
    upTo(100).map((n) => socket.emitWithAck("number", n).then((value) => answered.push(value))),
  );
  assert.deepEqual(answered, upTo(100));
});

scenario("events emitted before the connection arrive after it, in order", async (test) => {
  const socket = test.socket();
  for (const n of upTo(40)) socket.emit("number", n);
  const numbers = socket.emitWithAck("numbers");
  assert(!socket.connected);
  assert.deepEqual(await numbers, upTo(40));
});

scenario("900 kB both ways", async (test) => {
  const socket = await test.connect();
  const text = "x".repeat(900_000);
  const answer = await new Promise((resolve) =>
    socket.emit("large", text, 450_000, (...args) => resolve(args)),
  );
  assert.equal(answer[0], 900_000);
  assert.equal(answer[1], "é".repeat(450_000));
});

scenario("what is larger than maxPayload ends the connection, and a new one follows", async (test) => {
  const socket = await test.connect();
  const before = socket.id;
  // Which of both it is depends on whether the client learns it from a POST or a WebSocket.
  const polls = socket.io.engine.transport.name === "polling";
  const disconnected = once(socket, "disconnect");
  socket.emit("echo", "x".repeat(1_000_001));
  const [reason] = await disconnected;
  const expected = polls ? ["transport error", "transport close"] : ["transport close"];
  assert(expected.includes(reason), reason);
  await once(socket, "connect");
  assert.notEqual(socket.id, before);
  assert.equal(await socket.emitWithAck("echo", "again"), "again");
});
