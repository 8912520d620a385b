/**
 * Where servers of the tests live: a directory in the temp folder with their data, logs and process ids, gone when it is closed.
 *
 * A host that was killed leaves its servers; the next one finds them by the ids in such directories and ends them.
 *
 * @module
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { chmodSync, closeSync, existsSync, mkdirSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";

const prefix = "millrace-services-";
/** Milliseconds a server has to stop by itself. */
const stopMs = 8_000;
/** Milliseconds a server has to answer its first request. */
const readyMs = 60_000;

/** A server that was started. */
export interface Launched {
  readonly name: string;
  readonly child: ChildProcess;
  /** The last lines it wrote. */
  log(): string;
  /** Ends it: by its own signal first, by SIGKILL for the whole group after 8 s. */
  stop(signal?: NodeJS.Signals): Promise<void>;
}

/** How a server is started. */
export interface LaunchOptions {
  readonly env?: NodeJS.ProcessEnv;
  /** What asks it to stop. @default "SIGTERM" */
  readonly signal?: NodeJS.Signals;
}

/** Keeps servers and ends them. */
export interface Host {
  /** The directory of this host. */
  readonly base: string;
  /** A new directory in it. */
  directory(name: string): string;
  launch(name: string, command: string, args: readonly string[], options?: LaunchOptions): Launched;
  /** Waits until `probe` holds; throws with the end of the log when the server ends first or 60 s have passed. */
  ready(server: Launched, probe: () => Promise<boolean>): Promise<void>;
  close(): Promise<void>;
}

/** Opens a host, after ending what killed ones left behind. */
export function openHost(): Host {
  sweep();
  const base = mkdtempSync(join(tmpdir(), prefix));
  chmodSync(base, 0o755); // mkdtemp makes 0700, and servers of another user must get through
  writeFileSync(join(base, "runner"), identity(process.pid));
  const servers = new Set<Launched>();
  let count = 0;
  const killAll = (): void => {
    for (const { child } of servers) killGroup(child, "SIGKILL");
  };
  process.once("exit", killAll); // the last resort, when nobody could wait
  return {
    base,
    directory(name) {
      count += 1;
      const path = join(base, `${name}-${count}`);
      mkdirSync(path);
      return path;
    },
    launch(name, command, args, { env = process.env, signal = "SIGTERM" } = {}) {
      count += 1;
      const log = join(base, `${name}-${count}.log`);
      const out = openSync(log, "a");
      // detached: a group of its own, so that Ctrl-C in the terminal does not reach it before it is stopped in order
      const child = spawn(command, args, { stdio: ["ignore", out, out], detached: true, env });
      child.on("error", () => {}); // ready() sees that there is no process
      closeSync(out);
      if (child.pid !== undefined) writeFileSync(join(base, `${name}-${count}.pid`), identity(child.pid));
      const server: Launched = {
        name,
        child,
        log: () => readFileSync(log, "utf8").trimEnd().split("\n").slice(-15).join("\n"),
        async stop(by = signal) {
          servers.delete(server);
          await stopped(child, by);
        },
      };
      servers.add(server);
      return server;
    },
    async ready(server, probe) {
      const until = Date.now() + readyMs;
      while (running(server.child) && Date.now() < until) {
        if (await probe()) return;
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      throw new Error(`${server.name} did not come up:\n${server.log()}`);
    },
    async close() {
      await Promise.all([...servers].map((server) => server.stop()));
      process.off("exit", killAll);
      rmSync(base, { recursive: true, force: true });
    },
  };
}

/** A port that was free a moment ago: who loses the race for it starts once more. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => (typeof address === "object" && address !== null ? resolve(address.port) : reject(new Error("no port"))));
    });
  });
}

/** Runs `start`, and once more when another process took its port. */
export async function onFreePort<T>(start: (port: number) => Promise<T>): Promise<T> {
  try {
    return await start(await freePort());
  } catch (error) {
    if (!/address (already )?in use/i.test(String(error))) throw error;
    return start(await freePort());
  }
}

/** The first of the names that is there: paths as they are, others on the path and among the system's daemons. */
export function firstFile(...names: readonly string[]): string | undefined {
  const folders = [...(process.env.PATH ?? "").split(delimiter), "/usr/sbin", "/usr/local/bin"];
  return names.flatMap((name) => (name.startsWith("/") ? [name] : folders.map((folder) => join(folder, name)))).find((path) => existsSync(path));
}

function running(child: ChildProcess): boolean {
  return child.pid !== undefined && child.exitCode === null && child.signalCode === null;
}

async function stopped(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (!running(child)) return;
  const exited = new Promise((resolve) => child.once("exit", resolve));
  child.kill(signal);
  const hard = setTimeout(() => killGroup(child, "SIGKILL"), stopMs);
  await exited;
  clearTimeout(hard);
}

function killGroup({ pid }: ChildProcess, signal: NodeJS.Signals): void {
  if (pid !== undefined) signalTo(-pid, signal);
}

function signalTo(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // it has ended by itself
  }
}

/** A process by number and start time: the number alone may belong to another by now. */
function identity(pid: number): string {
  return `${pid} ${startOf(pid)}`;
}

function startOf(pid: number): string {
  try {
    // field 22 of proc(5); the name before it may hold spaces and brackets
    const { [19]: ticks = "" } = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").at(-1)?.split(" ") ?? [];
    return ticks;
  } catch {
    return spawnSync("ps", ["-o", "lstart=", "-p", String(pid)], { encoding: "utf8" }).stdout?.trim().replaceAll(" ", "_") ?? "";
  }
}

function isAlive(line: string): boolean {
  const [pid = "", start = ""] = line.trim().split(" ");
  return start !== "" && startOf(Number(pid)) === start;
}

/** Ends the servers of hosts whose process is gone, and removes their directories. */
export function sweep(folder: string = tmpdir()): readonly number[] {
  const ended: number[] = [];
  for (const name of readdirSync(folder).filter((name) => name.startsWith(prefix))) {
    const base = join(folder, name);
    try {
      if (!existsSync(join(base, "runner"))) {
        if (Date.now() - statSync(base).mtimeMs > 60_000) rmSync(base, { recursive: true, force: true });
        continue; // it may be opening just now
      }
      if (isAlive(readFileSync(join(base, "runner"), "utf8"))) continue;
      for (const file of readdirSync(base).filter((file) => file.endsWith(".pid"))) {
        const line = readFileSync(join(base, file), "utf8");
        const pid = Number(line.split(" ")[0]);
        if (!isAlive(line)) continue;
        ended.push(pid);
        signalTo(-pid, "SIGKILL");
        signalTo(pid, "SIGKILL");
      }
      rmSync(base, { recursive: true, force: true });
    } catch {
      // another host is sweeping it, or it is not ours to remove
    }
  }
  return ended;
}
