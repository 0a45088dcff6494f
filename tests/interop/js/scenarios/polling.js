// What only polling knows.

import assert from "node:assert/strict";

import { scenario } from "../harness.js";

scenario("stays with polling where it is told to", async (test) => {
  const socket = await test.connect();
  await socket.emitWithAck("nothing");
  assert.equal(socket.io.engine.transport.name, "polling");
});

scenario("many packets are spread over several requests", async (test) => {
  const socket = await test.connect();
  const text = "x".repeat(30_000);
  const sizes = Array.from({ length: 100 }, () => socket.emitWithAck("large", text, 1));
  assert.deepEqual(await Promise.all(sizes), Array(100).fill(30_000));
});

scenario("a server that only polls is not asked to upgrade", async (test) => {
  const socket = await test.connect("/", {
    door: "/polling-only",
    transports: ["polling", "websocket"],
    upgrade: true,
  });
  await socket.emitWithAck("nothing");
  assert.equal(socket.io.engine.transport.name, "polling");
});

scenario("the next transport is tried where the first is refused", async (test) => {
  const socket = await test.connect("/", {
    door: "/polling-only",
    transports: ["websocket", "polling"],
    tryAllTransports: true,
  });
  assert.equal(socket.io.engine.transport.name, "polling");
  assert.equal(await socket.emitWithAck("echo", 1), 1);
});

scenario("without tryAllTransports a refused transport is an error", async (test) => {
  const error = await test.refused("/", { door: "/polling-only", transports: ["websocket"] });
  assert.equal(error.type, "TransportError");
});

scenario("the session's cookie comes back with every request", async (test) => {
  const socket = await test.connect("/", { door: "/sticky", withCredentials: true });
  assert.equal(await socket.emitWithAck("echo", 1), 1);
  assert.equal(socket.io.engine.transport.name, "polling");
});

scenario("without the session's cookie the balancer sends requests away", async (test) => {
  const error = await test.refused("/", { door: "/sticky", reconnection: false });
  assert.match(error.message, /xhr poll|xhr post/);
});

scenario("a foreign session's id is refused", async (test) => {
  const url = `${test.settings.url}/socket.io/?EIO=4&transport=polling&sid=foreign`;
  const response = await fetch(url);
  assert.equal(response.status, 400);
  assert.deepEqual(await response.json(), { code: 1, message: "Session ID unknown" });
});
