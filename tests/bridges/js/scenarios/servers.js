// What servers tell each other.

import assert from "node:assert/strict";

import { scenario } from "../../../interop/js/harness.js";
import { heard } from "../cluster.js";

scenario("Node asks the other servers", async (test) => {
  const event = `${test.room}, of Node`;
  test.otherNode().on(event, (ack) => ack("the other Node"));
  // Nobody handles it here: an answer is given nevertheless.
  const answers = await test.node().serverSideEmitWithAck(event);
  assert.deepEqual(answers.sort(), [null, "the other Node"].sort());
});

scenario("ours answers Node, with what was wanted or an error", async (test) => {
  const answers = async (event, ...args) => {
    test.otherNode().once(event, (...all) => all.pop()("Node"));
    const all = await test.node().serverSideEmitWithAck(event, ...args);
    return all.filter((each) => each !== "Node");
  };
  assert.deepEqual(await answers("how many", ["a", "b"]), [2]);
  assert.deepEqual(await answers("how many", ["a", "b"], 3, "more"), [3]);
  const [error] = await answers("how many", "a");
  assert.equal(error.status, "error");
  assert.equal(error.code, "invalid");
  const [refusal] = await answers("refuse");
  assert.deepEqual(refusal, { status: "error", code: "closed", message: "come back tomorrow" });
});

scenario("Node tells the other servers", async (test) => {
  const ada = await test.here("ada");
  test.node().serverSideEmit("repeat", test.room, "told");
  assert.deepEqual(await heard(1, ada), [[["said", { text: "told" }]]]);
});

scenario("ours asks and tells Node", async (test) => {
  const ada = await test.here("ada");
  const event = `${test.room}, of ours`;
  test.node().on(event, (data, ack) => ack?.({ first: data }));
  test.otherNode().on(event, (data, ack) => ack?.({ second: data }));
  const answers = await ada.emitWithAck("ask_servers", event, [1, "a"]);
  const both = [{ first: [1, "a"] }, { second: [1, "a"] }];
  assert.deepEqual(answers.sort((a, b) => (a.first ? -1 : b.first ? 1 : 0)), both);
  const told = new Promise((resolve) => test.node().once(`${event}, told`, resolve));
  await ada.emitWithAck("tell_servers", `${event}, told`, { a: null });
  assert.deepEqual(await told, { a: null });
});

scenario("ours is told when servers of Node do not answer", async (test) => {
  const ada = await test.here("ada");
  const event = `${test.room}, of nobody`;
  test.node().on(event, (_, ack) => ack("one"));
  const error = await ada.emitWithAck("ask_servers", event, 0);
  assert.equal(error.code, "timeout");
});
