/**
 * A RabbitMQ of the tests' own: one private node, with an epmd and a cookie of its own.
 *
 * @module
 */
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { connect } from "amqplib";
import { call } from "./debian.ts";
import { freePort, type Host, type Launched, onFreePort } from "./host.ts";
import { rabbitmqTree } from "./rabbitmq-tree.ts";

/** A broker that answers, on data and a port of its own. */
export interface RabbitmqServer {
  readonly url: string;
  readonly from: string;
  /** The broker itself, no script around it: `SIGKILL` ends it as a crash does. */
  readonly process: Launched;
  readonly port: number;
  readonly directory: string;
  /** Runs `rabbitmqctl` against it; gives what it printed. */
  ctl(...args: readonly string[]): string;
}

/** Starts a broker, on a new directory and port or on those that another has left. */
export async function startRabbitmq(host: Host, at?: { readonly port: number; readonly directory: string }): Promise<RabbitmqServer> {
  if (at !== undefined) return start(host, at.port, at.directory);
  const directory = host.directory("rabbitmq");
  return onFreePort((port) => start(host, port, directory));
}

async function start(host: Host, port: number, directory: string): Promise<RabbitmqServer> {
  const { server, ctl, epmd, env: found, from } = rabbitmqTree();
  const [epmdPort, distributionPort] = [await freePort(), await freePort()];
  const env: NodeJS.ProcessEnv = {
    // what the developer has set for a broker of theirs would override ours
    ...Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(?:RABBITMQ|ERL)_/.test(name))),
    ...found,
    HOME: directory, // the cookie is written there
    RABBITMQ_NODENAME: `n${port}@localhost`, // names the data too
    RABBITMQ_CONFIG_FILE: join(directory, "rabbitmq.conf"),
    RABBITMQ_CONF_ENV_FILE: "/dev/null", // the system's file would undo these
    RABBITMQ_ENABLED_PLUGINS_FILE: join(directory, "enabled_plugins"),
    RABBITMQ_MNESIA_BASE: join(directory, "mnesia"),
    RABBITMQ_LOG_BASE: join(directory, "log"),
    RABBITMQ_LOGS: "-",
    RABBITMQ_DIST_PORT: String(distributionPort),
    RABBITMQ_ALLOW_INPUT: "true", // the script becomes the broker: a signal then reaches it
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: "-noinput -kernel inet_dist_use_interface {127,0,0,1}",
    ERL_EPMD_ADDRESS: "127.0.0.1", // without: on all interfaces, and shared with every other node
    ERL_EPMD_PORT: String(epmdPort),
  };
  const configuration = [`listeners.tcp.1 = 127.0.0.1:${port}`, "disk_free_limit.absolute = 50MB", "log.console.level = warning"];
  writeFileSync(join(directory, "rabbitmq.conf"), `${configuration.join("\n")}\n`);
  if (!existsSync(join(directory, "enabled_plugins"))) writeFileSync(join(directory, "enabled_plugins"), "[].");
  mkdirSync(join(directory, "log"), { recursive: true });
  // started here, as the one that a node starts for itself outlives it
  const names = host.launch("epmd", epmd, ["-address", "127.0.0.1", "-port", String(epmdPort)], { env });
  const broker = host.launch("rabbitmq", server, [], { env });
  const url = `amqp://guest:guest@127.0.0.1:${port}`;
  await host.ready(broker, () => answers(url));
  return {
    url,
    from: `${from}, own process`,
    process: {
      ...broker,
      async stop(signal) {
        await broker.stop(signal);
        await names.stop();
      },
    },
    port,
    directory,
    ctl: (...args) => call(ctl, args, directory, env),
  };
}

/** Does the broker take a connection and a channel? */
async function answers(url: string): Promise<boolean> {
  try {
    const connection = await connect(url, { timeout: 5_000 });
    connection.on("error", () => {});
    await connection.createChannel();
    await connection.close();
    return true;
  } catch {
    return false;
  }
}
