// Going: who ends it, what both sides are told, and coming back.

import assert from "node:assert/strict";

import { once, scenario } from "../harness.js";

scenario("the client leaves", async (test) => {
  const socket = await test.connect();
  const disconnected = once(socket, "disconnect");
  socket.disconnect();
  assert.equal((await disconnected)[0], "io client disconnect");
  assert.equal(socket.active, false);
});

scenario("the client leaves and comes back as another", async (test) => {
  const socket = await test.connect();
  const before = socket.id;
  socket.disconnect().connect();
  await once(socket, "connect");
  assert.notEqual(socket.id, before);
  assert.equal(await socket.emitWithAck("echo", 1), 1);
});

scenario("what was emitted before leaving arrives", async (test) => {
  const ada = await test.connect("/chat");
  await ada.emitWithAck("join", test.room);
  const said = once(ada, "said");
  const bob = await test.connect("/chat");
  bob.emit("say", test.room, "goodbye");
  bob.disconnect();
  assert.deepEqual(await said, [{ text: "goodbye" }]);
});

scenario("the server says goodbye after its last words", async (test) => {
  const socket = await test.connect();
  const order = [];
  socket.on("bell", () => order.push("bell"));
  const [reason] = await new Promise((resolve) => {
    socket.on("disconnect", (...args) => resolve(args));
    socket.emit("leave");
  });
  assert.equal(reason, "io server disconnect");
  assert.deepEqual(order, ["bell"]);
  // It stays away until it is told otherwise.
  assert.equal(socket.active, false);
  socket.connect();
  await once(socket, "connect");
  assert.equal(await socket.emitWithAck("echo", 1), 1);
});

scenario("a goodbye is for one namespace only", async (test) => {
  const manager = test.manager();
  const [main, lab] = [manager.socket("/"), manager.socket("/lab/1")];
  await Promise.all([once(main, "connect"), once(lab, "connect")]);
  const disconnected = once(main, "disconnect");
  main.emit("leave");
  assert.deepEqual((await disconnected)[0], "io server disconnect");
  assert.equal(await lab.emitWithAck("where"), "/lab/1");
});

scenario("an engine that is closed is opened again by itself", async (test) => {
  const socket = await test.connect("/chat");
  const before = socket.id;
  const watch = await test.connect("/chat");
  await Promise.all([socket, watch].map((each) => each.emitWithAck("join", test.room)));
  const left = once(watch, "left");
  socket.io.engine.close();
  const [{ id, reason }] = await left;
  assert.deepEqual([id, reason], [before, "transport close"]);
  await once(socket, "connect");
  assert.notEqual(socket.id, before);
});
