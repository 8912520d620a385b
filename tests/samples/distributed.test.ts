import { spawn } from "node:child_process";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { input } from "../../samples/distributed/pipeline.ts";
import { addressesOf } from "../adapters/restate/server.ts";
import { service, titled } from "../services.ts";

const answer = await service("restate");
const root = join(import.meta.dirname, "..", "..");
const cents: Record<string, number> = {};
for (const order of input) {
  const [customer = "", price] = order.split(":");
  cents[customer] = (cents[customer] ?? 0) + 100 * Number(price);
}
const sums = `${input.length} results; ${Object.entries(cents).map(([customer, sum]) => `${customer} ${(sum / 100).toFixed(2)}`).join(", ")}`;

/** All that the sample prints. */
function printed(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<string[]> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, ["--conditions=millrace-source", join(root, "samples", "distributed", "main.ts"), ...args], { env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "pipe"] });
    let [output, complaints] = ["", ""];
    child.stdout.setEncoding("utf8").on("data", (chunk: string) => (output += chunk));
    child.stderr.setEncoding("utf8").on("data", (chunk: string) => (complaints += chunk));
    child.on("error", reject).on("close", (status) => (status === 0 ? resolve(output.trim().split("\n")) : reject(new Error(`${status}: ${complaints}`))));
  });
}

// Programs that Node runs; the adapter's own tests run on the other runtimes.
describe.skipIf("Bun" in globalThis || "Deno" in globalThis)("the distributed sample", () => {
  test("adds up in one process", async () => expect(await printed([])).toEqual([sums]));

  test.skipIf(answer.skip !== undefined || process.platform !== "linux")(titled("adds up the same on two workers, though one is killed", answer), async () => {
    const { baseUrl, adminUrl } = addressesOf(answer.url ?? "");
    const lines = await printed(["--workers"], { RESTATE_URL: baseUrl, RESTATE_ADMIN_URL: adminUrl });
    expect(lines).toEqual([...Array.from({ length: 2 }, () => expect.stringMatching(/^worker \d+ at http/)), expect.stringMatching(/^killed worker \d+$/), sums]);
  });
});
