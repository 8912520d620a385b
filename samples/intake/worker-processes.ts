/**
 * Workers of this machine, each a process of its own.
 *
 * @module
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";

/** Processes; leaving the scope ends them. */
export interface WorkerProcesses extends AsyncDisposable {
  readonly pids: readonly number[];
  /** Those that ended before they were told to, and how. */
  readonly lost: readonly string[];
  /** Aborts when there is none left. */
  readonly signal: AbortSignal;
}

/** A worker that was told to end, and has not after so many milliseconds, is killed: its file is another's. */
const endMs = 5_000;

/** Starts so many; with none there are others, elsewhere. A worker ends with this process, however that ends. */
export function startWorkers(target: string, count: number): WorkerProcesses {
  const lost: string[] = [];
  const gone = new AbortController();
  let ending = false;
  const start = (): ChildProcess => {
    const program = join(import.meta.dirname, "worker.ts");
    // the sources of this checkout; not `process.execArgv`, as Deno does not tell its own
    const child = spawn(process.execPath, ["--conditions=millrace-source", program, target, "--until-stdin-ends"], { stdio: ["pipe", "ignore", "inherit"] });
    child.stdin?.on("error", () => {}); // it is closed when the worker ends first
    let over = false;
    const end = (how: string): void => {
      if (ending || over) return;
      over = true;
      lost.push(`${child.pid ?? "?"} (${how})`);
      if (lost.length === count) gone.abort(new Error(`all workers have ended: ${lost.join(", ")}. What they had not done is done by the next run.`));
    };
    child.once("error", (error) => end(error.message));
    child.once("exit", (code, signal) => end(signal ?? `exit code ${code}`));
    return child;
  };
  const children = Array.from({ length: count }, start);
  return {
    pids: children.flatMap(({ pid }) => pid ?? []),
    lost,
    signal: gone.signal,
    async [Symbol.asyncDispose]() {
      ending = true;
      await Promise.all(children.map(ended));
    },
  };
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const timer = setTimeout(() => child.kill("SIGKILL"), endMs);
  child.stdin?.end();
  await once(child, "exit");
  clearTimeout(timer);
}
