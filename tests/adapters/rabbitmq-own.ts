/**
 * Queues of RabbitMQ that nobody else has, and the other side's view of them.
 *
 * @module
 */
import { randomUUID } from "node:crypto";
import { connect, type ConfirmChannel } from "amqplib";
import { rabbitmq, type RabbitmqOptions, type RabbitmqQueue } from "../../src/adapters/rabbitmq/index.ts";
import type { Delivery, Queue, QueueOpenOptions } from "../../src/kinds/queue.ts";

/** Makes queues on one broker, and deletes them at its end. */
export interface OwnQueues extends AsyncDisposable {
  /** For what a foreign client does. */
  readonly channel: ConfirmChannel;
  /** A queue that is declared, unless it is not to be; closed at the end. */
  fresh(options?: Partial<RabbitmqOptions>, declare?: boolean): Promise<RabbitmqQueue>;
  /** Puts a body as a foreign client would. */
  put(name: string, body: Uint8Array | string, properties?: object): Promise<void>;
  /** Messages that wait, as the broker counts them. */
  waiting(name: string): Promise<number>;
}

export async function ownQueues(url: string): Promise<OwnQueues> {
  const connection = await connect(url);
  connection.on("error", () => {}); // its calls reject
  const channel = await connection.createConfirmChannel();
  channel.on("error", () => {});
  const made: RabbitmqQueue[] = [];
  return {
    channel,
    async fresh(options = {}, declare = true) {
      const queue = rabbitmq({ url, queue: `t-${randomUUID()}`, ...options });
      made.push(queue);
      if (declare) await queue.setup();
      return queue;
    },
    async put(name, body, properties = {}) {
      channel.sendToQueue(name, Buffer.from(body), properties);
      await channel.waitForConfirms();
    },
    waiting: async (name) => (await channel.checkQueue(name)).messageCount,
    async [Symbol.asyncDispose]() {
      await Promise.all(made.map((queue) => queue.close()));
      for (const { name } of made) {
        await channel.deleteQueue(name);
        for (let bound = 1_000; bound <= 262_144_000; bound *= 4) await channel.deleteQueue(`${name}.delay.${bound}`);
      }
      await connection.close();
    },
  };
}

/** One `open`, pulled by hand. */
export function pulled(queue: Queue, options: Partial<QueueOpenOptions> = {}): { next(): Promise<Delivery>; leave(): Promise<void> } {
  const iterator = queue.open({ signal: new AbortController().signal, maxInFlight: 10, ...options })[Symbol.asyncIterator]();
  return {
    async next() {
      const { done, value } = await iterator.next();
      if (done === true) throw new Error("the reading has ended");
      return value;
    },
    async leave() {
      await iterator.return?.();
    },
  };
}

/** Resolves when the delivery is lost. */
export function lost({ signal }: Delivery): Promise<unknown> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve(signal.reason);
    else signal.addEventListener("abort", () => resolve(signal.reason), { once: true });
  });
}
