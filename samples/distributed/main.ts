/**
 * One pipeline in three places, with the same result:
 *
 * - `main.ts`: in this process, without an engine;
 * - `main.ts --workers`: on two worker processes of this machine, one of which is killed half way. They share a port, and so need Linux.
 *   Needs a Restate too, such as `npx @restatedev/restate-server@1.7` in another terminal (its licence is BSL 1.1), or at `RESTATE_URL` and
 *   `RESTATE_ADMIN_URL`;
 * - `main.ts --deployed WORKER_URL`: on the workers that the engine reaches there, which must listen; the engine may come later.
 *   `compose.yaml` starts it so.
 *
 * @module
 */
import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { isJson, run } from "millrace";
import type { Durable } from "millrace/adapters/restate";
import { input, orders, type Place } from "./pipeline.ts";

const [mode, workerUrl = "http://127.0.0.1:9080"] = process.argv.slice(2);
const { RESTATE_URL, RESTATE_ADMIN_URL } = process.env;
const place: Place = {
  ...(RESTATE_URL === undefined ? {} : { baseUrl: RESTATE_URL }),
  ...(RESTATE_ADMIN_URL === undefined ? {} : { adminUrl: RESTATE_ADMIN_URL }),
  allowHttp: mode === "--deployed", // within the network of the compose file
};

await using pipeline = orders(place);
if (mode === undefined) await report(run(pipeline.local, input));
else if (mode === "--workers") await onWorkers(pipeline);
else if (mode === "--deployed") {
  await pipeline.deploy(workerUrl);
  await report(pipeline.run(input));
} else {
  console.error("usage: main.ts [--workers | --deployed WORKER_URL]");
  process.exitCode = 2;
}

/** The last sum of each customer. */
async function report(results: ReturnType<Durable["run"]>, each: (count: number) => void = () => {}): Promise<void> {
  const sums = new Map<string, number>();
  let count = 0;
  for await (const part of results) {
    if (!isJson(part)) continue;
    const { customer, cents } = part.value as { customer: string; cents: number };
    if (cents <= (sums.get(customer) ?? 0)) throw new Error(`the sums of ${customer} are out of order`);
    sums.set(customer, cents);
    count += 1;
    each(count);
  }
  console.log(`${count} results; ${[...sums].map(([customer, cents]) => `${customer} ${(cents / 100).toFixed(2)}`).join(", ")}`);
}

/** Two workers share a port; the engine spreads the batches over them, and gives those of a dead one to the other. */
async function onWorkers(pipeline: Durable): Promise<void> {
  const first = await worker("0");
  const workers = [first];
  try {
    workers.push(await worker(new URL(first.url).port));
    await pipeline.deploy(first.url);
    await report(pipeline.run(input), (count) => {
      if (count !== input.length / 2) return;
      console.log(`killed worker ${first.process.pid}`);
      first.process.kill("SIGKILL");
    });
  } finally {
    for (const { process } of workers) process.kill("SIGKILL");
  }
}

async function worker(port: string): Promise<{ readonly process: ChildProcess; readonly url: string }> {
  const child = spawn(process.execPath, [...process.execArgv, join(import.meta.dirname, "worker.ts"), port], { stdio: ["ignore", "pipe", "inherit"] });
  for await (const url of createInterface({ input: child.stdout })) {
    console.log(`worker ${child.pid} at ${url}`);
    return { process: child, url };
  }
  throw new Error("a worker ended before it was ready");
}
