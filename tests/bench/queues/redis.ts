/**
 * Redis streams by hand, on the package `redis`, and by millrace.
 *
 * By hand as its users do it: a connection for reading, `XREADGROUP` of as many as may be in flight, an `XACK` for each message.
 *
 * @module
 */
import { createClient, RESP_TYPES } from "redis";
import { redisStreams } from "../../../src/adapters/redis/index.ts";
import { consume, envelope, pipe, publish, run, text } from "../../../src/index.ts";
import { messageOf } from "../../../src/kinds/envelope.ts";
import { inFlight, type QueueBench, type QueueBenchOf } from "./queue-bench.ts";

/** With its envelope a message has a few hundred bytes. */
const payload = "x".repeat(100);
const group = "bench";
/** What the client gives each call, and some more. */
const clientTimeoutMs = 5_500;

export const redisBench: QueueBenchOf = { name: "redis streams", service: "redis", open };

async function open(url: string): Promise<QueueBench> {
  const stream = `bench-${crypto.randomUUID()}`;
  const client = createClient({ url });
  client.on("error", () => {});
  await client.connect();
  const format = envelope();
  const body = (): Buffer => Buffer.from(format.write(messageOf([text(payload)], {})));
  const sending = redisStreams({ url, stream, group }); // connected once, as the other one is
  let timersUntilMs = 0;
  const add = async (count: number): Promise<number> => {
    let confirmed = 0;
    let left = count;
    await Promise.all(Array.from({ length: inFlight }, async () => {
      while (left > 0) {
        left -= 1;
        await client.xAdd(stream, "*", { body: body() });
        confirmed += 1;
      }
    }));
    timersUntilMs = performance.now() + clientTimeoutMs;
    return confirmed;
  };
  return {
    async fill(count) {
      await client.del([stream, `{${stream}}:${group}:later`, `{${stream}}:${group}:floor`]);
      await client.xGroupCreate(stream, group, "0", { MKSTREAM: true });
      // what is sent leaves a timer of the client behind for each call, which would end, and be collected, in the time of who is measured next
      const waitMs = timersUntilMs - performance.now();
      if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs));
      const same = body().toString("utf8");
      await client.eval("for _ = 1, ARGV[1] do redis.call('XADD', KEYS[1], '*', 'body', ARGV[2]) end", { keys: [stream], arguments: [String(count), same] });
    },
    async receiveByHand(count) {
      const reader = client.duplicate();
      reader.on("error", () => {});
      await reader.connect();
      const bytes = reader.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer });
      let received = 0;
      while (received < count) {
        const streams = await bytes.xReadGroup(group, "by-hand", { key: stream, id: ">" }, { COUNT: inFlight, BLOCK: 1_000 });
        const entries = messagesIn(streams);
        await Promise.all(entries.map(async ({ id, message }) => {
          format.read(message);
          await Promise.resolve();
          await client.xAck(stream, group, id);
          received += 1;
        }));
      }
      reader.destroy();
      timersUntilMs = performance.now() + clientTimeoutMs;
      return received;
    },
    async receive(count) {
      const queue = redisStreams({ url, stream, group });
      let received = 0;
      const all = Promise.withResolvers<void>();
      const worker = consume(queue, pipe(), async () => {}, {
        concurrency: inFlight,
        maxInFlight: inFlight,
        onEvent: ({ kind }) => {
          if (kind === "acked" && (received += 1) === count) all.resolve();
        },
      });
      await all.promise;
      await worker.stop();
      await queue.close();
      return received;
    },
    sendByHand: add,
    async send(count) {
      let confirmed = 0;
      const parts = Array.from({ length: count }, () => text(payload));
      for await (const _ of run(publish(sending, { concurrency: inFlight }), parts)) confirmed += 1;
      timersUntilMs = performance.now() + clientTimeoutMs;
      return confirmed;
    },
    async [Symbol.asyncDispose]() {
      await sending.close();
      await client.del([stream, `{${stream}}:${group}:later`, `{${stream}}:${group}:floor`]);
      client.destroy();
    },
  };
}

interface ByHand {
  readonly id: string;
  readonly message: Uint8Array;
}

/** The answer of one stream; ids and names are bytes too. */
function messagesIn(answer: unknown): readonly ByHand[] {
  if (answer === null) return [];
  const entries = answer instanceof Map || Array.isArray(answer) ? [...answer.values()] : Object.values(answer ?? {});
  const found: ByHand[] = [];
  for (const entry of entries.flatMap((it: unknown) => (typeof it === "object" && it !== null && "messages" in it ? it.messages : it))) {
    if (typeof entry !== "object" || entry === null || !("id" in entry) || !("message" in entry)) continue;
    const { body } = Object(entry.message) as { readonly body?: unknown }; // as this client gives it
    if (body instanceof Uint8Array) found.push({ id: String(entry.id), message: body });
  }
  return found;
}
