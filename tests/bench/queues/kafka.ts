/**
 * Kafka: a topic of four partitions, by `@platformatic/kafka` and by millrace on it.
 *
 * @module
 */
import { randomUUID } from "node:crypto";
import { Admin, Consumer, Producer } from "@platformatic/kafka";
import { kafka } from "../../../src/adapters/kafka/index.ts";
import { consume, each, envelope, publish, run, text } from "../../../src/index.ts";
import { messageOf } from "../../../src/kinds/envelope.ts";
import { inFlight, type QueueBench, type QueueBenchOf } from "./queue-bench.ts";

const partitions = 4;
const format = envelope();
/** A record as millrace writes it: with ids, in its headers too, where other programs look for them. */
function record(): { readonly value: Buffer; readonly headers: Map<Buffer, Buffer> } {
  const message = messageOf([text("x".repeat(100))], {});
  const headers = { "content-type": format.mimeType, "message-id": message.id, "correlation-id": message.correlationId };
  return { value: Buffer.from(format.write(message)), headers: new Map(Object.entries(headers).map(([name, value]) => [Buffer.from(name), Buffer.from(value)])) };
}

export const kafkaBench: QueueBenchOf = {
  name: "kafka",
  service: "kafka",
  async open(url: string): Promise<QueueBench> {
    const client = { clientId: "bench", bootstrapBrokers: url.split(",") };
    const admin = new Admin(client);
    const producer = new Producer({ ...client, idempotent: true, acks: -1 });
    let topic = "";
    const queueOn = (): ReturnType<typeof kafka> => kafka({ brokers: url, topic, group: randomUUID() });
    let sending: ReturnType<typeof kafka> | undefined;
    const make = async (): Promise<void> => {
      topic = `bench-${randomUUID()}`;
      await admin.createTopics({ topics: [topic], partitions, replicas: 1 });
      await sending?.close();
      sending = undefined;
    };
    await make();
    return {
      async fill(count) {
        if (count === 0) return; // who sends appends to the log as it is
        await make();
        for (let at = 0; at < count; at += 1_000) {
          const messages = Array.from({ length: Math.min(1_000, count - at) }, (_, n) => ({ topic, partition: n % partitions, ...record() }));
          await producer.send({ messages });
        }
      },
      async receiveByHand(count) {
        const consumer = new Consumer({ ...client, groupId: randomUUID(), autocommit: false });
        const stream = await consumer.consume({ topics: [topic], mode: "committed", fallbackMode: "earliest", highWaterMark: inFlight });
        let received = 0;
        const places = new Map<number, { topic: string; partition: number; offset: bigint; leaderEpoch: number }>();
        const handle = async (): Promise<void> => {};
        for await (const { value, partition, offset, leaderEpoch } of stream) {
          format.read(value);
          await handle();
          places.set(partition, { topic, partition, offset: offset + 1n, leaderEpoch });
          received += 1;
          if (received % inFlight === 0 || received === count) {
            await consumer.commit({ offsets: [...places.values()] });
            places.clear();
          }
          if (received === count) break;
        }
        await consumer.close(true);
        return received;
      },
      // what is settled and not yet committed may be as many again here; by hand nothing is worked on during a commit
      async receive(count) {
        await using queue = queueOn();
        let received = 0;
        const { promise, resolve } = Promise.withResolvers<void>();
        const worker = consume(queue, each((part) => part), async () => void ((received += 1) === count && resolve()), { concurrency: inFlight, maxInFlight: inFlight });
        await promise;
        await worker.stop();
        return received;
      },
      async sendByHand(count) {
        let sent = 0;
        for (let at = 0; at < count; at += inFlight) {
          const messages = Array.from({ length: Math.min(inFlight, count - at) }, () => ({ topic, partition: (at / inFlight) % partitions, ...record() }));
          await producer.send({ messages });
          sent += messages.length;
        }
        return sent;
      },
      async send(count) {
        sending ??= queueOn();
        let sent = 0;
        const parts = Array.from({ length: count }, () => text("x".repeat(100)));
        await run(publish(sending, { concurrency: inFlight }), parts).forEach(() => void (sent += 1));
        return sent;
      },
      async [Symbol.asyncDispose]() {
        await Promise.all([admin.close(), producer.close(), sending?.close()]);
      },
    };
  },
};
