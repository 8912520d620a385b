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
}

/** Starts a server with data of its own; it ends with the host. */
export async function startPostgres(host: Host): Promise<PostgresServer> {
  const found = postgresTree();
  const as = userFor();
  const tree = reachable(host, found, as);
  const env = environment(tree);
  const data = host.directory("postgres");
  if (as.length > 0) call("chown", [userName(), data]);
  const run = [...as, join(tree.bin, "initdb")];
  const [command = "", ...args] = run;
  call(command, [...args, "-D", data, "-A", "trust", "-U", "postgres", "--no-sync", "-E", "UTF8", "--locale=C"], host.base, env);
  return onFreePort(async (port) => {
    const [program, ...before] = [...as, join(tree.bin, "postgres")];
    const settings = ["fsync=off", "jit=off", "wal_level=logical", "max_connections=200", "unix_socket_directories="].flatMap((it) => ["-c", it]);
    // SIGINT: the fast stop; SIGTERM would wait for clients
    const process = host.launch("postgres", program, [...before, "-D", data, "-h", "127.0.0.1", "-p", String(port), ...settings], { env, signal: "SIGINT" });
    const url = `postgres://postgres@127.0.0.1:${port}/postgres`;
    await host.ready(process, () => answers(url));
    return { url, from: `${tree.from}, own process`, tree, process };
  });
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
