/**
 * Three servers of NATS as a cluster, for what only happens where leaders change.
 *
 * @module
 */
import { freePort, type Host, onFreePort } from "./host.ts";
import { answers, natsProgram } from "./nats.ts";

/** Servers that replicate a stream: the fewest of which one may be missing. */
const size = 3;
/** In the greeting of a server that has found the others: one whose port was taken ends only after it has greeted. */
const complete = /"connect_urls":\["[^"]+","[^"]+","[^"]+"\]/;

/** Starts a cluster on directories and ports of its own; gives the addresses of its servers. It has a leader some seconds later. */
export function startNatsCluster(host: Host): Promise<readonly string[]> {
  const { command } = natsProgram();
  return onFreePort(async () => {
    const ports = await freePorts(2 * size);
    const [clients, peers] = [ports.slice(0, size), ports.slice(size)];
    const routes = peers.map((port) => `nats://127.0.0.1:${port}`);
    const starting = clients.map(async (port, i) => {
      const name = `nats-${i + 1}`;
      const among = ["--server_name", name, "--cluster_name", "tests", "--cluster", routes[i] ?? "", "--routes", routes.join(",")];
      const process = host.launch(name, command, ["-a", "127.0.0.1", "-p", String(port), "-js", "-sd", host.directory(name), ...among]);
      await host.ready(process, () => answers(port, complete));
      return `nats://127.0.0.1:${port}`;
    });
    return Promise.all(starting);
  });
}

/** Asked for all at once, so that they differ. */
async function freePorts(count: number): Promise<readonly number[]> {
  const ports = await Promise.all(Array.from({ length: count }, freePort));
  return new Set(ports).size === count ? ports : freePorts(count);
}
