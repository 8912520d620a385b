import { randomUUID } from "node:crypto";
import { inspect } from "node:util";
import { jetstream, jetstreamManager, type JetStreamManager } from "@nats-io/jetstream";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { afterAll, beforeAll, describe, expect, it, test } from "vitest";
import { nats, type NatsOptions, type NatsQueue } from "../../src/adapters/nats/index.ts";
import { type Clock, systemClock } from "../../src/core/clock.ts";
import { consume, envelope, foreign, type Part, pipe, text } from "../../src/index.ts";
import type { Delivery, QueueEvent } from "../../src/kinds/queue.ts";
import { queueContract } from "../../src/testing/contracts/queue.ts";
import { reading, textsIn } from "../../src/testing/contracts/queue-reading.ts";
import { faultProxy } from "../services/fault-proxy.ts";
import { service, titled } from "../services.ts";

describe("nats", () => {
  const nowhere = "nats://u:hunter2@127.0.0.1:1";

  test("opens nothing until it is asked, and refuses options that cannot work", async () => {
    await nats({ url: nowhere, stream: "s" }).close();
    const bad: Partial<NatsOptions>[] = [
      ...["", "a.b", "a b", "a*", ">", "ä", "s".repeat(129)].flatMap((name) => [{ stream: name }, { consumer: name }]),
      ...["", "a.*", ">", "a b", ".a", "a..b", "$JS.API.x"].flatMap((subject) => [{ subject }, { inboxPrefix: subject }]),
      { leaseMs: 99 },
      { connectMs: 0 },
      { timeoutMs: 1.5 },
      ...["http://127.0.0.1", "127.0.0.1:4222", "nats://h/path", "nats://h?x=1", ""].map((url) => ({ url })),
      { url: [] },
      { url: ["nats://u:a@h1", "nats://u:b@h2"] },
      { url: ["nats://h1", "tls://h2"] },
    ];
    for (const options of bad) expect(() => nats({ url: nowhere, stream: "s", ...options }), inspect(options)).toThrow(expect.objectContaining({ code: "invalid_input" }));
    expect(() => nats({ stream: "s" })).toThrow(expect.objectContaining({ code: "missing_config" }));
    const queue = nats({ url: nowhere, stream: "s" });
    for (const setup of [{ maxMessages: 0 }, { replicas: 0 }, { maxAgeMs: 1 }, { maxAgeMs: 1_000, duplicateWindowMs: 2_000 }, { storage: "disk" as "file" }]) {
      await expect(queue.setup(setup), inspect(setup)).rejects.toMatchObject({ code: "invalid_input" });
    }
    await queue.close();
  });

  test("a server that is not there is unavailable, and neither error nor queue shows the password", async () => {
    const queue = nats({ url: nowhere, stream: "s" });
    const errors = await Promise.all([queue.send([]), queue.setup(), reading(queue).raw()].map((call) => call.catch((error: unknown) => error)));
    for (const error of errors) {
      expect(error).toMatchObject({ code: "unavailable", retryable: true });
      for (const shown of [inspect(error, { depth: 10 }), JSON.stringify(error)]) expect(shown).not.toContain("hunter2");
    }
    expect(inspect(queue, { depth: 10, showHidden: true })).not.toContain("hunter2");
    expect(String(await Promise.resolve().then(() => nats({ url: `${nowhere}/x`, stream: "s" })).catch(String))).not.toContain("hunter2");
    await queue.close();
  });
});

const server = await service("nats");
const lacks = {
  keys: "a consumer gives its messages to whoever asks, in no order of keys",
  delay: "before 2.12 JetStream takes no message for later",
  uncounted: "the server counts every delivery",
};

describe.skipIf(server.skip !== undefined)(titled("nats on its server", server), () => {
  const url = server.url ?? "";
  let admin: NatsConnection;
  let manager: JetStreamManager;
  const streams: string[] = [];
  beforeAll(async () => {
    admin = await connect({ servers: url });
    manager = await jetstreamManager(admin);
  });
  afterAll(async () => {
    for (const stream of streams) await manager.streams.delete(stream).catch(() => {});
    await admin?.close();
  });
  const named = (): string => {
    const stream = `t-${randomUUID()}`;
    streams.push(stream);
    return stream;
  };
  const opened = async (options: Partial<NatsOptions> = {}, setup: Parameters<NatsQueue["setup"]>[0] = {}): Promise<NatsQueue> => {
    const queue = nats({ ...(options.client === undefined ? { url } : {}), stream: named(), ...options });
    await queue.setup({ storage: "memory", ...setup });
    return queue;
  };

  queueContract({ describe, it }, {
    name: "nats",
    open: () => opened({ leaseMs: 1_000 }),
    declares: { guarantee: "at-least-once", redelivery: "lease", durable: true, lacks },
    put: async (queue, body) => void (await admin.request(queue.name, body)),
  });

  test("an id that the stream has had lately is the same message", async () => {
    await using queue = await opened();
    const first = await queue.send([text("a")], { id: "order-7" });
    expect(await queue.send([text("b")], { id: "order-7" })).toEqual(first);
    expect(await queue.send([text("c")])).toMatchObject({ id: `${queue.name}/2` });
    expect(textsIn(await reading(queue).settle(2))).toEqual(["a", "c"]);
  });

  test("what a consumer that was made anew does not know of comes again, and an acknowledgement of it does not wait for ever", async () => {
    await using queue = await opened({ leaseMs: 600_000, timeoutMs: 200 });
    await queue.send([text("a")]);
    const messages = queue.open({ signal: new AbortController().signal, maxInFlight: 1 })[Symbol.asyncIterator]();
    const held = (await messages.next()).value as Delivery;
    await manager.consumers.delete(queue.name, "millrace");
    await queue.setup({ storage: "memory" });
    await expect(held.ack()).rejects.toMatchObject({ code: "closed" });
    const again = (await messages.next()).value as Delivery;
    expect(again.id).toBe(held.id);
    await again.ack();
  });

  test("a full stream refuses what is new, and takes it when there is room", async () => {
    await using queue = await opened({}, { maxMessages: 1 });
    await queue.send([text("a")]);
    await expect(queue.send([text("b")])).rejects.toMatchObject({ code: "unavailable", retryable: true });
    await reading(queue).settle(1);
    await queue.send([text("b")]);
  });

  test("what is missing is told: no stream, no consumer, a subject of another stream", async () => {
    await using queue = nats({ url, stream: named() });
    for (const call of [queue.send([]), reading(queue).raw()]) await expect(call).rejects.toMatchObject({ code: "not_found", scope: "dependency", message: expect.stringContaining("setup() makes it") });
    await using other = await opened({ subject: queue.name });
    await expect(queue.setup()).rejects.toMatchObject({ code: "conflict", scope: "process" });
    await expect(queue.send([])).rejects.toMatchObject({ code: "conflict", scope: "process" });
    await other.send([]);
  });

  test("setup makes what is not there, once, whoever is first, and refuses what is there and differs", async () => {
    const stream = named();
    const queues = [1, 2, 3].map(() => nats({ url, stream }));
    await Promise.all(queues.map((queue) => queue.setup()));
    await queues[0]?.setup();
    await expect(queues[0]?.setup({ maxMessages: 5 })).rejects.toMatchObject({ code: "conflict", message: expect.stringContaining("max_msgs -1, the queue needs 5") });
    await expect(queues[0]?.setup({ maxReaders: 5 })).rejects.toMatchObject({ code: "conflict", message: expect.stringContaining("max_waiting 512") });
    await Promise.all(queues.map((queue) => queue.close()));
  });

  test("refuses to read by a consumer that would lose messages, or leases unseen", async () => {
    const stream = named();
    await manager.streams.add({ name: stream, subjects: [stream], storage: "memory" });
    const consumers = {
      lease: [{ ack_wait: 5e9 }, /ack_wait of 5000 ms, leaseMs is 30000/],
      limited: [{ ack_wait: 30e9, max_deliver: 3 }, /max_deliver 3/],
      unacked: [{ ack_policy: "none" }, /ack_policy "none"/],
      pushed: [{ ack_wait: 30e9, deliver_subject: `${stream}.push` }, /pushes/],
      growing: [{ backoff: [30e9, 60e9], max_deliver: 5 }, /backoff|ack_wait/],
    } as const;
    for (const [consumer, [config, why]] of Object.entries(consumers)) {
      await manager.consumers.add(stream, { durable_name: consumer, ack_policy: "explicit", ...config } as Parameters<typeof manager.consumers.add>[1]);
      await using queue = nats({ url, stream, consumer });
      await expect(reading(queue).raw(), consumer).rejects.toMatchObject({ code: "conflict", scope: "process", message: expect.stringMatching(why) });
    }
  });

  test("a body as large as the server takes arrives whole, and a larger one is too large before it is sent", async () => {
    await using queue = await opened({ format: envelope({ maxBytes: 2_000_000 }) });
    const reader = reading(queue);
    await queue.send([text("x".repeat(1_047_800))], { id: "1" });
    expect(textsIn(await reader.settle(1))[0]).toHaveLength(1_047_800);
    await expect(queue.send([text("x".repeat(1_048_577))], { id: "2" })).rejects.toMatchObject({ code: "too_large", scope: "part", message: expect.stringMatching(/takes 1048576 bytes.*see offload/) });
    await queue.send([text("fine")]);
    expect(textsIn(await reader.settle(1))).toEqual(["fine"]);
  });

  test("what is given back with a delay comes after it, and keeps nobody waiting", async () => {
    await using queue = await opened();
    await queue.send([text("late")]);
    const reader = reading(queue);
    const late = await reader.next();
    await expect(late.nack({ delayMs: -1 })).rejects.toMatchObject({ code: "invalid_input" });
    const atMs = performance.now();
    await late.nack({ delayMs: 400 });
    await queue.send([text("early")]);
    expect(textsIn(await reader.settle(2))).toEqual(["early", "late"]);
    expect(performance.now() - atMs).toBeGreaterThan(390);
  });

  test("a worker gives back for later what failed, and works on the others meanwhile, though only one may be out", async () => {
    await using queue = await opened();
    for (const word of ["bad", "b", "c"]) await queue.send([text(word)]);
    const order: string[] = [];
    const sink = async (part: Part): Promise<void> => {
      if (part.kind === "text") order.push(part.text);
      if (order.length === 1) throw new Error("once");
    };
    await using worker = consume(queue, pipe(), sink, { concurrency: 1, maxInFlight: 1, baseMs: 2_000, random: () => 1 });
    await expect.poll(() => worker.counters.acked, { timeout: 10_000 }).toBe(3);
    expect([order, worker.counters]).toEqual([["bad", "b", "c", "bad"], expect.objectContaining({ received: 4, nacked: 1 })]);
  });

  test("messages that the stream dropped before anybody got them are told with their number, to whoever reads on", async () => {
    await using queue = await opened({}, { maxMessages: 2, discard: "old" });
    const events: QueueEvent[] = [];
    const tell = (event: QueueEvent): void => void events.push(event);
    const first = reading(queue, { tell });
    await queue.send([text("1")]);
    await first.settle(1);
    await first.leave();
    for (const word of ["2", "3", "4", "5", "6"]) await queue.send([text(word)]);
    const second = reading(queue, { tell, maxInFlight: 1 });
    expect(textsIn(await second.settle(1))).toEqual(["5"]);
    expect(events).toEqual([{ kind: "gap", queue: queue.name, count: 3, reason: expect.any(String) }]);
    for (const word of ["7", "8", "9"]) await queue.send([text(word)]);
    expect(textsIn(await second.settle(1))).toEqual(["8"]);
    expect(events.slice(1)).toMatchObject([{ count: 2 }]);
  });

  test("a consumer or a stream that is deleted ends the reading as not_found, also while it waits", async () => {
    for (const end of ["consumer", "stream"] as const) {
      await using queue = await opened();
      const waiting = reading(queue).raw();
      waiting.catch(() => {});
      await expect.poll(async () => (await manager.consumers.info(queue.name, "millrace")).num_waiting).toBe(1);
      if (end === "consumer") await manager.consumers.delete(queue.name, "millrace");
      else await manager.streams.delete(queue.name);
      await expect(waiting, end).rejects.toMatchObject({ code: "not_found", scope: "dependency", message: expect.stringContaining("was deleted") });
    }
  });

  test("a delivery whose consumer is gone is lost, and says so", async () => {
    await using queue = await opened();
    await queue.send([text("a")]);
    const delivery = await reading(queue).next();
    await manager.consumers.delete(queue.name, "millrace");
    await expect(delivery.ack()).rejects.toMatchObject({ code: "closed" });
  });

  test("extends by one lease at most, which is what the server knows", async () => {
    await using queue = await opened({ leaseMs: 5_000 });
    await queue.send([text("a")]);
    const delivery = await reading(queue).next();
    await delivery.extend?.(1);
    await expect(delivery.extend?.(5_001)).rejects.toMatchObject({ code: "invalid_input" });
    await delivery.ack();
  });

  test("a reader that nobody pulls keeps nothing from the others", async () => {
    await using queue = await opened();
    await queue.send([text("a")]);
    const idle = reading(queue, { maxInFlight: 100 });
    const a = await idle.next();
    for (const word of ["b", "c", "d"]) await queue.send([text(word)]);
    expect(textsIn(await reading(queue).settle(3))).toEqual(["b", "c", "d"]);
    await a.ack();
  });

  test("foreign messages keep the id that their sender gave them", async () => {
    await using queue = await opened({ format: foreign({ read: (body) => new TextDecoder().decode(body), write: () => "y" }) });
    await jetstream(admin).publish(queue.name, "x", { msgID: "theirs" });
    await queue.send([], { id: "ours" });
    expect((await reading(queue).settle(2)).map(({ messageId }) => messageId)).toEqual(["theirs", "ours"]);
  });

  test("a connection that was passed stays open, and its end is the end of what reads", async () => {
    const client = await connect({ servers: url });
    const first = await opened({ client });
    await first.send([text("a")]);
    await reading(first).settle(1);
    await first.close();
    expect(client.isClosed()).toBe(false);
    const second = await opened({ client });
    const waiting = reading(second).raw();
    waiting.catch(() => {});
    await expect.poll(async () => (await manager.consumers.info(second.name, "millrace")).num_waiting).toBe(1);
    await client.close();
    await expect(waiting).rejects.toMatchObject({ code: "unavailable" });
    await second.close();
  });

  test("a connection that was passed keeps nothing of queues that were closed", async () => {
    const client = await connect({ servers: url });
    const { protocol } = client as unknown as { readonly protocol: { readonly listeners: readonly unknown[]; readonly subscriptions: { readonly subs: ReadonlyMap<unknown, unknown> } } };
    const kept = (): readonly number[] => [protocol.listeners.length, protocol.subscriptions.subs.size];
    const use = async (): Promise<WeakRef<Clock>> => {
      const clock = { ...systemClock }; // known to all that a queue is made of
      const queue = await opened({ client, clock });
      await queue.send([text("a")]);
      await reading(queue).settle(1);
      await queue.close();
      return new WeakRef(clock);
    };
    await use(); // the client's own subscription for answers stays
    const before = kept();
    const clocks: WeakRef<Clock>[] = [];
    while (clocks.length < 20) clocks.push(await use());
    await expect.poll(kept).toEqual(before);
    const alive = (): number => {
      globalThis.gc?.();
      return clocks.filter((clock) => clock.deref() !== undefined).length;
    };
    if (globalThis.gc !== undefined) await expect.poll(alive).toBeLessThan(3); // the last may still be on a stack
    await client.close();
  });

  test("what comes again while it is held takes nothing from who waits for the next message", async () => {
    const inboxPrefix = `spied-${randomUUID()}`;
    const replies: string[] = [];
    const spy = admin.subscribe(`${inboxPrefix}.>`, { callback: (_, { reply }) => void (reply?.startsWith("$JS.ACK.") && replies.push(reply)) });
    await using queue = await opened({ inboxPrefix });
    await queue.send([text("a")]);
    const reader = reading(queue, { maxInFlight: 2 });
    const a = await reader.next();
    const waiting = reader.raw();
    await expect.poll(async () => (await manager.consumers.info(queue.name, "millrace")).num_waiting).toBe(1);
    admin.publish(replies[0] ?? "", "-NAK"); // as if the server had forgotten that it is out
    await expect.poll(() => replies).toHaveLength(2);
    await queue.send([text("b")]);
    const b = (await waiting).value as Delivery;
    expect([textsIn([b]), a.signal.aborted]).toEqual([["b"], false]);
    await a.ack();
    await b.ack();
    spy.unsubscribe();
  });

  test("closing gives back what is out, for others at once", async () => {
    const queue = await opened();
    await queue.send([text("a")]);
    const held = await reading(queue).next();
    await queue.close();
    expect(held.signal.aborted).toBe(true);
    await using other = nats({ url, stream: queue.name });
    expect(await reading(other).next()).toMatchObject({ id: held.id, attempt: 2 });
  });

  test("two hundred idle readers share one connection, and leave nothing behind", async () => {
    await using proxy = await faultProxy(Number(new URL(url).port));
    await using queue = await opened({ url: `nats://127.0.0.1:${proxy.port}` });
    const waiting = async (): Promise<number> => (await manager.consumers.info(queue.name, "millrace")).num_waiting;
    const controller = new AbortController();
    const reason = new Error("enough");
    const readers = Array.from({ length: 200 }, () => reading(queue, { signal: controller.signal, maxInFlight: 1 }).raw());
    const ends = Promise.allSettled(readers);
    await expect.poll(waiting, { timeout: 5_000 }).toBe(200);
    expect(proxy.connections).toBe(1);
    await queue.send([text("a")]);
    const { value } = (await Promise.race(readers)) as IteratorYieldResult<Delivery>;
    await value.ack();
    controller.abort(reason);
    expect((await ends).filter(({ status }) => status === "rejected")).toHaveLength(199);
    await expect.poll(waiting, { timeout: 5_000 }).toBe(0);
  });
});
