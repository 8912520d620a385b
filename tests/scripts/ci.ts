/**
 * Everything that must hold before a change lands, after the README's own commands have passed.
 *
 * Each step prints its name and seconds; the last line is the sum over all: `N passed, N failed, N skipped`.
 *
 * @module
 */
import { execFile, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join, relative } from "node:path";
import pLimit from "p-limit";
import { type Runtime, runtimes } from "../runtimes/run.ts";
import { installed, root } from "./side-folder.ts";

interface Count {
  passed: number;
  failed: number;
  skipped: number;
}

const total: Count = { passed: 0, failed: 0, skipped: 0 };
/** What failed, said once more at the end, where it is found in a long log. */
const failures: string[] = [];
const results = join(root, ".cache", "test-results");

type Exclusion = readonly [pattern: string, reason: string];

/** Files that one run of the suite is enough for; each with its reason, printed when it is left out. */
const onceOnly: readonly Exclusion[] = [
  ["tests/package.test.ts", "packs and compiles, which is the same on every runtime"],
  ["tests/layout.test.ts", "reads the sources, which is the same on every runtime"],
  ["tests/readme.test.ts", "starts the blocks as programs of its own runtime; the samples are run on each"],
  ["tests/examples.test.ts", "reads the sources, starts programs of the pinned Node"],
  ["tests/samples/**", "starts programs of the pinned Node"],
  ["tests/samples.test.ts", "starts programs of its own runtime; the samples are a step of their own on the others"],
  ["tests/bench/**", "measures, which is the same on every runtime"],
  ["tests/scripts/**", "tests the project's own tools"],
  ["tests/new-adapter.test.ts", "compiles and tests a copy of the project with the pinned Node"],
  ["tests/live/**", "asks services that cost money, where there is a key"],
  ["tests/conformance.test.ts", "starts the programs of the matrix; `--runtime` has the others"],
  ["tests/adapters/sdk-schema.test.ts", "reads schemas, which are the same on every runtime"],
  ["tests/kit.test.ts", "reads the sources, which is the same on every runtime"],
  ["tests/chaos/**", "starts and kills programs of the pinned Node"],
];

/** Files that one Node is enough for. */
const pinnedNode: readonly Exclusion[] = [["tests/adapters/**", "clients and servers are the same on every Node; the pinned one asks them"]];

const killing = ["kafka-faults", "nats-faults", "postgres-queue-faults", "postgres-queue-server", "rabbitmq-faults", "rabbitmq-server", "redis-faults", "restate-kill", "remember-killed"];

/** Files that need what only Node has, or are enough on it. */
const nodeOnly: readonly Exclusion[] = [
  ["tests/adapters/web.test.ts", "names are resolved by the test itself, and only Node's client connects to what a resolver of one's own says"],
  ["tests/adapters/pgvector.test.ts", "starts and stops servers through Node's child processes; the adapter's own logic has no runtime's code"],
  ...killing.map((name): Exclusion => [`tests/adapters/${name}.test.ts`, "kills servers and breaks networks; run on the pinned Node"]),
];

function exclusions({ name }: Runtime): readonly Exclusion[] {
  return [...onceOnly, ...(name.startsWith("node") ? pinnedNode : nodeOnly)];
}

async function step(name: string, run: () => Count | Promise<Count>): Promise<void> {
  const start = performance.now();
  console.log(`\n== ${name}`);
  let count: Count;
  try {
    count = await run();
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    count = { passed: 0, failed: 1, skipped: 0 };
  }
  total.passed += count.passed;
  total.failed += count.failed;
  total.skipped += count.skipped;
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  if (count.failed > 0) failures.push(`${name}: ${count.failed} not ok`);
  console.log(`-- ${name}: ${count.passed} ok, ${count.failed} not ok, ${count.skipped} left out, ${seconds} s`);
}

/** A command that passes or fails as a whole. */
function check(command: string, args: readonly string[], options: { cwd?: string; env?: NodeJS.ProcessEnv } = {}): Count {
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: "inherit", ...options });
  if (error) console.error(error.message);
  return status === 0 ? { passed: 1, failed: 0, skipped: 0 } : { passed: 0, failed: 1, skipped: 0 };
}

interface Report {
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  readonly numPendingTests: number;
  readonly numTodoTests: number;
  readonly success: boolean;
  readonly testResults: readonly {
    readonly name: string;
    readonly status: string;
    readonly message: string;
    readonly assertionResults: readonly { readonly status: string; readonly fullName: string; readonly failureMessages: readonly string[] }[];
  }[];
}

/** Each failed test of a report with the beginning of what it said; a file that failed as a whole as itself. */
function failedIn(report: Report): string[] {
  return report.testResults.flatMap(({ name, status, message, assertionResults }) => {
    const file = relative(root, name);
    const failed = assertionResults.filter((test) => test.status === "failed");
    if (failed.length === 0) return status === "failed" ? [`${file}: ${message.slice(0, 2_000)}`] : [];
    return failed.map((test) => `${file} > ${test.fullName}\n${test.failureMessages.join("\n").slice(0, 2_000)}`);
  });
}

/** The counts of a suite's report; a suite that ended without one has failed. */
function counted(file: string, ok: boolean): Count {
  if (!existsSync(file)) return { passed: 0, failed: 1, skipped: 0 };
  const report = JSON.parse(readFileSync(file, "utf8")) as Report;
  const failed = report.numFailedTests;
  failures.push(...failedIn(report));
  return {
    passed: report.numPassedTests,
    failed: failed === 0 && !(ok && report.success) ? 1 : failed, // an unhandled error fails the suite, no test
    skipped: report.numPendingTests + report.numTodoTests,
  };
}

function suite(runtime: Runtime): Count {
  const file = join(results, `${runtime.name}.json`);
  rmSync(file, { force: true });
  const left = exclusions(runtime);
  for (const [pattern, reason] of left) console.log(`left out on ${runtime.name}: ${pattern} (${reason})`);
  const env = { PROPERTY_RUNS: "60", ...process.env, TEST_RESULTS: file, TEST_EXCLUDE: left.map(([pattern]) => pattern).join(",") }; // in full on the first runtime
  const { status } = spawnSync(runtime.command, runtime.suite, { cwd: root, stdio: "inherit", env });
  return counted(file, status === 0);
}

/** The numbered samples, as a user would start them; one for each core at a time. */
async function samples(runtime: Runtime): Promise<Count> {
  const count: Count = { passed: 0, failed: 0, skipped: 0 };
  const names = readdirSync(join(root, "samples")).filter((file) => /^\d\d-.*\.ts$/.test(file));
  await pLimit(2).map(names, async (name) => {
    const source = readFileSync(join(root, "samples", name), "utf8");
    const expected = [...source.matchAll(/^\/\/ prints: (.*)$/gm)].map((match) => match[1]).join("\n");
    const { status, stdout, stderr } = await ended(runtime.command, [...runtime.file, join("samples", name)]);
    const ok = status === 0 && stdout.trim() === expected;
    if (!ok) console.error(`${name} on ${runtime.name}: status ${status}\n${stdout}${stderr}`);
    count[ok ? "passed" : "failed"] += 1;
  });
  return count;
}

/** How a program ended, and what it said. */
function ended(command: string, args: readonly string[]): Promise<{ readonly status: number | string; readonly stdout: string; readonly stderr: string }> {
  return new Promise((resolve) => {
    execFile(command, args, { cwd: root }, (error, stdout, stderr) => resolve({ status: error === null ? 0 : (error.code ?? String(error.signal)), stdout, stderr }));
  });
}

/** The packed package in an empty project: every entry loads with no SDK beside it, and a pipeline runs. */
function packed(folder: string, runtime: Runtime): Count {
  const args = runtime.name === "deno" ? ["run", "-A", "smoke.mjs"] : ["smoke.mjs"];
  return check(runtime.command, args, { cwd: folder });
}

function makeConsumer(): string {
  const folder = mkdtempSync(join(tmpdir(), "millrace-consumer-"));
  const pack = spawnSync("npm", ["pack", "--silent", "--pack-destination", folder], { cwd: root, encoding: "utf8" });
  if (pack.status !== 0) throw new Error(`npm pack failed: ${pack.stderr}`);
  const tarball = readdirSync(folder).find((file) => file.endsWith(".tgz"));
  writeFileSync(join(folder, "package.json"), JSON.stringify({ name: "consumer", private: true, type: "module" }));
  const install = spawnSync("npm", ["install", "--no-audit", "--no-fund", "--silent", `./${tarball}`], { cwd: folder, encoding: "utf8" });
  if (install.status !== 0) throw new Error(`npm install of the tarball failed: ${install.stderr}`);
  const adapters = readdirSync(join(root, "src", "adapters"), { withFileTypes: true })
    .filter((entry) => existsSync(join(root, "src", "adapters", entry.name, "index.ts")))
    .map((entry) => `millrace/adapters/${entry.name}`);
  const entries = ["millrace", "millrace/kit", "millrace/testing", ...adapters];
  writeFileSync(
    join(folder, "smoke.mjs"),
    `import { each, pipe, run } from "millrace";
for (const entry of ${JSON.stringify(entries)}) await import(entry);
const shout = each((part) => (part.kind === "text" ? part.text.toUpperCase() : part), { concurrency: 2 });
const text = await run(pipe(shout, async function* (input) { yield* input; }), ["a", "b"]).text();
if (text !== "AB") throw new Error("got " + text);
console.log("ok:", ${entries.length}, "entries");
`,
  );
  return folder;
}

mkdirSync(results, { recursive: true });
const vitest = join("node_modules", "vitest", "vitest.mjs");
const suiteFile = process.env.TEST_RESULTS;
if (suiteFile !== undefined) await step("suite (npm test)", () => counted(suiteFile, process.env.SUITE_STATUS === "0"));
await step("types", () => check(process.execPath, [join("node_modules", "typescript", "bin", "tsc"), "-p", "tsconfig.json"]));
await step("lint", () => check(process.execPath, [join("tests", "scripts", "lint.ts")]));
await step("branch coverage of core and streams", () =>
  check(process.execPath, [vitest, "run", "--coverage", "--reporter=dot", "tests/core", "tests/streams"], { env: { ...process.env, PROPERTY_RUNS: "60" } }),
);
await step("build", () => check(process.execPath, [join("node_modules", "typescript", "bin", "tsc"), "-p", "tsconfig.build.json"]));
const tools = join(installed("tests/scripts"), ".bin");
const path = `${tools}${delimiter}${process.env.PATH ?? ""}`;
await step("publint", () => check("publint", ["--strict", "."], { env: { ...process.env, PATH: path } }));
await step("are the types wrong", () =>
  check("attw", ["--pack", ".", "--profile", "esm-only", "--exclude-entrypoints", "package.json"], { env: { ...process.env, PATH: path } }),
);
const all = runtimes();
for (const runtime of all.slice(1)) await step(`samples on ${runtime.name}`, () => samples(runtime));
for (const runtime of all.slice(1)) await step(`suite on ${runtime.name}`, () => suite(runtime));
const consumer = makeConsumer();
for (const runtime of all) await step(`packed tarball on ${runtime.name}`, () => packed(consumer, runtime));
rmSync(consumer, { recursive: true, force: true });

for (const failure of failures) console.log(`\nFAILED ${failure}`);
console.log(`\n${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`);
process.exitCode = total.failed === 0 ? 0 : 1;
