/**
 * Runs the suite on another runtime: `node tests/runtimes/run.ts bun tests/core`.
 *
 * @module
 */
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { installed, root } from "../scripts/side-folder.ts";

const vitest = join("node_modules", "vitest", "vitest.mjs");

/** How a program is started on each runtime. */
export interface Runtime {
  readonly name: string;
  readonly command: string;
  /** Arguments before the file. */
  readonly file: readonly string[];
  /** Arguments before the test filters. */
  readonly suite: readonly string[];
}

/** The runtimes, the pinned Node first. */
export function runtimes(): readonly Runtime[] {
  const modules = installed("tests/runtimes");
  const condition = "--conditions=millrace-source";
  const node = (name: string, command: string): Runtime => ({ name, command, file: [condition], suite: [vitest, "run"] });
  return [
    node("node24", process.execPath),
    node("node22", join(modules, "node22", "bin", "node")),
    node("node26", join(modules, "node26", "bin", "node")),
    // forks fail there
    { name: "bun", command: join(modules, ".bin", "bun"), file: [condition], suite: ["--bun", vitest, "run", "--pool=threads"] },
    // threads are flaky there
    { name: "deno", command: join(modules, ".bin", "deno"), file: ["run", "-A", condition], suite: ["run", "-A", vitest, "run", "--pool=forks"] },
  ];
}

if (import.meta.main ?? process.argv[1] === import.meta.filename) {
  const [name, ...filters] = process.argv.slice(2);
  const known = runtimes();
  const runtime = known.find((each) => each.name === name);
  if (runtime === undefined) {
    console.error(`usage: npm run runtimes -- ${known.map((each) => each.name).join("|")} [test files]`);
    process.exitCode = 2;
  } else {
    const { status } = spawnSync(runtime.command, [...runtime.suite, ...filters], { cwd: root, stdio: "inherit" });
    process.exitCode = status ?? 1;
  }
}
