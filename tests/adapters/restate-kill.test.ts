import { type ChildProcess, spawn } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Durable } from "../../src/adapters/restate/index.ts";
import { isJson, isText } from "../../src/index.ts";
import { service, titled } from "../services.ts";
import { freePort, type Host, openHost } from "../services/host.ts";
import { type RestateServer, startRestate } from "../services/restate.ts";
import { batchSize, pipelineOf, type Told } from "./restate/pipelines.ts";

// Only asked whether there can be one: these tests kill their own.
const answer = await service("restate");
const count = 200;
const inputs = Array.from({ length: count }, (_, index) => `${"abcde"[index % 5]}:${index}`);

let host: Host;
let server: RestateServer;
const children = new Set<ChildProcess>();
const opened: AsyncDisposable[] = [];

beforeAll(async () => {
  if (answer.skip !== undefined) return;
  host = openHost();
  server = await startRestate(host);
});
afterAll(async () => {
  for (const it of opened.splice(0)) await it[Symbol.asyncDispose]();
  for (const child of children) await kill(child);
  await host?.close();
});

async function kill(child: ChildProcess): Promise<void> {
  if (!children.delete(child)) return;
  const exited = new Promise((resolve) => child.once("exit", resolve));
  child.kill("SIGKILL");
  await exited;
}

/** Starts a program of the tests' own, on the runtime that runs them, and waits for its first line. */
async function started(program: string, ...args: readonly string[]): Promise<{ readonly child: ChildProcess; readonly line: string; readonly lines: AsyncIterableIterator<string> }> {
  const before = "Deno" in globalThis ? ["run", "-A", "--conditions=millrace-source"] : "Bun" in globalThis ? [] : ["--conditions=millrace-source"];
  const child = spawn(process.execPath, [...before, join(import.meta.dirname, "restate", program), ...args], { stdio: ["ignore", "pipe", "inherit"] });
  children.add(child);
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const { value } = await lines.next();
  return { child, line: String(value), lines };
}

/** A pipeline with a ledger of its own. */
function told(kind: Told["kind"], ms: number): Told {
  const ledger = join(host.base, `ledger-${crypto.randomUUID()}`);
  writeFileSync(ledger, "");
  return { kind, name: `t_${crypto.randomUUID().replaceAll("-", "")}`, baseUrl: server.url, adminUrl: server.adminUrl, ledger, ms };
}

interface Noted {
  /** `2-slow 7`: each as often as it was begun. */
  readonly begun: readonly string[];
  readonly workers: ReadonlySet<number>;
  /** How many steps were begun again. */
  readonly repeats: number;
}

function noted({ ledger }: Told): Noted {
  const lines = readFileSync(ledger, "utf8").trim().split("\n").filter((line) => line !== "").map((line) => line.split(" "));
  const begun = lines.map(([step, seq]) => `${step} ${seq}`);
  return { begun, workers: new Set(lines.map(([, , pid]) => Number(pid))), repeats: begun.length - new Set(begun).size };
}

/** Reads the run, and does something once when so many results have come. */
async function read(durable: Durable, id: string, at: number, then: () => Promise<void>): Promise<unknown[]> {
  const results: unknown[] = [];
  let doing: Promise<void> | undefined;
  for await (const part of durable.run(inputs, { id })) {
    results.push(isText(part) ? part.text : isJson(part) ? part.value : part.kind);
    if (results.length >= at) doing ??= then();
  }
  await doing;
  return results;
}

const uppers = inputs.map((input) => input.toUpperCase());

/** What is right for the keyed pipeline: of each account all texts in order, counted. */
function expectCounted(results: readonly unknown[]): void {
  expect(results.length).toBe(count);
  for (const account of "abcde") {
    const own = results.filter((it) => typeof it === "object" && it !== null && "text" in it && String(it.text).startsWith(account));
    expect(own).toEqual(inputs.filter((it) => it.startsWith(account)).map((text, index) => ({ text, count: index + 1 })));
  }
}

describe.skipIf(answer.skip !== undefined)(titled("a durable run is complete and in order", answer), () => {
  test("when one of two workers on a port is killed in mid-step: the steps it was in are done again, and no other", async () => {
    const it = told("plain", 300);
    const durable = pipelineOf(it, { ahead: 8 });
    opened.push(durable);
    const port = String(await freePort());
    const first = await started("worker.ts", port, JSON.stringify(it));
    const second = await started("worker.ts", port, JSON.stringify(it));
    await durable.deploy(first.line);
    const results = await read(durable, "killed-worker", 50, async () => {
      const begun = (): number => readFileSync(it.ledger, "utf8").match(new RegExp(`^2-slow \\d+ ${first.child.pid}$`, "gm"))?.length ?? 0;
      const before = begun();
      while (begun() === before) await new Promise((resolve) => setImmediate(resolve)); // a step of 300 ms has just begun there
      await kill(first.child);
    });
    expect(results).toEqual(uppers);
    const { begun, workers, repeats } = noted(it);
    console.log(`restate worker killed: lost 0, ${repeats} of ${begun.length - repeats} steps done again`);
    expect(new Set(begun).size).toBe((2 * count) / batchSize);
    expect(workers).toEqual(new Set([first.child.pid, second.child.pid]));
    expect(repeats).toBeGreaterThan(0); // else it was not in a step, and this shows nothing
    expect(repeats).toBeLessThanOrEqual(8); // one step of each batch that was out
    await kill(second.child);
  });

  test("with keys, when the only worker is killed and another takes its place: values are as if nothing had been", async () => {
    const it = told("keyed", 10);
    const durable = pipelineOf(it);
    opened.push(durable);
    const port = String(await freePort());
    const first = await started("worker.ts", port, JSON.stringify(it));
    await durable.deploy(first.line);
    const results = await read(durable, "killed-keyed", 50, async () => {
      await kill(first.child);
      await started("worker.ts", port, JSON.stringify(it));
    });
    expectCounted(results);
    const { begun, repeats } = noted(it);
    console.log(`restate keyed worker killed: lost 0, ${repeats} of ${begun.length - repeats} steps done again`);
    expect(repeats).toBeLessThanOrEqual(16);
  });

  test("when the server is killed and started again on its data: what was in a step is done again, and no other", async () => {
    const it = told("keyed", 10);
    const durable = pipelineOf(it);
    opened.push(durable);
    const worker = await started("worker.ts", "0", JSON.stringify(it));
    await durable.deploy(worker.line);
    const results = await read(durable, "killed-server", 50, async () => {
      await server.process.stop("SIGKILL");
      server = await startRestate(host, server);
    });
    expectCounted(results);
    const { begun, repeats } = noted(it);
    console.log(`restate server killed: lost 0, ${repeats} of ${begun.length - repeats} steps done again`);
    expect(repeats).toBeLessThanOrEqual(16);
    await kill(worker.child);
  });

  test("when its reader is killed: under the same id another takes it up, and nothing that was done is done again", async () => {
    const it = told("plain", 5);
    const durable = pipelineOf(it);
    opened.push(durable);
    const worker = await started("worker.ts", "0", JSON.stringify(it));
    await durable.deploy(worker.line);
    const reader = await started("reader.ts", "taken-up", JSON.stringify(inputs), JSON.stringify(it));
    for (let lines = 1; lines < 50; lines += 1) await reader.lines.next();
    await kill(reader.child);
    expect(await read(durable, "taken-up", count, async () => {})).toEqual(uppers);
    const { begun, repeats } = noted(it);
    expect([new Set(begun).size, repeats]).toEqual([(2 * count) / batchSize, 0]);
    await kill(worker.child);
  });
});

