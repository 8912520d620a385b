/**
 * Changes the sources one small thing at a time and sees whether the tests notice: `npm run mutate -- --sample 200 src/core`,
 * or, of one file, `npm run mutate -- src/core/gate.ts --tests tests/core/gate.test.ts`.
 *
 * Each mutant is run in a copy of the project, against the tests of the same area, until the first that fails. A mutant that no
 * test notices has survived; one that hangs counts as noticed. The score is noticed / all.
 *
 * @module
 */
import { spawn } from "node:child_process";
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { root } from "./side-folder.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    /** Mutants to try at most, spread evenly; all of them take hours. */
    sample: { type: "string", default: "150" },
    seed: { type: "string", default: "1" },
    workers: { type: "string", default: "2" },
    /** Tests to run instead of the area's, with commas. */
    tests: { type: "string" },
  },
});
const folders = positionals.length > 0 ? positionals : ["src/core", "src/streams"];
/** The tests of an area; those of the kernel and of the verbs are tests of each other. */
const testFolders = values.tests?.split(",") ?? (folders.every((folder) => /^src\/(?:core|streams)/.test(folder)) ? ["tests/core", "tests/streams"] : folders.map((folder) => folder.replace(/^src/, "tests")));
/** Minutes long, and about sizes: what they would notice, others do sooner. */
const left = ["tests/streams/long-streams.test.ts"];
/** Before the tests have been seen to pass; then a mutant gets three times as long as they took. */
const firstTimeoutMs = 300_000;
/** Characters of what a run printed that are shown when it fails where it must not. */
const keptOutput = 8_000;

interface Mutant {
  readonly file: string;
  readonly at: number;
  readonly from: string;
  readonly to: string;
}

/** What is replaced by what: one place at a time. */
const operators: readonly (readonly [pattern: RegExp, to: (match: string) => string])[] = [
  [/ === /g, () => " !== "],
  [/ !== /g, () => " === "],
  [/ < /g, () => " <= "],
  [/ <= /g, () => " < "],
  [/ > (?!\{)/g, () => " >= "],
  [/ >= /g, () => " > "],
  [/ && /g, () => " || "],
  [/ \|\| /g, () => " && "],
  [/ \?\? /g, () => " && "],
  [/ \+ (?=[\w(])/g, () => " - "],
  [/ - (?=[\w(])/g, () => " + "],
  [/ \+= 1/g, () => " -= 1"],
  [/ -= 1/g, () => " += 1"],
  [/\btrue\b/g, () => "false"],
  [/\bfalse\b/g, () => "true"],
  [/(?<=if \()!/g, () => ""],
  [/\bawait (?=[\w(])/g, () => "void "],
  [/^\s+(?:this|[a-z]\w*)\.[\w.]+\([^;\n]*\);$/gm, (match) => match.replace(/\S.*/, ";")], // a call for its effect
  [/^\s+this\.\w+ = [^;\n]+;$/gm, (match) => match.replace(/\S.*/, ";")], // an assignment
  [/\breturn (?!undefined;|void )(?=[^;\n]+;)/g, () => "return void "],
];

/** Behind a function that gives nothing, `return void` is the same program. */
function changesNothing(source: string, { at, to }: Pick<Mutant, "at" | "to">): boolean {
  if (to !== "return void ") return false;
  const headers = [...source.slice(0, at).matchAll(/\)(?:: ([^={}]+?))?(?: =>)? \{$/gm)].filter((match) => match[1] !== undefined);
  return headers.at(-1)?.[1] === "void";
}

function mutantsOf(file: string): Mutant[] {
  const source = readFileSync(join(root, file), "utf8");
  // comments, imports, types and messages are not behaviour
  const hidden = source
    .replace(/\/\*[\s\S]*?\*\//g, blank)
    .replace(/\/\/.*$/gm, blank)
    .replace(/^import [\s\S]*?;$/gm, blank)
    .replace(/^export (?:interface|type) [\s\S]*?^(?:\}|.*;)$/gm, blank)
    .replace(/`[^`]*`/g, blank);
  return operators
    .flatMap(([pattern, to]) => [...hidden.matchAll(pattern)].map((match) => ({ file, at: match.index, from: match[0], to: to(match[0]) })))
    .filter((mutant) => !changesNothing(hidden, mutant));
}

function blank(text: string): string {
  return text.replace(/[^\n]/g, " ");
}

const sources = folders.flatMap((folder) => folder.endsWith(".ts") ? [folder] : readdirSync(join(root, folder), { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".ts")).map((name) => join(folder, name)));
const all = sources.flatMap(mutantsOf);
let state = Number(values.seed) >>> 0;
const random = (): number => {
  state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
  return state / 2 ** 32;
};
const chosen = all
  .map((mutant) => ({ mutant, order: random() }))
  .toSorted((a, b) => a.order - b.order)
  .slice(0, Number(values.sample))
  .map(({ mutant }) => mutant);
console.log(`${chosen.length} of ${all.length} mutants of ${sources.length} files, seed ${values.seed}`);

const count = chosen.length;
const tried: Mutant[] = [];
const outcomes = { noticed: 0, hung: [] as Mutant[], survived: [] as Mutant[] };
await Promise.all(Array.from({ length: Number(values.workers) }, work));
const caught = outcomes.noticed + outcomes.hung.length;
const score = (100 * caught) / count;
for (const outcome of ["hung", "survived"] as const) {
  for (const { file, at, from, to } of outcomes[outcome]) {
    const line = readFileSync(join(root, file), "utf8").slice(0, at).split("\n").length;
    console.log(`${outcome}: ${file}:${line} ${JSON.stringify(from.trim())} -> ${JSON.stringify(to.trim())}`);
  }
}
console.log(`\nmutation score ${score.toFixed(1)} %: ${outcomes.noticed} noticed, ${outcomes.hung.length} hung, ${outcomes.survived.length} survived`);
process.exitCode = score >= 85 ? 0 : 1;

/** Tries mutants in a copy of the project, so that workers do not meet. */
async function work(): Promise<void> {
  const copy = mkdtempSync(join(tmpdir(), "millrace-mutants-"));
  const filter = (path: string): boolean => !path.includes("node_modules");
  for (const name of ["package.json", "tsconfig.json", "vitest.config.ts", "src", "tests"]) cpSync(join(root, name), join(copy, name), { recursive: true, filter });
  symlinkSync(join(root, "node_modules"), join(copy, "node_modules"));
  try {
    const startMs = performance.now();
    const first = await tests(copy, firstTimeoutMs);
    if (first.outcome !== "passed") throw new Error(`the tests fail without any mutant (${first.outcome} after ${Math.round((performance.now() - startMs) / 1_000)} s): there is nothing to measure\n${first.output}`);
    const timeoutMs = 3 * (performance.now() - startMs);
    for (let mutant = chosen.pop(); mutant !== undefined; mutant = chosen.pop()) {
      const original = readFileSync(join(root, mutant.file), "utf8");
      writeFileSync(join(copy, mutant.file), original.slice(0, mutant.at) + mutant.to + original.slice(mutant.at + mutant.from.length));
      const { outcome } = await tests(copy, timeoutMs);
      if (outcome === "noticed") outcomes.noticed += 1;
      else outcomes[outcome === "passed" ? "survived" : "hung"].push(mutant);
      tried.push(mutant);
      if (tried.length % 25 === 0) console.log(`${tried.length} tried, ${outcomes.survived.length} survived`);
      writeFileSync(join(copy, mutant.file), original);
    }
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
}

interface TestRun {
  readonly outcome: "passed" | "noticed" | "hung";
  /** The end of what the tests printed. */
  readonly output: string;
}

function tests(copy: string, timeoutMs: number): Promise<TestRun> {
  return new Promise((resolve) => {
    const args = [join("node_modules", "vitest", "vitest.mjs"), "run", "--bail=1", "--reporter=dot", "--no-file-parallelism", ...testFolders];
    const child = spawn(process.execPath, args, { cwd: copy, stdio: ["ignore", "pipe", "pipe"], detached: true, env: { ...process.env, PROPERTY_RUNS: "60", SERVICES: "none", TEST_EXCLUDE: left.join(",") } });
    let output = "";
    const keep = (chunk: Buffer): void => {
      output = (output + chunk.toString()).slice(-keptOutput);
    };
    child.stdout.on("data", keep);
    child.stderr.on("data", keep);
    const timer = setTimeout(() => {
      if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
    }, timeoutMs);
    child.on("exit", (code, signal) => {
      clearTimeout(timer);
      resolve({ outcome: signal === "SIGKILL" ? "hung" : code === 0 ? "passed" : "noticed", output });
    });
  });
}
