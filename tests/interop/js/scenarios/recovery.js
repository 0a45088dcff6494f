// Connection state recovery: who was cut off gets back what it was and what it missed.
//
// With it every event's last argument is an offset; the listeners here do not mind.

import assert from "node:assert/strict";

import { once, scenario } from "../harness.js";

const HISTORY = 200; // events that the server keeps of a room
const texts = (count, word = "missed") => Array.from({ length: count }, (_, n) => `${word} ${n}`);

/** A socket in the scenario's room, which keeps what it hears, and one that is nowhere. */
async function company(test, options) {
  const [socket, other] = await Promise.all([
    test.connect("/chat", options),
    test.connect("/chat"),
  ]);
  socket.heard = [];
  socket.on("said", ({ text }) => socket.heard.push(text));
  await socket.emitWithAck("join", test.room);
  return { socket, other };
}

/** Tear a socket away; it does not come back by itself. */
async function cut(socket) {
  socket.io.reconnection(false);
  const gone = once(socket, "disconnect");
  socket.io.engine.close();
  await gone;
}

async function back(socket) {
  const connected = once(socket, "connect");
  socket.connect();
  await connected;
}

/** Everything that was heard up to now. */
async function heard({ socket, other }, room) {
  const last = new Promise((resolve) =>
    socket.on("said", ({ text }) => text === "last" && resolve()),
  );
  await other.emitWithAck("say", room, "last");
  await last;
  return socket.heard.slice(0, -1);
}

scenario("what a room has missed comes in order, once, and it goes on", async (test) => {
  const { socket, other } = await company(test);
  const { id } = socket;
  await other.emitWithAck("say", test.room, "before");
  await cut(socket);
  await other.emitWithAck("say_often", test.room, texts(40));
  await other.emitWithAck("say", `not ${test.room}`, "not for it");
  await back(socket);
  assert.equal(socket.recovered, true);
  assert.equal(socket.id, id);
  const all = await heard({ socket, other }, test.room);
  assert.deepEqual(all, ["before", ...texts(40)]);
});

scenario("what was missed follows the connect at once", async (test) => {
  const { socket, other } = await company(test);
  await cut(socket);
  await other.emitWithAck("say_often", test.room, texts(3));
  const order = [];
  socket.on("said", ({ text }) => order.push(text));
  socket.on("connect", () => order.push("connect"));
  await back(socket);
  await heard({ socket, other }, test.room);
  assert.deepEqual(order.slice(0, 4), ["connect", ...texts(3)]);
});

scenario("what was for it alone is not lost either", async (test) => {
  const { socket, other } = await company(test);
  const { id } = socket;
  await cut(socket);
  await other.emitWithAck("say", id, "psst");
  await other.emitWithAck("say", test.room, "to all");
  await other.emitWithAck("say", id, "psst again");
  await back(socket);
  assert.equal(socket.recovered, true);
  const all = await heard({ socket, other }, test.room);
  assert.deepEqual(all, ["psst", "to all", "psst again"]);
});

scenario("what was for its user is not lost either", async (test) => {
  const user = `ada of ${test.room}`;
  const { socket, other } = await company(test, { auth: { token: user } });
  await cut(socket);
  await other.emitWithAck("whisper", user, "psst");
  await back(socket);
  assert.equal(socket.recovered, true);
  assert.deepEqual(await heard({ socket, other }, test.room), ["psst"]);
});

scenario("bytes that were missed", async (test) => {
  const { socket, other } = await company(test);
  await cut(socket);
  await other.emitWithAck("show", test.room, "leaf", Buffer.from([1, 2, 3]));
  const picture = once(socket, "picture");
  await back(socket);
  const [{ name, pixels, layers }] = await picture;
  assert.equal(name, "leaf");
  assert.deepEqual([...Buffer.from(pixels)], [1, 2, 3]);
  assert.deepEqual(layers.back.map((each) => each.length ?? each.byteLength), [3, 0]);
});

scenario("volatile events are not kept", async (test) => {
  const { socket, other } = await company(test);
  await cut(socket);
  await other.emitWithAck("mention", test.room, "by the way");
  await other.emitWithAck("say", test.room, "important");
  await back(socket);
  assert.deepEqual(await heard({ socket, other }, test.room), ["important"]);
});

scenario("its state is as it was", async (test) => {
  const socket = await test.connect();
  for (const n of [0, 1, 2]) await socket.emitWithAck("number", n);
  await cut(socket);
  await back(socket);
  assert.equal(socket.recovered, true);
  await socket.emitWithAck("number", 3);
  assert.deepEqual(await socket.emitWithAck("numbers"), [0, 1, 2, 3]);
});

scenario("what it emits meanwhile arrives after the return", async (test) => {
  const socket = await test.connect();
  await socket.emitWithAck("number", 0);
  await cut(socket);
  for (const n of [1, 2, 3]) socket.emit("number", n);
  const numbers = socket.emitWithAck("numbers");
  await back(socket);
  assert.deepEqual(await numbers, [0, 1, 2, 3]);
});

scenario("again and again", async (test) => {
  const { socket, other } = await company(test);
  const { id } = socket;
  const all = [];
  for (let round = 0; round < 5; round++) {
    await cut(socket);
    const missed = texts(3, `in round ${round}`);
    await other.emitWithAck("say_often", test.room, missed);
    all.push(...missed);
    await back(socket);
    assert.equal(socket.recovered, true);
  }
  assert.equal(socket.id, id);
  assert.deepEqual(await heard({ socket, other }, test.room), all);
});

scenario("under load nothing is lost, doubled or out of order", async (test) => {
  const { socket, other } = await company(test);
  socket.io.reconnection(true);
  let said = 0;
  const talking = setInterval(() => other.emit("say", test.room, `${said++}`), 5);
  for (let round = 0; round < 3; round++) {
    // In the midst of it: it has heard something since it came back.
    const before = socket.heard.length;
    while (socket.heard.length < before + 5) await once(socket, "said");
    const connected = once(socket, "connect");
    socket.io.engine.close();
    await connected;
    assert.equal(socket.recovered, true);
  }
  clearInterval(talking);
  await other.emitWithAck("quit", "nowhere");
  const all = await heard({ socket, other }, test.room);
  assert.deepEqual(all, Array.from({ length: said }, (_, n) => `${n}`));
});

scenario("a return before the loss was noticed", async (test) => {
  const { socket, other } = await company(test);
  const { id } = socket;
  const { engine } = socket.io;
  // The old transport stays open, as one does behind a dead network.
  engine.transport.close = () => {};
  socket.io.reconnection(false);
  engine._onClose("transport close");
  socket.heard.length = 0;
  await other.emitWithAck("say_often", test.room, texts(3));
  await back(socket);
  assert.equal(socket.recovered, true);
  assert.equal(socket.id, id);
  assert.deepEqual(await heard({ socket, other }, test.room), texts(3));
  assert.deepEqual(socket.heard, [...texts(3), "last"]);
});

scenario("two namespaces of one client both return", async (test) => {
  const other = await test.connect("/chat");
  const manager = test.manager();
  const [main, chat] = [manager.socket("/"), manager.socket("/chat")];
  await Promise.all([once(main, "connect"), once(chat, "connect")]);
  await main.emitWithAck("number", 0);
  await chat.emitWithAck("join", test.room);
  manager.reconnection(false);
  manager.engine.close();
  await other.emitWithAck("say", test.room, "missed");
  const said = once(chat, "said");
  await Promise.all([back(main), back(chat)]);
  assert.deepEqual([main.recovered, chat.recovered], [true, true]);
  assert.equal((await said)[0].text, "missed");
  assert.deepEqual(await main.emitWithAck("numbers"), [0]);
});

scenario("who has missed more than is kept begins anew", async (test) => {
  const { socket, other } = await company(test);
  const { id } = socket;
  await cut(socket);
  await other.emitWithAck("say_often", test.room, texts(HISTORY + 1));
  await back(socket);
  assert.equal(socket.recovered, false);
  assert.notEqual(socket.id, id);
  await socket.emitWithAck("join", test.room);
  assert.deepEqual(await heard({ socket, other }, test.room), []);
});

scenario("who has left by itself begins anew", async (test) => {
  const { socket, other } = await company(test);
  const { id } = socket;
  socket.disconnect();
  await other.emitWithAck("say", test.room, "missed");
  await back(socket);
  assert.equal(socket.recovered, false);
  assert.notEqual(socket.id, id);
  await socket.emitWithAck("join", test.room);
  assert.deepEqual(await heard({ socket, other }, test.room), []);
});

scenario("who was sent away begins anew", async (test) => {
  const { socket, other } = await company(test);
  const gone = once(socket, "disconnect");
  await other.emitWithAck("dismiss", test.room);
  await gone;
  await back(socket);
  assert.equal(socket.recovered, false);
});

scenario("another user does not get the session", async (test) => {
  const { socket, other } = await company(test, { auth: { token: "ada" } });
  const { id } = socket;
  await cut(socket);
  await other.emitWithAck("say", test.room, "for ada");
  socket.auth = { token: "eve" };
  await back(socket);
  assert.equal(socket.recovered, false);
  assert.notEqual(socket.id, id);
  await socket.emitWithAck("join", test.room);
  assert.deepEqual(await heard({ socket, other }, test.room), []);
});

scenario("an unknown pid begins anew", async (test) => {
  const socket = test.socket("/chat");
  socket._pid = "of somebody else";
  socket._lastOffset = "nothing:1";
  await once(socket, "connect");
  assert.equal(socket.recovered, false);
  assert.equal(await socket.emitWithAck("join", test.room), socket.id);
});
