/**
 * RabbitMQ: by hand on amqplib, with a prefetch and a confirm channel, and by millrace. Both on a quorum queue.
 *
 * @module
 */
import { connect, type ConsumeMessage } from "amqplib";
import { rabbitmq } from "../../../src/adapters/rabbitmq/index.ts";
import { consume, envelope, pipe, publish, run, text } from "../../../src/index.ts";
import { inFlight, type QueueBenchOf } from "./queue-bench.ts";

const name = "millrace-bench";
const format = envelope();
const payload = "x".repeat(100);
const body = (id: string): Buffer => Buffer.from(format.write({ id, parts: [text(payload)], correlationId: id, headers: {}, sentAtMs: Date.now() }));

export const rabbitmqBench: QueueBenchOf = {
  name: "rabbitmq",
  service: "rabbitmq",
  async open(url) {
    const queue = rabbitmq({ url, queue: name });
    await queue.setup();
    const sending = await connect(url, { noDelay: true });
    const channel = await sending.createConfirmChannel();
    const receiving = await connect(url, { noDelay: true });

    async function sendByHand(count: number): Promise<number> {
      let [confirmed, begun] = [0, 0];
      const sendOne = (): Promise<void> =>
        new Promise((resolve, reject) => {
          const id = crypto.randomUUID();
          const options = { persistent: true, mandatory: true, messageId: id, correlationId: id, contentType: format.mimeType, timestamp: Math.floor(Date.now() / 1_000) };
          channel.sendToQueue(name, body(id), options, (error: unknown) => (error === null ? resolve() : reject(error)));
        });
      const lane = async (): Promise<void> => {
        while (begun < count) {
          begun += 1;
          await sendOne();
          confirmed += 1;
        }
      };
      await Promise.all(Array.from({ length: inFlight }, lane));
      return confirmed;
    }

    return {
      async fill(count) {
        await channel.purgeQueue(name);
        await sendByHand(count);
      },
      async receiveByHand(count) {
        const reader = await receiving.createChannel();
        await reader.prefetch(inFlight);
        let received = 0;
        const done = Promise.withResolvers<void>();
        const handle = async (message: ConsumeMessage): Promise<void> => {
          const { parts } = format.read(message.content);
          await handler(parts);
          reader.ack(message);
          received += 1;
          if (received === count) done.resolve();
        };
        const { consumerTag } = await reader.consume(name, (message) => void (message !== null && handle(message).catch(done.reject)));
        await done.promise;
        await reader.cancel(consumerTag); // or the broker may forget the last acknowledgements
        await reader.close();
        return received;
      },
      async receive(count) {
        let received = 0;
        const worker = consume(queue, pipe(), handler, {
          concurrency: inFlight,
          maxInFlight: inFlight,
          onEvent: ({ kind }) => void (kind === "acked" && (received += 1) === count && worker.stop()),
        });
        await worker.finished;
        return received;
      },
      sendByHand,
      async send(count) {
        let sent = 0;
        const parts = Array.from({ length: count }, () => text(payload));
        for await (const _ of run(publish(queue, { concurrency: inFlight }), parts)) sent += 1;
        return sent;
      },
      async [Symbol.asyncDispose]() {
        await channel.deleteQueue(name);
        await Promise.all([queue.close(), sending.close(), receiving.close()]);
      },
    };
  },
};

async function handler(_: unknown): Promise<void> {}
