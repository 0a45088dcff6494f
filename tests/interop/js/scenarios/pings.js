// Heartbeats; the door has short ones.

import assert from "node:assert/strict";

import { scenario } from "../harness.js";

scenario("pings keep a client that says nothing", async (test) => {
  const socket = await test.connect("/", { door: "/brisk" });
  const { id } = socket;
  await new Promise((resolve) => {
    let pings = 0;
    socket.io.on("ping", () => ++pings === 5 && resolve());
    socket.once("disconnect", resolve);
  });
  assert(socket.connected);
  assert.equal(socket.id, id);
});
