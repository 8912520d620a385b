/**
 * The programs of RabbitMQ: the system's own, else Debian's packages with their Erlang, unpacked once into the project's ignored cache folder.
 *
 * @module
 */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { privateApt } from "./debian.ts";
import { firstFile } from "./host.ts";
import { libraryPath } from "./postgres-tree.ts";

const cache = join(import.meta.dirname, "..", "..", ".cache", "services");

/** Where the programs are. */
export interface RabbitmqTree {
  /** Not those of `/usr/sbin`, which change the user. */
  readonly server: string;
  readonly ctl: string;
  /** Of Erlang: the broker's nodes find each other by it. */
  readonly epmd: string;
  /** What the programs must be told to find each other. */
  readonly env: NodeJS.ProcessEnv;
  /** For the printed line. */
  readonly from: string;
}

/** The system's own if there is one, else the unpacked ones, fetched now if they must be; throws with the reason where there is neither. */
export function rabbitmqTree(): RabbitmqTree {
  const server = firstFile("/usr/lib/rabbitmq/bin/rabbitmq-server");
  const epmd = firstFile("epmd");
  if (server !== undefined && epmd !== undefined) return { server, ctl: join(server, "..", "rabbitmqctl"), epmd, env: {}, from: `rabbitmq ${versionBelow("/")} (${server})` };
  const root = keptTree() ?? makeTree();
  const bin = join(root, "usr", "lib", "rabbitmq", "bin");
  const erlang = join(root, "usr", "lib", "erlang");
  const path = `${join(root, "usr", "bin")}:${process.env.PATH ?? ""}`;
  return {
    server: join(bin, "rabbitmq-server"),
    ctl: join(bin, "rabbitmqctl"),
    epmd: join(erlang, "bin", "epmd"),
    env: { ERL_ROOTDIR: erlang, PATH: path, ...libraryPath(root) },
    from: `rabbitmq ${versionBelow(root)} (Debian's packages)`,
  };
}

function versionBelow(root: string): string {
  const [folder] = readdirSync(join(root, "usr", "lib", "rabbitmq", "lib"));
  return folder?.replace("rabbitmq_server-", "") ?? "of an unknown version";
}

function keptTree(): string | undefined {
  const root = join(cache, "rabbitmq");
  return existsSync(root) ? root : undefined;
}

/** Fetches, mends and puts in place; what was there first stays when two do it at once. */
function makeTree(): string {
  console.log("services: fetching RabbitMQ and its Erlang (once, into .cache/services)");
  mkdirSync(cache, { recursive: true });
  const work = mkdtempSync(join(cache, "making-"));
  try {
    const apt = privateApt(join(work, "apt"));
    const root = join(work, "root");
    apt.unpack(apt.missing("rabbitmq-server"), root);
    const erl = join(root, "usr", "lib", "erlang", "bin", "erl");
    // it looks for itself where the package would have been installed, whatever ERL_ROOTDIR says
    writeFileSync(erl, readFileSync(erl, "utf8").replaceAll("ROOTDIR=/usr/lib/erlang", 'ROOTDIR="$ERL_ROOTDIR"'));
    const kept = join(cache, "rabbitmq");
    if (!existsSync(kept)) renameSync(root, kept);
    return kept;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}
