// Who is where, moved and ended from the other side.

import assert from "node:assert/strict";

import { once, scenario } from "../../../interop/js/harness.js";
import { heard, pause } from "../cluster.js";

const sorted = (sockets) => [...sockets].sort();
const ids = (...sockets) => sorted(sockets.map((socket) => socket.id));

/** What is told, not asked, has happened when this holds. */
async function until(holds) {
  while (!(await holds())) await pause();
}

scenario("Node fetches the sockets of all servers", async (test) => {
  const [ada, bob, eve] = await test.everybody();
  const found = await test.node().in(test.room).fetchSockets();
  assert.deepEqual(sorted(found.map((socket) => socket.id)), ids(ada, bob, eve));
  const remote = found.find((socket) => socket.id === ada.id);
  assert.deepEqual(sorted(remote.rooms), sorted([ada.id, test.room, "user ada"]));
  assert.deepEqual(remote.data, { name: "ada", age: 36 });
  assert.equal(remote.handshake.headers.host, new URL(test.settings.url).host);
  assert.equal(remote.handshake.query.EIO, "4");
  assert.equal(remote.handshake.auth, undefined);
});

scenario("Node counts the rooms of all servers", async (test) => {
  const [ada, bob] = await test.everybody(test.lab);
  await test.joined(test.lab);
  const rooms = await test.node(test.lab).adapter.allRooms();
  for (const room of [ada.id, bob.id, test.room, "user ada"]) assert(rooms.has(room), room);
});

scenario("ours counts the sockets of all servers", async (test) => {
  const [ada, bob, eve] = await test.everybody();
  const { count, members } = await ada.emitWithAck("count", test.room);
  assert.equal(count, 3);
  assert.deepEqual(sorted(members), ids(ada, bob, eve));
});

scenario("Node has sockets of ours join and leave", async (test) => {
  const [ada, bob, eve] = await test.everybody();
  const other = `${test.room}, other`;
  test.node().in(test.room).except(bob.id).socketsJoin([other, `${test.room}, third`]);
  test.node().to(other).emit("joined");
  await heard(1, ada, eve);
  assert.equal((await test.node().in(other).fetchSockets()).length, 2);
  test.node().in(ada.id).socketsLeave(other);
  const left = await test.node().in(other).fetchSockets();
  assert.deepEqual(left.map((socket) => socket.id), [eve.id]);
  assert.deepEqual(await ada.emitWithAck("rooms"), sorted([test.room, `${test.room}, third`]));
  assert.deepEqual(bob.heard, []);
});

scenario("a room here may refuse whom Node sends", async (test) => {
  const [ada, bob] = await test.everybody();
  const secret = `${test.room}, secret`;
  test.node().in(test.room).socketsJoin(secret);
  await until(async () => (await bob.emitWithAck("rooms")).includes(secret));
  assert.equal((await test.node().in(secret).fetchSockets()).length, 2);
  assert.deepEqual(await ada.emitWithAck("rooms"), [test.room]);
});

scenario("ours has sockets of Node join and leave", async (test) => {
  const [ada, bob, eve] = await test.everybody();
  const other = `${test.room}, other`;
  assert.equal(await ada.emitWithAck("gather", test.room, other), 1);
  await ada.emitWithAck("say", other, "joined");
  await heard(1, ada, bob, eve);
  await ada.emitWithAck("scatter", bob.id, other);
  const { count, members } = await ada.emitWithAck("count", other);
  assert.equal(count, 2);
  assert.deepEqual(sorted(members), ids(ada, eve));
});

scenario("Node disconnects sockets of ours", async (test) => {
  const [ada, bob] = await test.everybody();
  const lab = ada.io.socket(test.lab);
  await once(lab, "connect");
  const gone = once(ada, "disconnect");
  test.node().in(ada.id).disconnectSockets();
  assert.deepEqual((await gone)[0], "io server disconnect");
  assert(lab.connected);
  assert(bob.connected);
});

scenario("Node disconnects clients of ours altogether", async (test) => {
  const ada = await test.here("ada");
  const lab = ada.io.socket(test.lab);
  await once(lab, "connect");
  const gone = Promise.all([once(ada, "disconnect"), once(lab, "disconnect")]);
  test.node().in(ada.id).disconnectSockets(true);
  for (const [reason] of await gone) assert.equal(reason, "io server disconnect");
});

scenario("ours disconnects sockets of Node", async (test) => {
  const [ada, bob, eve] = await test.everybody();
  const gone = once(bob, "disconnect");
  await ada.emitWithAck("dismiss", bob.id);
  assert.equal((await gone)[0], "io server disconnect");
  assert(eve.connected);
});

scenario("one socket of ours, as Node's code has it", async (test) => {
  const ada = await test.here("ada");
  const [remote] = await test.node().in(ada.id).fetchSockets();
  remote.emit("hello", 1);
  remote.join(`${test.room}, other`);
  test.node().to(`${test.room}, other`).emit("there");
  assert.deepEqual(await heard(2, ada), [[["hello", 1], ["there"]]]);
  const gone = once(ada, "disconnect");
  remote.disconnect(true);
  await gone;
});
