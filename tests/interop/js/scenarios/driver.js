// Not about Socket.IO: how the driver reports what goes wrong.

import assert from "node:assert/strict";

import { scenario } from "../harness.js";

scenario("passes", async () => {});

scenario("fails", async () => assert.equal(1, 2));

scenario("hangs", () => new Promise(() => {}));

scenario("breaks the driver", async () => {
  setTimeout(() => {
    throw new Error("outside of every scenario");
  });
  await new Promise(() => {});
});
