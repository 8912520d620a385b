import { availableParallelism } from "node:os";
import { defineConfig } from "vitest/config";

// Given to Node as --conditions too: with "import" among them a require of a package that has both forms would get the wrong one.
const conditions = ["millrace-source", "node"];
const isNode = !("Bun" in globalThis) && !("Deno" in globalThis);
const results = process.env.TEST_RESULTS;

export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  test: {
    include: ["tests/**/*.test.ts"],
    exclude: ["**/node_modules/**", ...(process.env.TEST_EXCLUDE?.split(",") ?? [])],
    execArgv: isNode ? ["--expose-gc"] : [], // the memory tests measure after a collection
    maxWorkers: Math.max(2, Math.floor(availableParallelism() / 2)), // on two cores too: much of the time servers are waited for
    testTimeout: 120_000, // of a machine that is busy with other things; no test waits for time to pass
    setupFiles: ["tests/setup.ts"],
    globalSetup: ["tests/services/setup.ts"],
    reporters: results === undefined ? ["default"] : ["default", ["json", { outputFile: results }]],
    coverage: {
      include: ["src/core/**", "src/streams/**"],
      reporter: ["text-summary", "text", "json-summary"],
      reportsDirectory: ".cache/coverage",
    },
  },
});
