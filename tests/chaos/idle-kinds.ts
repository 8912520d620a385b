/**
 * Who waits at each broker, and how many.
 *
 * @module
 */
import { connect } from "amqplib";
import { Admin } from "@platformatic/kafka";
import { createClient } from "redis";
import { memoryQueue } from "../../src/adapters/memory/index.ts";
import { kafka } from "../../src/adapters/kafka/index.ts";
import { nats } from "../../src/adapters/nats/index.ts";
import { postgresQueue } from "../../src/adapters/postgres/index.ts";
import { rabbitmq } from "../../src/adapters/rabbitmq/index.ts";
import { redisPubSub, redisStreams } from "../../src/adapters/redis/index.ts";
import { type Queue, text } from "../../src/index.ts";
import type { Waiting } from "./idle.ts";

/** Readers of one kind. */
export interface IdleKind {
  readonly title: string;
  /** In `tests/services/registry.ts`; none for what is in this process. */
  readonly service: string | undefined;
  readonly readers: number;
  open(url: string, readers: number): Promise<Waiting>;
}

const nothing = async (): Promise<void> => {};
const sendOne = async (queue: Queue | undefined): Promise<void> => void (await queue?.send([text("one")]));
const fresh = (): string => `idle-${crypto.randomUUID().slice(0, 8)}`;

export const idleKinds: readonly IdleKind[] = [
  {
    title: "readers in memory",
    service: undefined,
    readers: 10_000,
    async open(_, readers) {
      return { queues: [memoryQueue()], readersOfEach: readers, close: nothing };
    },
  },
  {
    title: "readers",
    service: "nats",
    readers: 10_000,
    async open(url, readers) {
      const queue = nats({ url, stream: fresh() });
      await queue.setup({ maxReaders: readers });
      return { queues: [queue], readersOfEach: readers, close: nothing };
    },
  },
  {
    title: "listeners on one channel",
    service: "redis",
    readers: 10_000,
    async open(url, readers) {
      const queue = redisPubSub({ url, channel: fresh() });
      return { queues: [queue], readersOfEach: readers, sendAll: () => sendOne(queue), close: nothing };
    },
  },
  {
    title: "listeners, a channel each",
    service: "redis",
    readers: 10_000,
    async open(url, readers) {
      const [client, publisher] = [createClient({ url, RESP: 2 }), createClient({ url, RESP: 2 })];
      await publisher.connect();
      const prefix = fresh();
      const queues = Array.from({ length: readers }, (_, n) => redisPubSub({ client, channel: `${prefix}-${n}` }));
      return {
        queues,
        readersOfEach: 1,
        known: async () => (await publisher.pubSubChannels(`${prefix}-*`)).length,
        // by one connection: each of the queues would open one of its own to send
        async sendAll() {
          await Promise.all(queues.map(({ name }) => publisher.publish(name, "one")));
        },
        async close() {
          publisher.destroy();
        },
      };
    },
  },
  {
    // each has a connection of its own, on which it waits; groups that nobody reads need none
    title: "readers of a stream with 10,000 groups",
    service: "redis",
    readers: 500,
    async open(url, readers) {
      const stream = fresh();
      const side = createClient({ url, RESP: 2 });
      await side.connect();
      await Promise.all(Array.from({ length: 10_000 }, (_, n) => side.xGroupCreate(stream, `group-${n}`, "$", { MKSTREAM: true })));
      return {
        queues: [redisStreams({ url, stream })],
        readersOfEach: readers,
        sockets: readers + 2, // the queue's own, and this one
        async close() {
          await side.del(stream);
          side.destroy();
        },
      };
    },
  },
  {
    // a connection each
    title: "consumers",
    service: "rabbitmq",
    readers: 1_000,
    async open(url, readers) {
      const name = fresh();
      const queue = rabbitmq({ url, queue: name });
      await queue.setup();
      const connection = await connect(url);
      const channel = await connection.createChannel();
      return { queues: [queue], readersOfEach: readers, known: async () => (await channel.checkQueue(name)).consumerCount, close: () => connection.close() };
    },
  },
  {
    // one connection waits for all; but each looks by itself every five seconds, so that ten thousand would keep a processor busy
    title: "readers of a table",
    service: "postgres",
    readers: 1_000,
    async open(url, readers) {
      const queue = postgresQueue({ connectionString: url, table: fresh().replaceAll("-", "_") });
      await queue.setup();
      return { queues: [queue], readersOfEach: readers, close: nothing };
    },
  },
  {
    // two connections each, one to be a member and one to fetch
    title: "groups, a reader each",
    service: "kafka",
    readers: 50,
    async open(url, readers) {
      const topic = fresh();
      const admin = new Admin({ clientId: "idle", bootstrapBrokers: [url] });
      await admin.createTopics({ topics: [topic], partitions: 1, replicas: 1 });
      await admin.close();
      const queues = Array.from({ length: readers }, (_, n) => kafka({ brokers: url, topic, group: `${topic}-${n}` }));
      return { queues, readersOfEach: 1, sockets: 2 * readers, sendAll: () => sendOne(queues[0]), close: nothing };
    },
  },
];
