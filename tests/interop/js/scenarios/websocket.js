// What only WebSockets know.

import assert from "node:assert/strict";

import { once, scenario } from "../harness.js";

scenario("begins with a WebSocket", async (test) => {
  const socket = test.socket();
  await once(socket.io, "open");
  assert.equal(socket.io.engine.transport.name, "websocket");
  await once(socket, "connect");
});

scenario("a part of a buffer is sent, not all of it", async (test) => {
  // By JSON; the msgpack parser of this client sends the whole buffer.
  const socket = await test.connect();
  const part = new Uint8Array(Uint8Array.from([1, 2, 3, 4]).buffer, 1, 2);
  const got = await socket.emitWithAck("echo", { part });
  assert.deepEqual([...Buffer.from(got.part)], [2, 3]);
});

scenario("a socket that is torn is noticed by the room", async (test) => {
  const [one, two] = await Promise.all([test.connect("/chat"), test.connect("/chat")]);
  await Promise.all([one, two].map((each) => each.emitWithAck("join", test.room)));
  const left = once(two, "left");
  const { id } = one;
  const disconnected = once(one, "disconnect");
  one.io.engine.transport.ws.terminate();
  assert.deepEqual((await disconnected)[0], "transport close");
  assert.deepEqual(await left, [{ id, reason: "transport close" }]);
  await once(one, "connect");
});

scenario("the session's cookie does not disturb", async (test) => {
  const socket = await test.connect("/", { door: "/sticky" });
  assert.equal(await socket.emitWithAck("echo", 1), 1);
});
