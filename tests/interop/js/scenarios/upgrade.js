// From polling to a WebSocket, with nothing lost or out of order.

import assert from "node:assert/strict";

import { once, scenario, times } from "../harness.js";

const upgraded = async (socket) => {
  if (socket.io.engine.transport.name !== "websocket") await once(socket.io.engine, "upgrade");
};

scenario("begins with polling and goes on with a WebSocket", async (test) => {
  const socket = test.socket();
  await once(socket.io, "open");
  assert.equal(socket.io.engine.transport.name, "polling");
  await Promise.all([once(socket, "connect"), upgraded(socket)]);
  assert.equal(socket.io.engine.transport.name, "websocket");
  const { id } = socket;
  assert.equal((await socket.emitWithAck("me")).id, id);
});

scenario("nothing is lost or reordered while upgrading under load", async (test) => {
  const socket = await test.connect();
  const received = [];
  socket.on("number", (n) => received.push(n));
  let sent = 0;
  const answers = [];
  const more = () => answers.push(socket.emitWithAck("number", sent++));
  // Some are on their way at every moment of the upgrade, in both directions.
  const load = setInterval(more, 1);
  socket.emit("burst", 100);
  await upgraded(socket);
  socket.emit("burst", 100);
  for (let n = 0; n < 20; n++) more();
  clearInterval(load);
  const all = Array.from({ length: sent }, (_, n) => n);
  assert.deepEqual(await Promise.all(answers), all);
  assert.deepEqual(await socket.emitWithAck("numbers"), all);
  const hundred = Array.from({ length: 100 }, (_, n) => n);
  assert.deepEqual(received, [...hundred, ...hundred]);
});

scenario("events with bytes survive the upgrade", async (test) => {
  const socket = await test.connect();
  const pictures = times(socket, "picture", 40);
  for (let n = 0; n < 20; n++) socket.emit("picture");
  await upgraded(socket);
  for (let n = 0; n < 20; n++) socket.emit("picture");
  for (const [picture] of await pictures) assert.equal(picture.pixels.length, 256);
});

scenario("a slow poll does not hold the upgrade up", async (test) => {
  // Nothing is said: the poll that waits is sent home by a NOOP.
  const socket = await test.connect();
  await upgraded(socket);
  assert.equal(await socket.emitWithAck("echo", 1), 1);
});

scenario("an upgrade is remembered", async (test) => {
  // There is one memory for all clients of a process: others may overwrite it meanwhile.
  let begun;
  while (begun !== "websocket") {
    const first = await test.connect("/", { rememberUpgrade: true });
    await upgraded(first);
    const second = test.socket("/", { rememberUpgrade: true });
    await once(second.io, "open");
    begun = second.io.engine.transport.name;
    await once(second, "connect");
    first.disconnect();
    second.disconnect();
  }
});

scenario("the session's cookie goes with the upgrade", async (test) => {
  const socket = await test.connect("/", { door: "/sticky", withCredentials: true });
  await upgraded(socket);
  assert.equal(await socket.emitWithAck("echo", 1), 1);
});

scenario("a client without upgrades stays with polling", async (test) => {
  const socket = await test.connect("/", { upgrade: false });
  for (let n = 0; n < 5; n++) await socket.emitWithAck("nothing");
  assert.equal(socket.io.engine.transport.name, "polling");
});

scenario("a session goes on polling where WebSockets do not get through", async (test) => {
  const socket = test.socket("/", { door: "/no-websockets" });
  await once(socket.io, "open");
  const failed = once(socket.io.engine, "upgradeError");
  await Promise.all([once(socket, "connect"), failed]);
  assert.equal(socket.io.engine.transport.name, "polling");
  assert.equal(await socket.emitWithAck("echo", 1), 1);
});
