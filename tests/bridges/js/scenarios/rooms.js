// Rooms that both sides share: who hears what is said on the other side.

import assert from "node:assert/strict";

import { once, scenario } from "../../../interop/js/harness.js";
import { heard, pause } from "../cluster.js";

const last = ["said", { text: "last" }];

scenario("what ours says is heard in the room on all servers", async (test) => {
  const [ada, bob, eve] = await test.everybody();
  const outsider = await test.there("tom", { room: `${test.room}, elsewhere` });
  await ada.emitWithAck("say", test.room, "one");
  await ada.emitWithAck("say", test.room, "two");
  await ada.emitWithAck("say", `${test.room}, elsewhere`, "last");
  const both = [["said", { text: "one" }], ["said", { text: "two" }]];
  assert.deepEqual(await heard(2, ada, bob, eve), [both, both, both]);
  assert.deepEqual(await heard(1, outsider), [[last]]);
});

scenario("what Node says is heard in the room on all servers", async (test) => {
  const [ada, bob, eve] = await test.everybody();
  const outsider = await test.here("tom", { room: `${test.room}, elsewhere` });
  test.node().to(test.room).emit("word", "one", 2, { three: [null, 4.5] });
  test.node().to(test.room).emit("word");
  test.node().to(`${test.room}, elsewhere`).emit("last");
  const both = [["word", "one", 2, { three: [null, 4.5] }], ["word"]];
  assert.deepEqual(await heard(2, ada, bob, eve), [both, both, both]);
  assert.deepEqual(await heard(1, outsider), [[["last"]]]);
});

scenario("bytes from ours", async (test) => {
  const [ada, bob, eve] = await test.everybody();
  const pixels = Buffer.from([0, 1, 254, 255]);
  await ada.emitWithAck("show", test.room, pixels);
  const picture = [["picture", "moth", pixels, { back: [pixels, Buffer.alloc(0)] }]];
  assert.deepEqual(await heard(1, ada, bob, eve), [picture, picture, picture]);
});

scenario("bytes and dates from Node", async (test) => {
  const [ada, bob, eve] = await test.everybody();
  const at = new Date(Date.UTC(2026, 10, 24, 12, 0, 0, 7));
  const pixels = Buffer.from([0, 1, 254, 255]);
  test.node().to(test.room).emit("picture", pixels, { at: [at], pixels }, undefined);
  const text = "2026-11-24T12:00:00.007Z";
  const picture = [["picture", pixels, { at: [text], pixels }, null]];
  assert.deepEqual(await heard(1, ada, bob, eve), [picture, picture, picture]);
});

scenario("several rooms, each receiver once, and rooms left out, from ours", async (test) => {
  const [ada, bob, eve] = await test.everybody();
  const others = [`${test.room}, a`, `${test.room}, b`];
  for (const socket of [ada, bob]) await socket.emitWithAck("join", others[0]);
  for (const socket of [bob, eve]) await socket.emitWithAck("join", others[1]);
  await ada.emitWithAck("say_except", [test.room, ...others], [], "all");
  await ada.emitWithAck("say_except", [test.room], [others[0]], "not in a");
  await ada.emitWithAck("say_except", [test.room], [ada.id, bob.id], "not ada, not bob");
  await ada.emitWithAck("say_except", others, [], "last");
  const texts = (await heard(2, ada, bob)).concat(await heard(4, eve));
  assert.deepEqual(texts.map((events) => events.map(([, { text }]) => text)), [
    ["all", "last"],
    ["all", "last"],
    ["all", "not in a", "not ada, not bob", "last"],
  ]);
});

scenario("several rooms, each receiver once, and rooms left out, from Node", async (test) => {
  const [ada, bob, eve] = await test.everybody();
  const others = [`${test.room}, a`, `${test.room}, b`];
  for (const socket of [ada, bob]) await socket.emitWithAck("join", others[0]);
  for (const socket of [bob, eve]) await socket.emitWithAck("join", others[1]);
  const node = test.node();
  node.to(test.room).to(others).emit("all");
  node.to(test.room).except(others[0]).emit("not in a");
  node.to(test.room).except([ada.id, bob.id]).emit("not ada, not bob");
  node.to(others).emit("last");
  const events = (await heard(2, ada, bob)).concat(await heard(4, eve));
  assert.deepEqual(events.map((each) => each.flat()), [
    ["all", "last"],
    ["all", "last"],
    ["all", "not in a", "not ada, not bob", "last"],
  ]);
});

scenario("a sender is left out, on both sides", async (test) => {
  const [ada, bob, eve] = await test.everybody();
  await ada.emitWithAck("tell", test.room, "from ada");
  const server = [...(await test.node().in(bob.id).fetchSockets())][0];
  assert.equal(server.id, bob.id);
  test.node().sockets.get(bob.id).to(test.room).emit("from bob");
  await heard(1, ada, bob);
  await heard(2, eve);
  await ada.emitWithAck("say", test.room, "last");
  await heard(2, ada, bob);
  assert.deepEqual(ada.heard, [["from bob"], last]);
  assert.deepEqual(bob.heard, [["said", { text: "from ada" }], last]);
});

scenario("volatile, on both sides", async (test) => {
  const everybody = await test.everybody();
  // Node drops such an event for a socket that is still being written to.
  const until = async (event, emit) => {
    while (!everybody.every(({ heard }) => heard.some(([name]) => name === event))) {
      await emit();
      await pause();
    }
  };
  await until("said", () => everybody[0].emitWithAck("mention", test.room, "from ours"));
  await until("from node", () => test.node().to(test.room).volatile.emit("from node"));
});

scenario("everybody in a namespace, which has a parameter here", async (test) => {
  const [ada, bob, eve] = await test.everybody(test.lab);
  await test.joined(test.lab);
  await ada.emitWithAck("say_to_all", "from ours");
  await heard(1, ada, bob, eve);
  test.node(test.lab).emit("from node");
  const both = [["said", { text: "from ours" }], ["from node"]];
  assert.deepEqual(await heard(2, ada, bob, eve), [both, both, both]);
});

scenario("one client, by its id, from the other side", async (test) => {
  const [ada, bob, eve] = await test.everybody();
  test.node().to(ada.id).emit("for ada");
  await heard(1, ada);
  await ada.emitWithAck("say", bob.id, "for bob");
  await ada.emitWithAck("say", test.room, "last");
  await heard(2, ada, bob);
  await heard(1, eve);
  assert.deepEqual(ada.heard[0], ["for ada"]);
  assert.deepEqual(bob.heard, [["said", { text: "for bob" }], last]);
  assert.deepEqual(eve.heard, [last]);
});

scenario("a user here is a room of Node's, where it is told how that is named", async (test) => {
  const user = `ada of ${test.room}`;
  const ada = await test.here(user);
  const bob = await test.there("bob", { room: `user ${user}` });
  await ada.emitWithAck("whisper", user, "from ours");
  await heard(1, ada, bob);
  test.node().to(`user ${user}`).emit("from node");
  test.node().to(test.room).except(`user ${user}`).emit("not for ada");
  test.node().to(test.room).emit("last");
  const both = [["said", { text: "from ours" }], ["from node"]];
  assert.deepEqual(await heard(2, bob), [both]);
  assert.deepEqual(await heard(3, ada), [[...both, ["last"]]]);
});

scenario("a bare WebSocket and gw.v1 hear Node as everybody does", async (test) => {
  const plain = await test.plain("/chat");
  const ours = await test.plain("/chat", ["gw.v1.json"]);
  ours.send({ op: "open" });
  assert.equal((await ours.next()).op, "hello");
  for (const [id, socket] of [plain, ours].entries()) {
    socket.send({ event: "join", data: test.room, id: id + 1 });
    while ((await socket.next()).id === undefined);
  }
  const node = test.node().to(test.room);
  node.emit("none");
  node.emit("one", { a: 1 });
  node.emit("several", 1, "two", Buffer.from("three"));
  for (const socket of [plain, ours]) {
    assert.deepEqual(await socket.next(), { event: "none", data: [] });
    assert.deepEqual(await socket.next(), { event: "one", data: { a: 1 } });
    assert.deepEqual(await socket.next(), { event: "several", data: [1, "two", "dGhyZWU="] });
  }
});

scenario("what comes from elsewhere does not change what has been missed", async (test) => {
  const ours = await test.plain("/chat", ["gw.v1.json"]);
  ours.send({ op: "open" });
  const { session, token, epoch } = await ours.next();
  ours.send({ event: "join", data: test.room, id: 1 });
  let frame = await ours.next();
  while (frame.id !== 1) frame = await ours.next();
  const ada = await test.here("ada");
  await ada.emitWithAck("say", test.room, "in the sequence");
  const said = await ours.next();
  test.node().to(test.room).emit("outside");
  assert.deepEqual(await ours.next(), { event: "outside", data: [] });
  ours.socket.terminate();
  await once(ours.socket, "close");
  await ada.emitWithAck("say", test.room, "missed");
  const back = await test.plain("/chat", ["gw.v1.json"]);
  back.send({ op: "open", resume: { session, token, epoch, seq: said.seq, sent: 1 } });
  assert.equal((await back.next()).resumed, true);
  assert.deepEqual((await back.next()).data, { text: "missed" });
});
