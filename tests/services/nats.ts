/**
 * A NATS of the tests' own, with JetStream: the machine's program, else that of Debian's newest suite, unpacked into the project's ignored
 * cache folder. Older ones, bookworm's 2.9.10 among them, may give out nothing more after they were killed: nats-server#6387, mended in 2.10.25.
 *
 * @module
 */
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from "node:fs";
import { createConnection } from "node:net";
import { join } from "node:path";
import { call, privateApt } from "./debian.ts";
import { firstFile, type Host, type Launched, onFreePort } from "./host.ts";

const cache = join(import.meta.dirname, "..", "..", ".cache", "services");
const within = join("usr", "sbin", "nats-server");

/** A server that answers. */
export interface NatsServer {
  readonly url: string;
  readonly from: string;
  readonly process: Launched;
  readonly port: number;
  readonly directory: string;
}

/** Where the program is. */
interface NatsProgram {
  readonly command: string;
  /** For the printed line. */
  readonly from: string;
}

/** Finds the program, and fetches it where there is none; throws with the reason where there can be none. */
export function natsProgram(): NatsProgram {
  const local = firstFile("nats-server");
  if (local !== undefined) return { command: local, from: `${versionOf(local)} (${local})` };
  const kept = join(cache, "nats-server-trixie");
  const command = join(kept, within);
  if (!existsSync(command)) fetched(kept);
  return { command, from: `${versionOf(command)} (Debian's, unpacked)` };
}

/** Starts a server on a directory and a port of its own, or on those that another has left. */
export async function startNats(host: Host, at?: { readonly port: number; readonly directory: string }): Promise<NatsServer> {
  const { command, from } = natsProgram();
  const directory = at?.directory ?? host.directory("nats");
  const start = async (port: number): Promise<NatsServer> => {
    const process = host.launch("nats", command, ["-a", "127.0.0.1", "-p", String(port), "-js", "-sd", directory]);
    await host.ready(process, () => answers(port));
    return { url: `nats://127.0.0.1:${port}`, from: `${from}, own process`, process, port, directory };
  };
  return at === undefined ? onFreePort(start) : start(at.port);
}

/** Does it greet, with JetStream and what else is asked for? */
export function answers(port: number, also: RegExp = /^/): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection({ host: "127.0.0.1", port });
    let text = "";
    const done = (answer: boolean): void => {
      socket.destroy();
      resolve(answer);
    };
    socket.setTimeout(2_000, () => done(false));
    socket.on("error", () => done(false));
    socket.on("close", () => done(false));
    socket.on("data", (chunk) => {
      text += chunk.toString("latin1");
      if (text.includes("\r\n")) done(/^INFO .*"jetstream":true/.test(text) && also.test(text));
    });
  });
}

/** What was there first stays when two do it at once. */
function fetched(kept: string): void {
  console.log("services: fetching nats-server (once, into .cache/services)");
  mkdirSync(cache, { recursive: true });
  const work = mkdtempSync(join(cache, "making-"));
  try {
    const root = join(work, "root");
    privateApt(join(work, "apt"), "trixie").unpack(["nats-server"], root);
    if (!existsSync(kept)) renameSync(root, kept);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** `nats-server: v2.10.27` */
function versionOf(command: string): string {
  return call(command, ["--version"]).trim().replace(": v", " ");
}
