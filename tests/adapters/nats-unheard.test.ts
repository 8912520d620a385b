/**
 * A server of a cluster at which for a moment nobody hears what is said, as while a leader is chosen anew: against a client that answers what it
 * is told to.
 *
 * @module
 */
import { describe, expect, onTestFinished, test } from "vitest";
import { nats, type NatsClient, type NatsMessage, type NatsQueue } from "../../src/adapters/nats/index.ts";
import { envelope, text } from "../../src/index.ts";
import type { Delivery } from "../../src/kinds/queue.ts";
import { type FakeClock, fakeClock } from "../../src/testing/clock.ts";
import { reading } from "../../src/testing/contracts/queue-reading.ts";

const leaseMs = 30_000;
const nobody: NonNullable<NatsMessage["headers"]> = { code: 503, description: "", get: () => "" };
const missing = { error: { code: 404, err_code: 10_014, description: "not found" } };
const leaderless = { error: { code: 503, err_code: 10_008, description: "JetStream system temporarily unavailable" } };
const there = { config: { ack_policy: "explicit", ack_wait: leaseMs * 1e6, max_deliver: -1 }, delivered: { consumer_seq: 1, stream_seq: 1 } };

/** A stream `s` with one message for who asks first. */
interface Server {
  readonly client: NatsClient;
  /** What was said and is to be answered, in order. */
  readonly said: string[];
  /** How many of the next that nobody hears. */
  unheard: number;
  consumer: unknown;
  streams: unknown;
}

function makeServer(): Server {
  const encode = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value));
  const body = envelope().write({ id: "1", parts: [text("a")], correlationId: "1", headers: {}, sentAtMs: 0 });
  const hearing = new Map<string, (error: null, message: NatsMessage) => void>();
  const closed = Promise.withResolvers<void>();
  let waiting = 1;
  const client = {
    options: { inboxPrefix: "_INBOX" },
    publish(subject: string, _payload?: Uint8Array | string, { reply = "" }: { readonly reply?: string } = {}): void {
      const hear = hearing.get(reply.replace(/\.\d+$/, ".*"));
      const answer = (message: Partial<NatsMessage>): void => void setImmediate(() => hear?.(null, { subject: reply, data: new Uint8Array(), ...message }));
      if (subject.startsWith("$JS.API.CONSUMER.MSG.NEXT.")) {
        if ((waiting -= 1) === 0) answer({ data: body, reply: "$JS.ACK.s.millrace.1.1.1.0.0" });
        return;
      }
      if (reply === "") return;
      server.said.push(subject);
      if (server.unheard > 0) {
        server.unheard -= 1;
        return answer({ headers: nobody });
      }
      answer(subject === "s" ? { data: encode({ stream: "s", seq: 7 }) } : {});
    },
    subscribe(subject: string, { callback }: Parameters<NatsClient["subscribe"]>[1]) {
      hearing.set(subject, callback);
      return { drain: async (): Promise<void> => {}, unsubscribe(): void {} };
    },
    request: async (subject: string) => ({ data: encode(subject.includes(".CONSUMER.INFO.") ? server.consumer : server.streams) }),
    flush: async (): Promise<void> => {},
    async *status() {
      await closed.promise;
    },
    closed: () => closed.promise,
    isClosed: () => false,
    close: async (): Promise<void> => {},
  };
  const server: Server = { client, said: [], unheard: 0, consumer: there, streams: { streams: ["s"] } };
  return server;
}

describe("nats, nobody hears", () => {
  const opened = (): { readonly server: Server; readonly clock: FakeClock; readonly queue: NatsQueue } => {
    const [server, clock] = [makeServer(), fakeClock()];
    const queue = nats({ client: server.client, stream: "s", leaseMs, clock });
    onTestFinished(() => queue.close());
    return { server, clock, queue };
  };
  const held = (queue: NatsQueue): Promise<Delivery> => reading(queue, { maxInFlight: 1 }).next();
  const ack = "$JS.ACK.s.millrace.1.1.1.0.0";

  test("an ack that nobody hears is said again after a moment, for as long as the consumer is there or nobody knows, and resolves when it is heard", async () => {
    for (const consumer of [there, leaderless]) {
      const { server, clock, queue } = opened();
      const delivery = await held(queue);
      Object.assign(server, { unheard: 2, consumer });
      const acked = delivery.ack();
      await expect.poll(() => server.said).toEqual([ack]);
      await clock.advance(249);
      expect(server.said).toHaveLength(1);
      await clock.advance(1);
      await expect.poll(() => server.said).toHaveLength(2);
      await clock.advance(250);
      await acked;
      expect([server.said, delivery.signal.aborted]).toEqual([[ack, ack, ack], false]);
    }
  });

  test("an ack that is never heard is given up when the lease is over", async () => {
    const { server, clock, queue } = opened();
    const delivery = await held(queue);
    server.unheard = Infinity;
    const acked = delivery.ack();
    acked.catch(() => {});
    await clock.advance(leaseMs);
    await expect(acked).rejects.toMatchObject({ code: "closed", message: expect.stringContaining("its lease is over") });
  });

  test("extend and nack that nobody hears are unavailable, said once, and the delivery is not lost by that", async () => {
    const { server, queue } = opened();
    const delivery = await held(queue);
    server.unheard = 2;
    await expect(delivery.extend?.(leaseMs)).rejects.toMatchObject({ code: "unavailable", retryable: true });
    await expect(delivery.nack()).rejects.toMatchObject({ code: "unavailable", retryable: true });
    expect([server.said, delivery.signal.aborted]).toEqual([[ack, ack], false]);
    await delivery.extend?.(leaseMs);
    await delivery.ack();
  });

  test("whatever nobody hears is closed when there is no consumer", async () => {
    for (const call of ["ack", "nack", "extend"] as const) {
      const { server, queue } = opened();
      const delivery = await held(queue);
      Object.assign(server, { unheard: 1, consumer: missing });
      await expect(call === "extend" ? delivery.extend?.(leaseMs) : delivery[call](), call).rejects.toMatchObject({ code: "closed", message: expect.stringContaining("the consumer is gone") });
    }
  });

  test("a send that nobody hears is unavailable, as nothing was stored, unless no stream takes what is sent there", async () => {
    const { server, queue } = opened();
    for (const streams of [{ streams: ["s"] }, leaderless]) {
      Object.assign(server, { unheard: 1, streams });
      await expect(queue.send([text("b")])).rejects.toMatchObject({ code: "unavailable", retryable: true, message: expect.stringContaining("nothing was stored") });
    }
    Object.assign(server, { unheard: 1, streams: { streams: null } });
    await expect(queue.send([text("b")])).rejects.toMatchObject({ code: "not_found", scope: "dependency", message: expect.stringContaining("no stream takes s") });
    expect(await queue.send([text("b")])).toMatchObject({ id: "s/7" });
  });
});
