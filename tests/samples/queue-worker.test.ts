import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { pathToFileURL } from "node:url";
import { describe, expect, test } from "vitest";
import { root } from "../scripts/side-folder.ts";

const terminated = pathToFileURL(join(import.meta.dirname, "terminated-at-first-line.ts")).href;

// A program that Node runs, with an option of Node's.
describe.skipIf("Bun" in globalThis || "Deno" in globalThis)("the sample of a queue worker", () => {
  test("ends at a SIGTERM: what it had begun is done, nothing is replayed, and no other worker starts", async () => {
    const args = ["--conditions=millrace-source", `--import=${terminated}`, join(root, "samples", "24-queue-worker.ts")];
    const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
    const [printed, ended] = await Promise.all([text(child.stdout), once(child, "exit")]);
    expect(printed).toBe("stored INVOICE 1\n");
    expect(ended).toEqual([0, null]);
  });
});
