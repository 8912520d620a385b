/**
 * Measures millrace against its peers: `npm run bench -- w1 w3 --rounds 15 --json out.json --write --runtime node26`.
 *
 * Prints ratios and asserts results, never times: the exit code says whether millrace gave what it should.
 *
 * @module
 */
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import type { Result } from "./measure.ts";
import type { Gate } from "./report.ts";

const folder = import.meta.dirname;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { rounds: { type: "string", default: "15" }, json: { type: "string" }, runtime: { type: "string" }, write: { type: "boolean", default: false } },
});

if (!existsSync(join(folder, "node_modules"))) {
  console.log("installing the peers (once)");
  const { status } = spawnSync("npm", ["ci", "--no-audit", "--no-fund", "--loglevel=error"], { cwd: folder, stdio: "inherit" });
  if (status !== 0) throw new Error("npm ci failed in tests/bench");
}

// Not by itself: W9 has streams open, with their clocks, and the second process of `bench` has to be waited for.
process.exit(values.runtime === undefined ? await bench() : await elsewhere(values.runtime));

/** The same file on another runtime. */
async function elsewhere(name: string): Promise<number> {
  const { runtimes } = await import("../runtimes/run.ts");
  const runtime = runtimes().find((each) => each.name === name);
  if (runtime === undefined) throw new Error(`no runtime ${name}`);
  const rest = process.argv.slice(2).filter((arg, at, all) => arg !== "--runtime" && all[at - 1] !== "--runtime");
  const flags = name.startsWith("node") ? ["--expose-gc"] : name === "deno" ? ["run", "-A", "--v8-flags=--expose-gc"] : [];
  const { status } = spawnSync(runtime.command, [...flags, import.meta.filename, ...rest], { stdio: "inherit" });
  return status ?? 1;
}

function runtimeName(): string {
  const { bun, deno, node } = process.versions as { readonly bun?: string; readonly deno?: string; readonly node: string };
  return bun !== undefined ? `Bun ${bun}` : deno !== undefined ? `Deno ${deno}` : `Node ${node}`;
}

/** The pinned Node writes RESULTS.md, another runtime and chosen workloads a file of their own: RESULTS-node26.md, RESULTS-w13.md. */
function resultsFile(): string {
  const [name = "", version = ""] = runtimeName().toLowerCase().split(" ");
  const runtime = name === "node" ? `node${version.split(".")[0]}` : name;
  return `${["RESULTS", ...(runtime === "node24" ? [] : [runtime]), ...positionals].join("-")}.md`;
}

function versions(): string {
  const { dependencies } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as { readonly dependencies: Readonly<Record<string, string>> };
  return Object.entries(dependencies).map(([name, version]) => `${name} ${version}`).join(", ");
}

async function bench(): Promise<number> {
  if ((globalThis as { gc?: () => void }).gc === undefined && !("Bun" in globalThis) && !("Deno" in globalThis)) {
    const { status } = spawnSync(process.execPath, ["--expose-gc", import.meta.filename, ...process.argv.slice(2)], { stdio: "inherit" });
    return status ?? 1;
  }
  const rounds = Number(values.rounds);
  const { checkClock, measure, wallNs } = await import("./measure.ts");
  const { gatesOf, gateTable, overheadGate, tableOf, throughputGate } = await import("./report.ts");
  const { w1, w2, w3, w6 } = await import("./maps.ts");
  const { w4, w5 } = await import("./concurrent.ts");
  const { w8, w9 } = await import("./model-stream.ts");
  const wanted = (name: string): boolean => positionals.length === 0 || positionals.includes(name);
  const workloads = [
    ["w1", "W1: ten one-to-one functions, async source", w1],
    ["w2", "W2: ten one-to-one functions, array", w2],
    ["w3", "W3: five times one-to-two and keep half, async source", w3],
    ["w4", "W4: ordered concurrent map, 8 at once, a microtask each", () => w4(8, "microtask")],
    ["w4", "W4: ordered concurrent map, 64 at once, a microtask each", () => w4(64, "microtask")],
    ["w4", "W4: ordered concurrent map, 8 at once, 0 to 2 setImmediate each", () => w4(8, "0 to 2 setImmediate")],
    ["w5", "W5: the same part to four branches", w5],
    ["w6", "W6: ten stages built, the first part taken, left (ns a pipeline)", w6],
    ["w8", "W8: a model's stream, 10,000 deltas in chunks of 20", w8],
    ["w9", "W9: the stream of W8 as a model gives it, within one wrapper each, nothing failing", w9],
  ] as const;
  const out: string[] = [
    "# Benchmark",
    "",
    `${runtimeName()}, ${cpus().length} x ${cpus()[0]?.model ?? "unknown"}, ${rounds} rounds, processor clock steps by ${checkClock()}.`,
    "",
    "Processor time, medians; lower is better. Only ratios within one run mean anything. Made by `npm run bench -- --write`.",
    "",
    `Peers: ${versions()}.`,
    "",
    "What the numbers do not show: rxjs and @most/core do not wait for a slow consumer; wonka's async iterable hangs when a stage throws.",
    "",
  ];
  const results: Record<string, Result> = {};
  const gates: Gate[] = [];
  let failed = 0;
  for (const [name, title, make] of workloads) {
    if (!wanted(name)) continue;
    const result = await measure(make(), rounds);
    results[title] = result;
    failed += result.dropped.filter((each) => each.name.startsWith("millrace")).length;
    if (name === "w1" || name === "w2" || name === "w3") gates.push(...gatesOf(name.toUpperCase() as "W1" | "W2" | "W3", result));
    const table = tableOf(title, result);
    console.log(table);
    out.push(table);
  }
  if (wanted("w10") && runtimeName().startsWith("Node")) {
    const { adapterOverhead, ownLoop, processSource, socketSource } = await import("./adapter-overhead.ts");
    for (const source of [await socketSource(), processSource()]) {
      for (const [name, make] of Object.entries(adapterOverhead)) {
        const title = `W10: ${name} over its client, 2,000 deltas ${source.name}`;
        const result = await measure(make(source), rounds);
        results[title] = result;
        failed += result.dropped.length;
        if (source.isGate) gates.push(overheadGate(`W10 ${name}`, ownLoop, result));
        const table = tableOf(title, result);
        console.log(table);
        out.push(table);
      }
      source.close();
    }
  }
  if (wanted("w11")) {
    const { exactVectors, recallTable, vectorGate } = await import("./vectors.ts");
    for (const [count, dimensions] of [[20_000, 384], [5_000, 1_536]] as const) {
      const title = `W11: the ten nearest of ${count.toLocaleString("en")} vectors of ${dimensions.toLocaleString("en")} dimensions, looking at all (ns a query)`;
      const result = await measure(await exactVectors(count, dimensions), rounds);
      results[title] = result;
      failed += result.dropped.length;
      gates.push(vectorGate(`W11 ${dimensions}`, result));
      const table = tableOf(title, result);
      console.log(table);
      out.push(table);
    }
    const table = await recallTable();
    console.log(table);
    out.push(table);
  }
  if (wanted("w12") && runtimeName().startsWith("Node")) {
    const { ownLoop, queryStream, sqlBench } = await import("./sql.ts");
    const bench = await sqlBench();
    if ("skip" in bench) console.log(`W12: SKIPPED, ${bench.skip}`);
    else {
      for (const [title, variants, peer] of [
        ["W12: 100,000 rows of Postgres read, wall time", bench.reading, queryStream],
        ["W12: 20,000 rows of Postgres stored, wall time", bench.writing, ownLoop],
      ] as const) {
        const result = await measure(variants, rounds, wallNs);
        results[title] = result;
        failed += result.dropped.length;
        gates.push(throughputGate(title.includes("read") ? "W12 rows" : "W12 insert", peer, 0.9, result));
        const table = tableOf(title, result);
        console.log(table);
        out.push(table);
      }
      await bench.close();
    }
  }
  if (wanted("w13") && runtimeName().startsWith("Node")) {
    const { byHand, mostRounds, throughputs } = await import("./queue-throughput.ts");
    for await (const { name, skip, workloads } of throughputs()) {
      if (skip !== undefined) console.log(`W13: ${name}: SKIPPED, ${skip}`);
      for (const { title, gate, variants } of workloads) {
        const result = await measure(variants, Math.min(rounds, mostRounds), wallNs);
        results[title] = result;
        failed += result.dropped.length;
        gates.push(throughputGate(gate, byHand, 0.85, result));
        const table = tableOf(title, result);
        console.log(table);
        out.push(table);
      }
    }
  }
  if (wanted("w7") && runtimeName().startsWith("Node")) {
    const { w7 } = await import("./memory.ts");
    const rows = w7().map((row) => `| ${row.name} | ${row.peakMb.toFixed(0)} | ${row.lag} | ${row.retained.toFixed(2)} |`);
    const table = ["## W7: a million parts, ten maps, a slow consumer", "", "| | peak MB | greatest lag | bytes kept a part |", "| --- | ---: | ---: | ---: |", ...rows, ""].join("\n");
    console.log(table);
    out.push(table);
  }
  if (wanted("weight") && runtimeName().startsWith("Node")) {
    const { bundleBytes, importMs, typeCheck } = await import("./weight.ts");
    const [core, verbs, first, all] = [await bundleBytes("core"), await bundleBytes("verbs"), await bundleBytes("first"), await bundleBytes("everything")];
    const [load, types] = [importMs(), typeCheck()];
    const table = [
      "## Weight",
      "",
      `- The core (parts, runs, codec, errors, with \`each\` and \`pipe\`): ${core.minified} bytes minified, ${core.gzipped} gzipped (bound: 15,360).`,
      `- The core with every stream and text verb: ${verbs.minified} bytes minified, ${verbs.gzipped} gzipped.`,
      `- What a first program imports (run, from, each, pipe, filter, tap, parts): ${first.minified} bytes minified, ${first.gzipped} gzipped.`,
      `- Everything that \`millrace\` exports: ${all.minified} bytes minified, ${all.gzipped} gzipped.`,
      `- Import of the built package: ${load.millrace.toFixed(1)} ms; of nothing: ${load.nothing.toFixed(1)} ms.`,
      `- Types of a pipeline of ten stages: ${types.instantiations} instantiations more than the import alone; the whole check takes ${types.seconds} s.`,
      "",
    ].join("\n");
    console.log(table);
    out.push(table);
  }
  if (gates.length > 0) {
    const table = gateTable(gates);
    console.log(table);
    out.push(table);
  }
  if (values.json !== undefined) writeFileSync(values.json, JSON.stringify({ runtime: runtimeName(), rounds, results, gates }, null, 2));
  if (values.write) writeFileSync(join(folder, resultsFile()), out.join("\n"));
  return failed === 0 ? 0 : 1;
}
