// The server goes away and comes back; it belongs to these scenarios alone.

import assert from "node:assert/strict";

import { ask, once, scenario } from "../harness.js";

/** A client that joins a room whenever it is connected, as applications do. */
async function rejoining(test, options) {
  const socket = test.socket("/chat", options);
  const joined = () =>
    new Promise((resolve) =>
      socket.once("connect", () => socket.emit("join", test.room, () => resolve())),
    );
  await joined();
  return { socket, joined };
}

async function comesBack(test, what, options) {
  const { socket, joined } = await rejoining(test, options);
  const before = socket.id;
  const disconnected = once(socket, "disconnect");
  const again = joined();
  await ask(what);
  const [reason] = await disconnected;
  await again;
  assert.notEqual(socket.id, before);
  const said = once(socket, "said");
  socket.emit("say", test.room, "back");
  assert.deepEqual(await said, [{ text: "back" }]);
  return reason;
}

const POLLING = { transports: ["polling"] };
const WEBSOCKET = { transports: ["websocket"] };

scenario("a killed server, by WebSocket", async (test) => {
  assert.equal(await comesBack(test, "kill", WEBSOCKET), "transport close");
});

scenario("a killed server, by polling", async (test) => {
  assert.equal(await comesBack(test, "kill", POLLING), "transport error");
});

scenario("a stopped server, by WebSocket", async (test) => {
  assert.equal(await comesBack(test, "stop", WEBSOCKET), "transport close");
});

scenario("a stopped server, by polling", async (test) => {
  const reason = await comesBack(test, "stop", POLLING);
  // uvicorn tells the application only after it has cut the requests that wait.
  assert(["transport close", "transport error"].includes(reason), reason);
});

async function freezes(test, options) {
  const { socket, joined } = await rejoining(test, { ...options, door: "/brisk" });
  await once(socket.io, "ping");
  const disconnected = once(socket, "disconnect");
  await ask("freeze");
  const [reason] = await disconnected;
  const again = joined();
  await ask("thaw");
  await again;
  const said = once(socket, "said");
  socket.emit("say", test.room, "back");
  assert.deepEqual(await said, [{ text: "back" }]);
  return reason;
}

scenario("a frozen server is noticed by its missing pings, by WebSocket", async (test) => {
  assert.equal(await freezes(test, WEBSOCKET), "ping timeout");
});

scenario("a frozen server is noticed by its missing pings, by polling", async (test) => {
  assert.equal(await freezes(test, POLLING), "ping timeout");
});

scenario("a server that has forgotten everything begins anew", async (test) => {
  const { socket, joined } = await rejoining(test, { ...WEBSOCKET, door: "/recovery" });
  assert(socket._pid);
  const again = joined();
  await ask("kill");
  await again;
  assert.equal(socket.recovered, false);
});

scenario("what is emitted meanwhile arrives after the return", async (test) => {
  const socket = await test.connect("/", WEBSOCKET);
  const disconnected = once(socket, "disconnect");
  const returned = ask("kill");
  await disconnected;
  for (let n = 0; n < 20; n++) socket.emit("number", n);
  const numbers = socket.emitWithAck("numbers");
  await returned;
  assert.deepEqual(await numbers, Array.from({ length: 20 }, (_, n) => n));
});

scenario("a call that is under way fails when the server is lost", async (test) => {
  const socket = await test.connect("/patient", WEBSOCKET);
  const call = socket.timeout(15_000).emitWithAck("slow", test.room);
  // Answered after the call has arrived.
  await socket.emitWithAck("attempts", test.room);
  const back = ask("kill");
  await assert.rejects(call, /socket has been disconnected/);
  await back;
});

scenario("reconnection stops after as many attempts as were allowed", async (test) => {
  const socket = await test.connect("/", { ...WEBSOCKET, reconnectionAttempts: 2 });
  const failed = once(socket.io, "reconnect_failed");
  await ask("down");
  await failed;
  await ask("up");
  socket.connect();
  await once(socket, "connect");
});
