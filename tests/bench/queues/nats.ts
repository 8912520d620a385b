/**
 * NATS JetStream: the client's own loop with acknowledgements that are confirmed, against `consume` and `publish`.
 *
 * @module
 */
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { nats } from "../../../src/adapters/nats/index.ts";
import { consume, envelope, type Message, pipe, publish, run, text } from "../../../src/index.ts";
import { inFlight, type QueueBenchOf } from "./queue-bench.ts";

const stream = "millrace-bench";
const consumer = "millrace";
const body = "x".repeat(100);

export const natsBench: QueueBenchOf = {
  name: "nats",
  service: "nats",
  async open(url) {
    const connection = await connect({ servers: url, noAsyncTraces: true });
    const client = jetstream(connection);
    const manager = await jetstreamManager(connection);
    const format = envelope();
    const queue = nats({ url, stream, consumer });
    await manager.streams.delete(stream).catch(() => {});
    await queue.setup({ maxAckPending: 10 * inFlight, duplicateWindowMs: 1_000 });
    const message = (): Message => ({ id: crypto.randomUUID(), parts: [text(body)], correlationId: crypto.randomUUID(), headers: {}, sentAtMs: Date.now() });
    const sendByHand = async (count: number): Promise<number> => {
      let confirmed = 0;
      let left = count;
      const sender = async (): Promise<void> => {
        while (left > 0) {
          left -= 1;
          const it = message();
          await client.publish(stream, format.write(it), { msgID: it.id, expect: { streamName: stream } });
          confirmed += 1;
        }
      };
      await Promise.all(Array.from({ length: inFlight }, sender));
      return confirmed;
    };
    return {
      async fill(count) {
        await manager.streams.purge(stream);
        await sendByHand(count);
      },
      async receiveByHand(count) {
        const { consumers } = client;
        const messages = await (await consumers.get(stream, consumer)).consume({ max_messages: inFlight });
        let received = 0;
        let open = 0;
        let wake = (): void => {};
        const done = Promise.withResolvers<void>();
        const handle = async (data: Uint8Array, acked: () => Promise<boolean>): Promise<void> => {
          const { parts } = format.read(data);
          await Promise.resolve(parts);
          await acked();
          open -= 1;
          wake();
          if ((received += 1) === count) done.resolve();
        };
        const reading = (async () => {
          for await (const each of messages) {
            void handle(each.data, () => each.ackAck());
            if ((open += 1) >= inFlight) await new Promise<void>((resolve) => (wake = resolve));
          }
        })();
        await done.promise;
        await messages.close();
        await reading;
        return received;
      },
      async receive(count) {
        let seen = 0;
        const done = Promise.withResolvers<void>();
        const sink = async (): Promise<void> => {
          if ((seen += 1) === count) done.resolve();
        };
        const worker = consume(queue, pipe(), sink, { concurrency: inFlight, maxInFlight: inFlight });
        await done.promise;
        const { abandoned } = await worker.stop();
        return seen - abandoned;
      },
      sendByHand,
      async send(count) {
        const parts = function* (): Generator<string> {
          for (let n = 0; n < count; n += 1) yield body;
        };
        let confirmed = 0;
        for await (const _ of run(publish(queue, { concurrency: inFlight }), parts())) confirmed += 1;
        return confirmed;
      },
      async [Symbol.asyncDispose]() {
        await queue.close();
        await manager.streams.delete(stream).catch(() => {});
        await connection.close();
      },
    };
  },
};
