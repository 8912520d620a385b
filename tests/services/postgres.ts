/**
 * A Postgres of the tests' own.
 *
 * @module
 */
import { cpSync } from "node:fs";
import { join } from "node:path";
import pg from "pg";
import { call } from "./debian.ts";
import { firstFile, type Host, type Launched, onFreePort } from "./host.ts";
import { libraryPath, type PostgresTree, postgresTree } from "./postgres-tree.ts";

/** A server that answers. */
export interface PostgresServer {
  readonly url: string;
  readonly from: string;
  readonly tree: PostgresTree;
  readonly process: Launched;
  readonly port: number;
  /** Of its data. */
  readonly directory: string;
}

/** Tries to start on the data of a server that was killed: its children end a moment later, and hold its memory until then. */
const startTries = 20;

/** Starts a server with data of its own; it ends with the host. `at`: where one was that is gone, with its data and under its address. */
export async function startPostgres(host: Host, at?: { readonly port: number; readonly directory: string }): Promise<PostgresServer> {
  const found = postgresTree();
  const as = userFor();
  const tree = reachable(host, found, as);
  const env = environment(tree);
  const directory = at?.directory ?? host.directory("postgres");
  if (at === undefined) {
    if (as.length > 0) call("chown", [userName(), directory]);
    const [command, ...args] = [...as, join(tree.bin, "initdb")];
    call(command, [...args, "-D", directory, "-A", "trust", "-U", "postgres", "--no-sync", "-E", "UTF8", "--locale=C"], host.base, env);
  }
  const start = async (port: number): Promise<PostgresServer> => {
    const [program, ...before] = [...as, join(tree.bin, "postgres")];
    const settings = ["fsync=off", "jit=off", "wal_level=logical", "max_connections=200", "unix_socket_directories="].flatMap((it) => ["-c", it]);
    // SIGINT: the fast stop; SIGTERM would wait for clients
    const process = host.launch("postgres", program, [...before, "-D", directory, "-h", "127.0.0.1", "-p", String(port), ...settings], { env, signal: "SIGINT" });
    const url = `postgres://postgres@127.0.0.1:${port}/postgres`;
    await host.ready(process, () => answers(url));
    return { url, from: `${tree.from}, own process`, tree, process, port, directory };
  };
  if (at === undefined) return onFreePort(start);
  for (let tries = 1; ; tries += 1) {
    try {
      return await start(at.port);
    } catch (error) {
      if (tries === startTries) throw error;
    }
  }
}

/** Does a query come back? The port alone accepts while the server still recovers. */
export async function answers(url: string): Promise<boolean> {
  return (await ask(url, "select 1")) !== undefined;
}

/** The first value of a query on a connection of its own; `undefined` when there is no server or no row. */
export async function ask(url: string, query: string): Promise<unknown> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 5_000 });
  client.on("error", () => {});
  try {
    await client.connect();
    const { rows } = await client.query<unknown[]>({ text: query, rowMode: "array" });
    return rows[0]?.[0];
  } catch {
    return undefined;
  } finally {
    await client.end().catch(() => {});
  }
}

/** The server refuses to run as root: another user then, Debian's own if it is there. */
function userFor(): readonly string[] {
  if (process.getuid?.() !== 0) return [];
  const setpriv = firstFile("setpriv");
  if (setpriv === undefined) throw new Error("Postgres does not run as root, and there is no setpriv to change the user (package util-linux)");
  const user = userName();
  const group = call("id", ["-gn", user]).trim();
  return [setpriv, "--reuid", user, "--regid", group, "--init-groups"];
}

function userName(): string {
  try {
    call("id", ["-u", "postgres"]);
    return "postgres";
  } catch {
    return "nobody";
  }
}

/** The programs where that user can read them: a project below root's home is closed to others. */
function reachable(host: Host, tree: PostgresTree, as: readonly string[]): PostgresTree {
  const [command, ...args] = as;
  if (command === undefined || tree.root === undefined) return tree;
  try {
    call(command, [...args, "test", "-x", join(tree.bin, "postgres")]);
    return tree;
  } catch {
    const root = host.directory("programs");
    cpSync(tree.root, root, { recursive: true });
    return { ...tree, root, bin: tree.bin.replace(tree.root, root) };
  }
}

/** `PG*` variables of the developer would override our arguments. */
function environment(tree: PostgresTree): NodeJS.ProcessEnv {
  const rest = Object.entries(process.env).filter(([name]) => !name.startsWith("PG"));
  return { ...Object.fromEntries(rest), ...libraryPath(tree.root) };
}
