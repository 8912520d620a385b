/**
 * A Restate of the tests' own: the server as its package brings it, in a side folder that is installed when it is first asked for.
 *
 * @module
 */
import { createRequire } from "node:module";
import { createServer } from "node:net";
import { join } from "node:path";
import { installed } from "../scripts/side-folder.ts";
import { freePort, type Host, type Launched } from "./host.ts";

/** A server that answers, on data and ports of its own. */
export interface RestateServer {
  /** Where runs are sent: the ingress. */
  readonly url: string;
  /** Where workers are made known: the admin API. */
  readonly adminUrl: string;
  readonly from: string;
  readonly process: Launched;
  readonly port: number;
  readonly directory: string;
}

/** Where a server is started again. */
export interface RestatePlace {
  /** The first of three in a row: ingress, admin, node. */
  readonly port: number;
  readonly directory: string;
}

/** Finds the server's binary; throws with the reason where there can be none. */
export function restateProgram(): { readonly command: string; readonly from: string } {
  const platform = `${process.platform}-${process.arch}`;
  let command: string;
  let version: string;
  try {
    const require = createRequire(join(installed("tests/services/restate"), "@restatedev", "restate-server", "package.json"));
    command = require.resolve(`@restatedev/restate-server-${platform}/bin/restate-server`);
    version = String(require(`@restatedev/restate-server-${platform}/package.json`).version);
  } catch (error) {
    throw new Error(`the package @restatedev/restate-server has no server for ${platform}: ${error instanceof Error ? (error.message.split("\n")[0] ?? "") : String(error)}`);
  }
  return { command, from: `restate-server ${version}` };
}

/** Starts a server: on new ports and data, or where another one was. */
export async function startRestate(host: Host, at?: RestatePlace): Promise<RestateServer> {
  if (at !== undefined) return start(host, at);
  const directory = host.directory("restate");
  try {
    return await start(host, { port: await threePorts(), directory });
  } catch (error) {
    if (!/address (already )?in use|RT0004/i.test(String(error))) throw error;
    return start(host, { port: await threePorts(), directory: host.directory("restate") });
  }
}

async function start(host: Host, { port, directory }: RestatePlace): Promise<RestateServer> {
  const { command, from } = restateProgram();
  const [ingress, admin, node] = [port, port + 1, port + 2];
  const args = ["--base-dir", directory, "--no-logo", "--listen-mode", "tcp", "--bind-ip", "127.0.0.1", "--bind-port", String(node)];
  const settings = { RESTATE_INGRESS__BIND_PORT: String(ingress), RESTATE_ADMIN__BIND_PORT: String(admin), DO_NOT_TRACK: "1", RUST_LOG: "warn" };
  const process = host.launch("restate", command, args, { env: { ...globalThis.process.env, ...settings } });
  const [url, adminUrl] = [`http://127.0.0.1:${ingress}`, `http://127.0.0.1:${admin}`];
  await host.ready(process, async () => (await answers(`${url}/restate/health`)) && answers(`${adminUrl}/health`));
  return { url, adminUrl, from: `${from}, own process`, process, port, directory };
}

/** The first of three free ports in a row. */
async function threePorts(): Promise<number> {
  for (;;) {
    const port = await freePort();
    if (port + 2 < 65_536 && (await isFree(port + 1)) && (await isFree(port + 2))) return port;
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
  });
}

async function answers(url: string): Promise<boolean> {
  try {
    return (await fetch(url)).ok;
  } catch {
    return false;
  }
}
