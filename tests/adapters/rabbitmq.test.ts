import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it, test } from "vitest";
import { Pace } from "../../src/adapters/rabbitmq/pace.ts";
import type { AmqpConnection } from "../../src/adapters/rabbitmq/index.ts";
import { foreign, json, publish, run, text } from "../../src/index.ts";
import type { Delivery, Queue } from "../../src/kinds/queue.ts";
import { fakeClock } from "../../src/testing/clock.ts";
import { queueContract, type QueueSubject } from "../../src/testing/contracts/queue.ts";
import { service, titled } from "../services.ts";
import { type OwnQueues, ownQueues, pulled } from "./rabbitmq-own.ts";

describe("how soon a lost connection is tried again", () => {
  test("less than five times a second, and at least every five seconds", () => {
    const pace = new Pace(fakeClock());
    const delays = Array.from({ length: 200 }, () => pace.failed());
    expect(Math.min(...delays)).toBeGreaterThanOrEqual(200);
    expect(Math.max(...delays)).toBeLessThanOrEqual(5_000);
    expect(Math.min(...delays.slice(10))).toBeGreaterThanOrEqual(2_500);
  });

  test("soon again after one that held, not after one that was lost at once", async () => {
    const clock = fakeClock();
    const pace = new Pace(clock);
    for (let failures = 0; failures < 10; failures += 1) pace.failed();
    pace.opened();
    await clock.advance(4_000);
    expect(pace.failed()).toBeGreaterThanOrEqual(2_500);
    pace.opened();
    await clock.advance(5_000);
    expect(pace.failed()).toBeLessThanOrEqual(400);
  });
});

const server = await service("rabbitmq");
describe.skipIf(server.skip !== undefined)(titled("rabbitmq", server), () => {
  let own: OwnQueues;
  beforeAll(async () => {
    if (server.url !== undefined) own = await ownQueues(server.url);
  });
  afterAll(() => own?.[Symbol.asyncDispose]());

  const keys = "its readers compete for messages, whatever their key";
  const noDelays = "it was made without delayQueues";
  const declares = { guarantee: "at-least-once", redelivery: "nack", durable: true } as const;
  const put: QueueSubject["put"] = ({ name }, body) => own.put(name, body);
  queueContract({ describe, it }, {
    name: "rabbitmq, a quorum queue with delays",
    open: () => own.fresh({ delayQueues: true }),
    declares: { ...declares, lacks: { keys } },
    put,
  });
  queueContract({ describe, it }, {
    name: "rabbitmq, a classic queue",
    open: () => own.fresh({ type: "classic" }),
    declares: { ...declares, lacks: { keys, delay: noDelays, nackDelay: noDelays, attempts: "classic queues count no deliveries" } },
    put,
  });

  test("what is given back uncounted is a copy with the same id, parts and properties, and nothing is left of the original", async () => {
    const orders = foreign({ mimeType: "application/json", read: (body) => json(JSON.parse(new TextDecoder().decode(body))) });
    const queue = await own.fresh({ format: orders });
    const headers = { tenant: "a", "x-death": [{ count: 9 }], nested: { list: [1, "x"] } };
    await own.put(queue.name, '{"order":7}', { messageId: "m-1", correlationId: "c-1", contentType: "application/json", timestamp: 1_700_000_000, expiration: "60000", headers });
    const reader = pulled(queue);
    const told = { id: `${queue.name}/m-1`, attempt: 1, messageId: "m-1", correlationId: "c-1", sentAtMs: 1_700_000_000_000, headers: { tenant: "a", nested: { list: [1, "x"] } } };
    for (let times = 0; times < 3; times += 1) {
      const delivery = await reader.next();
      expect(delivery).toMatchObject({ ...told, parts: [{ value: { order: 7 } }] });
      expect(delivery.headers).toEqual(told.headers);
      await delivery.nack({ counted: false });
    }
    await (await reader.next()).ack();
    await reader.leave();
    expect(await own.waiting(queue.name)).toBe(0);
  });

  test("what is given back uncounted goes to its own queue alone, wherever else its sender had sent it", async () => {
    const [queue, other, hidden] = [await own.fresh(), await own.fresh(), await own.fresh()];
    await own.put(queue.name, "x", { CC: [other.name], BCC: [hidden.name], headers: { cc: "kept" } });
    const reader = pulled(queue);
    await (await reader.next()).nack({ counted: false });
    const copy = await reader.next();
    expect([await own.waiting(other.name), await own.waiting(hidden.name)]).toEqual([1, 1]);
    await copy.ack();
  });

  test("what a foreign format cannot carry goes as properties and headers that any client reads", async () => {
    const plain = foreign({ mimeType: "text/plain", read: (body) => new TextDecoder().decode(body), write: () => "hello" });
    const queue = await own.fresh({ format: plain });
    const traceparent = `00-${"ab".repeat(16)}-${"cd".repeat(8)}-01`;
    await queue.send([text("hello")], { id: "m-1", correlationId: "c-1", traceparent, headers: { tenant: "a", deadLetter: { v: 1 } } });
    const message = await own.channel.get(queue.name, { noAck: false });
    if (message === false) throw new Error("no message");
    const { properties } = message;
    expect([message.content.toString(), properties.messageId, properties.correlationId, properties.contentType, properties.deliveryMode]).toEqual(["hello", "m-1", "c-1", "text/plain", 2]);
    expect(properties.headers).toMatchObject({ tenant: "a", deadLetter: { v: 1 }, traceparent });
    own.channel.nack(message);
    expect(await pulled(queue).next()).toMatchObject({ messageId: "m-1", correlationId: "c-1", traceparent, headers: { tenant: "a", deadLetter: { v: 1 } }, parts: [{ text: "hello" }] });
    await expect(queue.send([], { id: "é".repeat(200) })).rejects.toMatchObject({ code: "invalid_input" });
    await expect(queue.send([], { headers: { long: "x".repeat(70_000) } })).rejects.toMatchObject({ code: "too_large" });
  });

  test("counts and deaths that a sender wrote are not believed", async () => {
    const queue = await own.fresh();
    const headers = { "x-delivery-count": 99, "x-death": [{ count: 99, reason: "rejected" }], "x-millrace-attempts": -5 };
    await own.put(queue.name, "x", { headers });
    const reader = pulled(queue);
    const first = await reader.next();
    expect([first.attempt, first.headers]).toEqual([1, {}]);
    await first.nack();
    const second = await reader.next();
    expect(second.attempt).toBe(2);
    await second.nack({ counted: false });
    expect((await reader.next()).attempt).toBe(2);
  });

  test("what a broker gives up after deliveryLimit goes to the dead-letter exchange", async () => {
    const [exchange, { name: dead }] = [`x-${crypto.randomUUID()}`, await own.fresh()];
    await own.channel.assertExchange(exchange, "fanout", { durable: false, autoDelete: true });
    await own.channel.bindQueue(dead, exchange, "");
    const queue = await own.fresh({ deadLetterExchange: exchange, deliveryLimit: 2 });
    await queue.send([text("bad")]);
    const reader = pulled(queue);
    for (const attempt of [1, 2, 3]) {
      const delivery = await reader.next();
      expect(delivery.attempt).toBe(attempt);
      await delivery.nack();
    }
    await expect.poll(() => own.waiting(dead), { timeout: 10_000 }).toBe(1);
  });

  test("connections come from connect where there is one, one to send and one for each reader, and all of them are closed", async () => {
    const { connect } = await import("amqplib");
    const made: AmqpConnection[] = [];
    let closed = 0;
    const queue = await own.fresh({
      url: undefined,
      async connect() {
        const connection = await connect(server.url ?? "");
        connection.on("close", () => (closed += 1));
        made.push(connection);
        return connection;
      },
    } as object);
    await queue.send([text("a")]);
    await (await pulled(queue).next()).ack();
    await queue.close();
    expect([made.length, closed]).toEqual([2, 2]);
    expect(await own.waiting(queue.name)).toBe(0); // what was acknowledged before the close has arrived
  });

  test("two messages of one name are two, of which each is known by a place of its own", async () => {
    const queue = await own.fresh();
    const sent = [await queue.send([text("a")], { id: "m-1" }), await queue.send([text("b")], { id: "m-1" }), await queue.send([text("c")])];
    const reader = pulled(queue);
    const came = [await reader.next(), await reader.next(), await reader.next()];
    expect(came.map(({ id, messageId }) => ({ id, messageId }))).toEqual(sent);
    expect(new Set(sent.map(({ id }) => id)).size).toBe(3);
  });

  describe("acknowledgements", () => {
    /** A queue with so many messages, whose reader's frames are kept. */
    async function filled(count: number): Promise<{ queue: Queue; settled: string[] }> {
      const { connect } = await import("amqplib");
      const settled: string[] = [];
      const queue = await own.fresh({
        url: undefined,
        async connect() {
          const connection = await connect(server.url ?? "");
          const createChannel = connection.createChannel.bind(connection);
          connection.createChannel = async () => {
            const channel = await createChannel();
            const ack = channel.ack.bind(channel);
            channel.ack = (message, allUpTo) => {
              settled.push(`${allUpTo === true ? "to " : ""}${message.fields.deliveryTag}`);
              ack(message, allUpTo);
            };
            return channel;
          };
          return connection;
        },
      } as object);
      for (let index = 0; index < count; index += 1) await queue.send([text(`${index}`)]);
      return { queue, settled };
    }
    const all = async (reader: ReturnType<typeof pulled>, count: number): Promise<Delivery[]> => {
      const deliveries: Delivery[] = [];
      while (deliveries.length < count) deliveries.push(await reader.next());
      return deliveries;
    };
    const moment = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

    test("of one moment are one frame, as far as nothing older is out", async () => {
      const { queue, settled } = await filled(6);
      const reader = pulled(queue);
      const [first, second, third, fourth, fifth, sixth] = await all(reader, 6);
      for (const delivery of [third, first, second, fifth]) await delivery?.ack();
      await moment();
      expect(settled).toEqual(["5", "to 3"]);
      await sixth?.ack();
      await moment();
      await fourth?.nack();
      const again = await reader.next();
      expect([again.id, settled]).toEqual([fourth?.id, ["5", "to 3", "6"]]);
    });

    test("of thousands, each a frame of its own, all have arrived when the reader has left, or was drained", async () => {
      const count = 3_000;
      const queue = await own.fresh();
      await run(publish(queue, { concurrency: 100 }), Array.from({ length: count }, (_, index) => text(`${index}`))).collect();
      for (let left = count; left > 0; left -= 500) {
        const drain = new AbortController();
        const reader = pulled(queue, { maxInFlight: left, drain: drain.signal });
        const [oldest, ...others] = await all(reader, left);
        const isDrained = left % 1_000 === 0;
        if (isDrained) {
          drain.abort();
          for (const delivery of others.slice(499)) await delivery.nack();
        }
        for (const delivery of others.slice(0, 499)) await delivery.ack();
        await moment();
        if (isDrained) await expect(reader.next()).rejects.toThrow("has ended");
        await oldest?.ack();
        await reader.leave();
        await expect.poll(() => own.waiting(queue.name)).toBe(left - 500);
      }
    });

    test("never take along what is out: exactly that comes again, whatever was settled when, also in the moment in which the reader leaves", async () => {
      await fc.assert(
        fc.asyncProperty(fc.array(fc.constantFrom("ack", "nack", "keep", "later"), { minLength: 1, maxLength: 12 }), fc.boolean(), fc.infiniteStream(fc.boolean()), async (fates, leaves, pauses) => {
          const { queue } = await filled(fates.length);
          const reader = pulled(queue, { maxInFlight: 20 });
          const deliveries = await all(reader, fates.length);
          const left = new Set(deliveries.map(({ id }) => id));
          const settle = async (fate: string): Promise<void> => {
            for (const [index, delivery] of deliveries.entries()) {
              if (fates[index] !== fate) continue;
              if (pauses.next().value === true) await moment();
              if (fate === "nack") await delivery.nack();
              else await delivery.ack();
              if (fate !== "nack") left.delete(delivery.id);
            }
          };
          await settle("ack");
          await settle("nack");
          await settle("later");
          if (leaves) await reader.leave();
          else await queue.close();
          const after = pulled(await own.fresh({ queue: queue.name }, false), { maxInFlight: 20 });
          const came = await all(after, left.size);
          expect(new Set(came.map(({ id }) => id))).toEqual(left);
          expect(await own.waiting(queue.name)).toBe(0);
          await after.leave();
        }),
        { numRuns: 20 },
      );
    });
  });
});
