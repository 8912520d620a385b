/**
 * Every wire fault against every adapter of a model, and against the official client beside it: `npm run conformance`.
 *
 * `--runtime bun|deno`: there; `--ours`: without the official clients; `--write`: into MATRIX.md, our side on all runtimes;
 * `--json`: the cells alone. Ends with 1 when one of ours is not right.
 *
 * @module
 */
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { runtimes } from "../runtimes/run.ts";
import { root } from "../scripts/side-folder.ts";
import { abortMsOf, type Cell, cellsOf } from "./cells.ts";
import { providers, versionOf } from "./clients.ts";
import { matrixOf, type Run } from "./matrix.ts";

const { values: options } = parseArgs({ options: { runtime: { type: "string" }, ours: { type: "boolean" }, write: { type: "boolean" }, json: { type: "boolean" } } });

/** Starts this program on another runtime. */
function elsewhere(name: string, args: readonly string[], stdout: "inherit" | "pipe"): { readonly status: number | null; readonly stdout: string } {
  const runtime = runtimes().find((each) => each.name === name);
  if (runtime === undefined) throw new Error(`--runtime: there is no ${name}`);
  return spawnSync(runtime.command, [...runtime.file, import.meta.filename, ...args], { cwd: root, stdio: ["ignore", stdout, "inherit"], encoding: "utf8" });
}

/** The runtime's name with its version. */
function runtimeName(): string {
  const { bun, deno, node } = process.versions;
  return bun !== undefined ? `Bun ${bun}` : deno !== undefined ? `Deno ${deno}` : `Node ${node}`;
}

async function runHere(): Promise<Run> {
  const cells: Cell[] = [];
  const abortMs: Record<string, number> = {};
  for (const provider of providers) {
    cells.push(...(await cellsOf(provider, "ours")));
    abortMs[provider.adapter] = await abortMsOf(provider);
  }
  return { runtime: runtimeName(), cells, abortMs };
}

async function main(): Promise<number> {
  if (options.runtime !== undefined) return elsewhere(options.runtime, [...(options.ours === true ? ["--ours"] : []), ...(options.json === true ? ["--json"] : [])], "inherit").status ?? 1;
  process.on("unhandledRejection", () => {}); // official clients leave some; ours are held to having none by their tests
  const here = await runHere();
  if (options.json === true) {
    process.stdout.write(JSON.stringify(here));
    return 0;
  }
  const versions = new Map<string, string>();
  const raw: Cell[] = [];
  for (const provider of options.ours === true ? [] : providers) {
    const version = versionOf(provider.client);
    if (version === undefined) {
      console.log(`${provider.client} is not installed: the official client of ${provider.voice.name} is left out; to have it: npm install --no-save ${provider.client}`);
      continue;
    }
    versions.set(provider.client, version);
    console.log(`${provider.client} ${version}, ${provider.voice.name} …`);
    raw.push(...(await cellsOf(provider, "raw")));
  }
  const runs = [here, ...(options.write === true ? ["bun", "deno"].map((name) => JSON.parse(elsewhere(name, ["--json"], "pipe").stdout) as Run) : [])];
  const matrix = matrixOf(providers, { ours: runs, raw, versions });
  console.log(matrix);
  for (const { runtime, abortMs } of runs) {
    console.log(`${runtime}, from abort to close in ms: ${Object.entries(abortMs).map(([adapter, ms]) => `${adapter} ${ms.toFixed(1)}`).join(", ")}`);
  }
  if (options.write === true) writeFileSync(join(import.meta.dirname, "MATRIX.md"), matrix);
  return runs.flatMap(({ cells }) => cells).every(({ verdict }) => verdict === "right") ? 0 : 1;
}

process.exit(await main()); // what an official client left open does not hold it
