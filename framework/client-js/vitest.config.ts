import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["tests/**/*.test.ts"],
    // One process: the tests wait for sockets, not for the processor.
    fileParallelism: false,
    testTimeout: 10_000,
  },
});
