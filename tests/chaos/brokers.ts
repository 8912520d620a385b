/**
 * The brokers that are tormented: a server of their own each, and a queue on it.
 *
 * @module
 */
import { Admin } from "@platformatic/kafka";
import { kafka } from "../../src/adapters/kafka/index.ts";
import { nats } from "../../src/adapters/nats/index.ts";
import { postgresQueue } from "../../src/adapters/postgres/index.ts";
import { rabbitmq } from "../../src/adapters/rabbitmq/index.ts";
import { redisStreams } from "../../src/adapters/redis/index.ts";
import type { Queue } from "../../src/index.ts";
import { type FaultProxy, faultProxy } from "../services/fault-proxy.ts";
import { freePort, type Host, type Launched } from "../services/host.ts";
import { startKafka } from "../services/kafka.ts";
import { startNats } from "../services/nats.ts";
import { startPostgres } from "../services/postgres.ts";
import { startRabbitmq } from "../services/rabbitmq.ts";
import { startRedis } from "../services/redis.ts";

/** A server that can be killed, and started again on its data and its port. */
export interface Server {
  readonly url: string;
  /** What it is, for the table. */
  readonly from: string;
  readonly process: Launched;
  readonly port: number;
  readonly directory: string;
}

/** One broker. */
export interface Broker {
  readonly name: string;
  /** In `tests/services/registry.ts`. */
  readonly service: string;
  /** What survives a kill of the server, and by which setting. */
  readonly durability: string;
  start(host: Host, again?: Server): Promise<Server>;
  /** Starts another one that tells its clients to come by a proxy, where it tells them its address. */
  startBehind?(host: Host): Promise<{ readonly url: string; readonly proxy: FaultProxy }>;
  /** Makes what a queue needs on the server. */
  setup(url: string, name: string): Promise<void>;
  queue(url: string, name: string): Queue;
  /** For each message that may be out, so many more may be acknowledged and not confirmed, and come again. @default 0 */
  readonly unconfirmed?: number;
}

/** Milliseconds until what a killed worker had is given to another. */
const leaseMs = 3_000;

/** Names of tables have no dashes. */
const postgresQueueAt = (url: string, name: string) => postgresQueue({ connectionString: url, table: name.replaceAll("-", "_"), leaseMs });
const natsQueue = (url: string, name: string) => nats({ url, stream: name, leaseMs });
const rabbitmqQueue = (url: string, name: string) => rabbitmq({ url, queue: name, delayQueues: true });

const redisQueue = (url: string, name: string) => redisStreams({ url, stream: name, leaseMs });
const kafkaQueue = (url: string, name: string) => kafka({ brokers: url, topic: name, group: `${name}-readers`, sessionMs: leaseMs, heartbeatMs: 500, timeoutMs: 5_000 });

/** By the queue's own `setup`. */
function setUp(open: (url: string, name: string) => Queue & { setup(): Promise<void> }): Broker["setup"] {
  return async (url, name) => {
    await using queue = open(url, name);
    await queue.setup();
  };
}

/** All there are. */
export const brokers: readonly Broker[] = [
  {
    name: "Postgres",
    service: "postgres",
    durability: "write-ahead log, fsync off: a crash of the process, not of the machine",
    start: startPostgres,
    setup: setUp(postgresQueueAt),
    queue: postgresQueueAt,
  },
  {
    name: "Redis streams",
    service: "redis",
    durability: "appendfsync always",
    start: startRedis,
    setup: async () => {},
    queue: redisQueue,
  },
  {
    name: "RabbitMQ",
    service: "rabbitmq",
    durability: "quorum queues, confirms",
    start: startRabbitmq,
    setup: setUp(rabbitmqQueue),
    queue: rabbitmqQueue,
  },
  {
    name: "NATS",
    service: "nats",
    durability: "streams in files",
    start: startNats,
    setup: setUp(natsQueue),
    queue: natsQueue,
  },
  {
    name: "Kafka",
    service: "kafka",
    durability: "one node, acks all",
    start: startKafka,
    async startBehind(host) {
      const behind = await freePort();
      const proxy = await faultProxy(behind);
      await startKafka(host, { port: await freePort(), directory: host.directory("kafka"), proxied: { port: behind, through: proxy.port } });
      return { url: `127.0.0.1:${proxy.port}`, proxy };
    },
    async setup(url, name) {
      const admin = new Admin({ clientId: "chaos", bootstrapBrokers: [url] });
      await admin.createTopics({ topics: [name], partitions: 12, replicas: 1 });
      await admin.close();
    },
    queue: kafkaQueue,
    unconfirmed: 1,
  },
];

/** The broker of a service. */
export function brokerOf(service: string): Broker {
  const broker = brokers.find((each) => each.service === service);
  if (broker === undefined) throw new Error(`no broker is named ${service}; there are ${brokers.map((each) => each.service).join(", ")}`);
  return broker;
}
