/**
 * A Chroma of the tests' own: the server in the package `chromadb`, which wants a newer libc than Debian 12 has.
 *
 * @module
 */
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { call, privateApt } from "./debian.ts";
import { type Host, type Launched, onFreePort } from "./host.ts";

const root = join(import.meta.dirname, "..", "..");
const cache = join(root, ".cache", "services");
const libraries = join("usr", "lib", "x86_64-linux-gnu");
const loader = "ld-linux-x86-64.so.2";

/** A server that answers, on data and a port of its own. */
export interface ChromaServer {
  readonly url: string;
  readonly from: string;
  readonly process: Launched;
}

/** How the server is started, its arguments aside. */
interface ChromaProgram {
  readonly command: string;
  readonly args: readonly string[];
  /** For the printed line. */
  readonly from: string;
}

/** Finds the server and fetches the libc where it needs one; throws with the reason where there can be none. */
export function chromaProgram(): ChromaProgram {
  const require = createRequire(import.meta.url);
  const platform = `${process.platform}-${process.arch}${process.platform === "linux" ? "-gnu" : process.platform === "win32" ? "-msvc" : ""}`;
  let binding: string;
  let version: string;
  try {
    const within = createRequire(require.resolve("chromadb"));
    binding = within.resolve(`chromadb-js-bindings-${platform}`);
    version = String(within(`chromadb-js-bindings-${platform}/package.json`).version);
  } catch {
    throw new Error(`the package chromadb has no server for ${platform}`);
  }
  // under Bun and Deno too: it is a program of its own, not what is tested there
  const node = join(dirname(require.resolve("node/package.json")), "bin", "node");
  const run = ["-e", "require(process.argv[1]).cli(['chroma', 'run', ...process.argv.slice(2)])", binding];
  const from = `chromadb's own server, binding ${version}`;
  if (spawns(node, binding, [])) return { command: node, args: run, from };
  if (platform !== "linux-x64-gnu") throw new Error("the server of chromadb needs glibc 2.38");
  const folder = join(newerLibc(), libraries);
  const through = ["--library-path", folder, node];
  if (!spawns(join(folder, loader), binding, through)) throw new Error("the server of chromadb does not load, not with the newer libc either");
  return { command: join(folder, loader), args: [...through, ...run], from: `${from}, with trixie's libc` };
}

/** Starts a server on a directory, new or one that another has left, and on a port if it must be a certain one. */
export async function startChroma(host: Host, data: string = host.directory("chroma"), at?: number): Promise<ChromaServer> {
  const { command, args, from } = chromaProgram();
  const start = async (port: number): Promise<ChromaServer> => {
    // SIGKILL: through the loader it hears no SIGTERM
    const process = host.launch("chroma", command, [...args, "--path", data, "--host", "127.0.0.1", "--port", String(port)], { signal: "SIGKILL" });
    const url = `http://127.0.0.1:${port}`;
    await host.ready(process, () => answers(url));
    return { url, from: `${from}, own process`, process };
  };
  return at === undefined ? onFreePort(start) : start(at);
}

/** Does the database behind the port answer? */
async function answers(url: string): Promise<boolean> {
  try {
    return (await fetch(`${url}/api/v2/tenants/default_tenant/databases/default_database/collections_count`)).ok;
  } catch {
    return false;
  }
}

function spawns(command: string, binding: string, before: readonly string[]): boolean {
  try {
    call(command, [...before, "-e", "require(process.argv[1])", binding]);
    return true;
  } catch {
    return false;
  }
}

/** The newest suite's libc with what the server needs beside it, fetched once. */
function newerLibc(): string {
  const kept = join(cache, "libc-trixie");
  if (existsSync(kept)) return kept;
  console.log("services: fetching a newer libc for Chroma (once, into .cache/services)");
  mkdirSync(cache, { recursive: true });
  const work = mkdtempSync(join(cache, "making-"));
  try {
    const into = join(work, "root");
    privateApt(join(work, "apt"), "trixie").unpack(["libc6", "libstdc++6", "libgcc-s1", "libatomic1"], into);
    if (!existsSync(kept)) renameSync(into, kept);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  return kept;
}
