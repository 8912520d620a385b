/**
 * Three servers of NATS as a cluster, for what only happens where leaders change.
 *
 * @module
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { freePort, type Host, type Launched, onFreePort } from "./host.ts";
import { answers, natsProgram } from "./nats.ts";

/** Servers that replicate a stream: the fewest of which one may be missing. */
const size = 3;
/** In the greeting of a server that has found the others: one whose port was taken ends only after it has greeted. */
const complete = /"connect_urls":\["[^"]+","[^"]+","[^"]+"\]/;
/** Of servers that start at once one may never learn what another has, and finds it unsuitable for ever: about one start in twenty. */
const starts = 3;
/** Milliseconds to a first replicated stream; two seconds are usual. */
const replicatesMs = 15_000;

interface Server {
  readonly url: string;
  readonly process: Launched;
}

/** Starts a cluster on directories and ports of its own, which holds replicated streams; gives the addresses of its servers. */
export async function startNatsCluster(host: Host): Promise<readonly string[]> {
  for (let left = starts; left > 0; left -= 1) {
    const servers = await onFreePort(() => started(host));
    const urls = servers.map(({ url }) => url);
    if (await replicates(urls)) return urls;
    await Promise.all(servers.map(({ process }) => process.stop("SIGKILL")));
  }
  throw new Error(`no cluster of NATS in ${starts} starts`);
}

async function started(host: Host): Promise<readonly Server[]> {
  const { command } = natsProgram();
  const ports = await freePorts(2 * size);
  const [clients, peers] = [ports.slice(0, size), ports.slice(size)];
  const routes = JSON.stringify(peers.map((port) => `nats://127.0.0.1:${port}`));
  const starting = clients.map(async (port, i) => {
    const name = `nats-${i + 1}`;
    const directory = host.directory(name);
    const settings = join(directory, "server.conf");
    // one route to each other: with several, as is the default, a server may never hear of the first leader
    const cluster = `cluster { name: tests, listen: "127.0.0.1:${peers[i]}", pool_size: -1, routes: ${routes} }`;
    writeFileSync(settings, `server_name: ${name}\nlisten: "127.0.0.1:${port}"\njetstream { store_dir: "${directory}" }\n${cluster}\n`);
    const process = host.launch(name, command, ["-c", settings]);
    await host.ready(process, () => answers(port, complete));
    return { url: `nats://127.0.0.1:${port}`, process };
  });
  return Promise.all(starting);
}

/** Has it, in time, a leader that finds enough servers for a stream? */
async function replicates(urls: readonly string[]): Promise<boolean> {
  const client = await connect({ servers: [...urls] });
  try {
    const { streams } = await jetstreamManager(client, { checkAPI: false, timeout: 1_000 });
    const probe = { name: "probe", subjects: ["probe"], num_replicas: size };
    for (const untilMs = performance.now() + replicatesMs; performance.now() < untilMs; ) {
      if (await streams.add(probe).then(() => true, () => false)) return await streams.delete("probe");
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    return false;
  } finally {
    await client.close();
  }
}

/** Asked for all at once, so that they differ. */
async function freePorts(count: number): Promise<readonly number[]> {
  const ports = await Promise.all(Array.from({ length: count }, freePort));
  return new Set(ports).size === count ? ports : freePorts(count);
}
