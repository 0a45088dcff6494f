// Coming in: namespaces, credentials, refusals.

import assert from "node:assert/strict";

import { io } from "socket.io-client";
import * as parser from "socket.io-msgpack-parser";

import { once, scenario } from "../harness.js";

scenario("connects to the main namespace", async (test) => {
  const socket = await test.connect();
  const me = await socket.emitWithAck("me");
  assert.equal(me.id, socket.id);
  assert(!socket.recovered);
});

scenario("connects to a custom namespace", async (test) => {
  const socket = await test.connect("/chat");
  assert.equal(await socket.emitWithAck("join", test.room), socket.id);
});

scenario("a namespace's parameters reach the handler", async (test) => {
  const socket = await test.connect("/lab/7");
  const answer = new Promise((resolve) => socket.emit("where", (...args) => resolve(args)));
  assert.deepEqual(await answer, ["/lab/7", 7]);
});

scenario("a parameter of another type is no namespace", async (test) => {
  const error = await test.refused("/lab/seven");
  assert.equal(error.message, "Invalid namespace");
});

scenario("an unknown namespace is refused in the reference's words", async (test) => {
  const socket = test.socket("/unknown");
  const [error] = await once(socket, "connect_error");
  assert.equal(error.message, "Invalid namespace");
  assert.equal(error.data, undefined);
  assert.equal(socket.active, false);
});

scenario("auth as an object", async (test) => {
  const auth = { token: "ada", nested: { list: [1, null, "é"] } };
  const socket = await test.connect("/", { auth });
  const me = await socket.emitWithAck("me");
  assert.deepEqual(me.auth, auth);
  assert.equal(me.user, "ada");
});

scenario("auth as a function, asked at every connect", async (test) => {
  let asked = 0;
  const socket = await test.connect("/", { auth: (take) => take({ token: `user ${++asked}` }) });
  assert.equal((await socket.emitWithAck("me")).user, "user 1");
  socket.disconnect().connect();
  await once(socket, "connect");
  assert.equal((await socket.emitWithAck("me")).user, "user 2");
});

scenario("without auth there is none", async (test) => {
  const socket = await test.connect();
  const { auth, user } = await socket.emitWithAck("me");
  assert.deepEqual([auth ?? null, user], [null, null]);
});

scenario("query and headers of the handshake are seen", async (test) => {
  const socket = await test.connect("/", {
    query: { lab: "north wing & more" },
    extraHeaders: { "x-lab": "blue" },
  });
  const { query, header } = await socket.emitWithAck("me");
  assert.deepEqual([query, header], ["north wing & more", "blue"]);
});

scenario("a guard refuses, with message and details", async (test) => {
  const error = await test.refused("/members", { auth: { card: "none" } });
  assert.equal(error.message, "members only");
  assert.deepEqual(error.data, { code: "forbidden", details: { office: "room 12" } });
});

scenario("authenticate refuses, with message and details", async (test) => {
  const error = await test.refused("/", { auth: { token: "expired" } });
  assert.equal(error.message, "the token has expired");
  assert.deepEqual(error.data, { code: "unauthenticated", details: { at: "12:00" } });
});

scenario("on_connect refuses, with message and details", async (test) => {
  const error = await test.refused("/closed");
  assert.equal(error.message, "come back tomorrow");
  assert.deepEqual(error.data, { code: "closed", details: { opens: 8 } });
});

scenario("an on_connect that breaks tells nothing", async (test) => {
  const error = await test.refused("/broken");
  assert.equal(error.data.code, "internal");
  assert(!error.message.includes("crash"), error.message);
});

scenario("after a refusal another auth is let in, over the same engine", async (test) => {
  const manager = test.manager();
  const lobby = manager.socket("/");
  const socket = manager.socket("/members", { auth: { card: "none" } });
  const [error] = await once(socket, "connect_error");
  assert.equal(error.message, "members only");
  const engine = manager.engine;
  socket.auth = { card: "valid" };
  socket.connect();
  await once(socket, "connect");
  assert.equal(await socket.emitWithAck("hello"), "welcome");
  assert.equal(manager.engine, engine);
  assert(lobby.connected);
});

scenario("several namespaces share one engine", async (test) => {
  const manager = test.manager();
  const sockets = ["/", "/chat", "/lab/1", "/lab/2"].map((each) => manager.socket(each));
  await Promise.all(sockets.map((each) => once(each, "connect")));
  const [main, chat, first, second] = sockets;
  assert.equal(new Set(sockets.map((each) => each.id)).size, 4);
  const answers = await Promise.all([
    main.emitWithAck("echo", "main"),
    chat.emitWithAck("join", test.room),
    first.emitWithAck("where"),
    second.emitWithAck("where"),
  ]);
  assert.deepEqual(answers, ["main", chat.id, "/lab/1", "/lab/2"]);
  // One of them leaves, the others stay.
  first.disconnect();
  assert.equal(await second.emitWithAck("where"), "/lab/2");
  first.connect();
  await once(first, "connect");
  assert.equal(await first.emitWithAck("where"), "/lab/1");
  assert(main.connected && chat.connected);
});

scenario("io() shares an engine unless it is forced not to", async (test) => {
  const { url, door, msgpack, options } = test.settings;
  const settings = { path: `${door}/socket.io/`, ...options, ...(msgpack ? { parser } : {}) };
  const address = `${url}/lab/`;
  const [first, second, forced] = [
    io(`${address}1`, settings),
    io(`${address}2`, settings),
    io(`${address}3`, { ...settings, forceNew: true }),
  ];
  test.managers.push(first.io, forced.io);
  await Promise.all([first, second, forced].map((each) => once(each, "connect")));
  assert.equal(first.io, second.io);
  assert.notEqual(first.io, forced.io);
  const where = await Promise.all([first, second, forced].map((each) => each.emitWithAck("where")));
  assert.deepEqual(where, ["/lab/1", "/lab/2", "/lab/3"]);
});

scenario("a second engine is another client", async (test) => {
  const [one, two] = await Promise.all([test.connect(), test.connect()]);
  assert.notEqual(one.io.engine.id, two.io.engine.id);
  assert.notEqual(one.id, two.id);
});
