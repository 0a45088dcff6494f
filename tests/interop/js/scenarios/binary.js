// Bytes, in both directions.

import assert from "node:assert/strict";

import { once, scenario } from "../harness.js";

const all = Buffer.from(Array.from({ length: 256 }, (_, n) => n));
const bytes = (value) => [...Buffer.from(value)];

scenario("bytes come back as they went", async (test) => {
  const socket = await test.connect();
  assert.deepEqual(bytes(await socket.emitWithAck("echo", all)), [...all]);
  assert.deepEqual(bytes(await socket.emitWithAck("echo", Buffer.alloc(0))), []);
});

scenario("bytes inside of objects and lists", async (test) => {
  const socket = await test.connect();
  const sent = { a: [Buffer.from("one"), "text"], b: { c: Buffer.from("two") }, d: 4 };
  const got = await socket.emitWithAck("echo", sent);
  assert.deepEqual(bytes(got.a[0]), bytes("one"));
  assert.equal(got.a[1], "text");
  assert.deepEqual(bytes(got.b.c), bytes("two"));
  assert.equal(got.d, 4);
});

scenario("ArrayBuffer and typed arrays", async (test) => {
  const socket = await test.connect();
  const typed = Uint8Array.from([1, 2, 3]);
  const got = await socket.emitWithAck("echo", { buffer: typed.buffer, typed });
  assert.deepEqual(bytes(got.buffer), [1, 2, 3]);
  assert.deepEqual(bytes(got.typed), [1, 2, 3]);
});

scenario("several arguments of bytes, and several in the answer", async (test) => {
  const socket = await test.connect();
  const [joined, size] = await new Promise((resolve) =>
    socket.emit("join_bytes", ...["a", "b", "c"].map((each) => Buffer.from(each)), (...args) =>
      resolve(args),
    ),
  );
  assert.deepEqual(bytes(joined), bytes("abc"));
  assert.equal(size, 3);
});

scenario("a payload with typed fields of bytes", async (test) => {
  const socket = await test.connect();
  const file = {
    name: "leaf.png",
    content: Buffer.from([1, 2]),
    parts: [Buffer.from([3]), Buffer.from([4, 5])],
  };
  const got = await socket.emitWithAck("upload", file);
  assert.equal(got.name, "leaf.png");
  assert.equal(got.size, 5);
  assert.deepEqual(bytes(got.reversed), [5, 4, 3, 2, 1]);
  const wrong = await socket.emitWithAck("upload", { name: 1, content: Buffer.from([1]) });
  assert.equal(wrong.code, "invalid");
  assert.match(wrong.message, /`\$\.name`/);
});

scenario("an event with bytes in it", async (test) => {
  const socket = await test.connect();
  const picture = once(socket, "picture");
  socket.emit("picture");
  const [{ name, pixels, layers }] = await picture;
  assert.equal(name, "moth");
  assert.deepEqual(bytes(pixels), [...all]);
  assert.deepEqual(layers.front.map(bytes), [[1], [2, 3]]);
  assert.deepEqual(layers.back.map(bytes), [[]]);
});

scenario("bytes and texts keep their order", async (test) => {
  const socket = await test.connect();
  const answers = [];
  const calls = Array.from({ length: 60 }, (_, n) =>
    socket.emitWithAck("echo", n % 2 ? n : Buffer.from([n])).then((got) => answers.push(got)),
  );
  await Promise.all(calls);
  assert.deepEqual(
    answers.map((got) => (typeof got === "number" ? got : bytes(got)[0])),
    Array.from({ length: 60 }, (_, n) => n),
  );
});

scenario("half a megabyte of bytes", async (test) => {
  const socket = await test.connect();
  const sent = Buffer.alloc(500_000, all);
  const got = await socket.emitWithAck("echo", sent);
  assert(sent.equals(Buffer.from(got)));
});
