/**
 * A Redis of the tests' own: the machine's `redis-server` or `valkey-server`, else Debian's, unpacked into the project's ignored cache folder.
 *
 * @module
 */
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { call, privateApt } from "./debian.ts";
import { firstFile, type Host, type Launched, onFreePort } from "./host.ts";
import { libraryPath } from "./postgres-tree.ts";

const cache = join(import.meta.dirname, "..", "..", ".cache", "services");
const kept = join(cache, "redis");

/** A server that answers. */
export interface RedisServer {
  readonly url: string;
  readonly from: string;
  readonly process: Launched;
  readonly port: number;
  readonly directory: string;
}

/** Where the program is. */
interface RedisProgram {
  readonly command: string;
  /** Below it lie the libraries that the machine may not have. `undefined` for a program of the system. */
  readonly root: string | undefined;
  /** For the printed line. */
  readonly from: string;
}

/** Finds the program, or fetches it; throws with the reason where there can be none. */
export function redisProgram(): RedisProgram {
  const command = firstFile("redis-server", "valkey-server");
  if (command !== undefined) return { command, root: undefined, from: versionOf(command, undefined) };
  const unpacked = join(kept, "usr", "bin", "redis-server");
  if (!existsSync(unpacked)) fetchProgram();
  return { command: unpacked, root: kept, from: versionOf(unpacked, kept) };
}

/**
 * Starts a server on a directory and a port of its own, or again where another has been. What it confirmed survives its death, not that
 * of the machine: the log is written before each answer.
 */
export async function startRedis(host: Host, at?: { readonly port: number; readonly directory: string }): Promise<RedisServer> {
  const { command, root, from } = redisProgram();
  const directory = at?.directory ?? host.directory("redis");
  const start = async (port: number): Promise<RedisServer> => {
    const settings = { bind: "127.0.0.1", port, dir: directory, save: "", appendonly: "yes", appendfsync: "always", daemonize: "no" };
    const args = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, String(value)]);
    const process = host.launch("redis", command, args, { env: { ...globalThis.process.env, ...libraryPath(root) } });
    await host.ready(process, async () => (await askRedis(port, "PING")) === "+PONG");
    return { url: `redis://127.0.0.1:${port}`, from: `${from}, own process`, process, port, directory };
  };
  return at === undefined ? onFreePort(start) : start(at.port);
}

/** The first line of the answer to an inline command, on a connection of its own; `undefined` when there is no server. */
export function askRedis(port: number, command: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1", () => socket.write(`${command}\r\n`));
    socket.setTimeout(5_000, () => socket.destroy());
    socket.on("error", () => {}).on("close", () => resolve(undefined));
    socket.once("data", (data) => {
      resolve(data.toString().split("\r\n")[0]);
      socket.destroy();
    });
  });
}

function versionOf(command: string, root: string | undefined): string {
  const said = call(command, ["--version"], undefined, libraryPath(root));
  return `${said.startsWith("Valkey") ? "valkey" : "redis"} ${/v=([\w.]+)/.exec(said)?.[1] ?? "unknown"} (${command.split("/").at(-1)})`;
}

/** What was there first stays when two do it at once. */
function fetchProgram(): void {
  console.log("services: fetching Redis (once, into .cache/services)");
  mkdirSync(cache, { recursive: true });
  const work = mkdtempSync(join(cache, "making-"));
  try {
    const apt = privateApt(join(work, "apt"));
    const into = join(work, "root");
    apt.unpack(apt.missing("redis-server").filter((name) => /^(redis|lib|lua)/.test(name)), into);
    if (!existsSync(kept)) renameSync(into, kept);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}
