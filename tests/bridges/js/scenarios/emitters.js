// The emitter that is no server: what workers and scripts emit with.

import assert from "node:assert/strict";

import { once, scenario } from "../../../interop/js/harness.js";
import { heard } from "../cluster.js";

scenario("an emitter reaches clients of all kinds", async (test) => {
  const [ada, bob] = await test.everybody();
  const plain = await test.plain("/chat");
  const ours = await test.plain("/chat", ["gw.v1.json"]);
  ours.send({ op: "open" });
  await ours.next();
  for (const socket of [plain, ours]) {
    socket.send({ event: "join", data: test.room, id: 1 });
    while ((await socket.next()).id !== 1);
  }
  const chat = test.emitter.of("/chat");
  chat.to(test.room).emit("news", { n: 1 }, Buffer.from("two"));
  chat.to(test.room).except(bob.id).emit("more");
  assert.deepEqual(await heard(2, ada), [[["news", { n: 1 }, Buffer.from("two")], ["more"]]]);
  assert.deepEqual(await heard(1, bob), [[["news", { n: 1 }, Buffer.from("two")]]]);
  for (const socket of [plain, ours]) {
    assert.deepEqual(await socket.next(), { event: "news", data: [{ n: 1 }, "dHdv"] });
    assert.deepEqual(await socket.next(), { event: "more", data: [] });
  }
});

scenario("an emitter reaches everybody in a namespace", async (test) => {
  const everybody = await test.everybody(test.lab);
  await test.joined(test.lab);
  test.emitter.of(test.lab).emit("news");
  assert.deepEqual(await heard(1, ...everybody), [[["news"]], [["news"]], [["news"]]]);
});

scenario("an emitter moves and ends sockets, and tells servers", async (test) => {
  const [ada, bob, eve] = await test.everybody();
  const other = `${test.room}, other`;
  const chat = test.emitter.of("/chat");
  chat.in(test.room).socketsJoin([other]);
  chat.to(other).emit("joined");
  await heard(1, ada, bob, eve);
  chat.in(ada.id).socketsLeave(other);
  chat.to(other).emit("left");
  chat.serverSideEmit("repeat", test.room, "told");
  await heard(3, bob, eve);
  assert.deepEqual(await heard(2, ada), [[["joined"], ["said", { text: "told" }]]]);
  const gone = once(ada, "disconnect");
  chat.in(ada.id).disconnectSockets();
  assert.equal((await gone)[0], "io server disconnect");
});

scenario("what an emitter says in other namespaces is not heard", async (test) => {
  const ada = await test.here("ada");
  test.emitter.of("/unknown").to(test.room).emit("unheard");
  test.emitter.to(test.room).emit("unheard");
  test.emitter.of("/chat").to(test.room).emit("heard");
  assert.deepEqual(await heard(1, ada), [[["heard"]]]);
});
