import fc from "fast-check";
import { describe, expect, it, test } from "vitest";
import { memoryQueue, type MemoryQueue } from "../../src/adapters/memory/index.ts";
import type { Delivery, Queue } from "../../src/kinds/queue.ts";
import { foreign, text } from "../../src/index.ts";
import { fakeClock } from "../../src/testing/index.ts";
import { queueContract } from "../../src/testing/contracts/queue.ts";

const runs = Number(process.env.PROPERTY_RUNS ?? 200);
const declares = { guarantee: "at-least-once", redelivery: "nack", durable: false, lacks: {} } as const;
const put = (queue: Queue, body: Uint8Array): void => void (queue as MemoryQueue).put(body);

const clock = fakeClock();
queueContract({ describe, it }, { name: "memory", open: () => memoryQueue({ clock }), declares, passTime: (ms) => clock.advance(ms), put });
queueContract({ describe, it }, {
  name: "memory, with leases",
  open: () => memoryQueue({ clock, leaseMs: 30_000_000 }),
  declares: { ...declares, redelivery: "lease" },
  passTime: (ms) => clock.advance(ms),
  put,
});

const deliveriesOf = async (queue: Queue, count: number, signal = new AbortController().signal): Promise<Delivery[]> => {
  const deliveries: Delivery[] = [];
  const iterator = queue.open({ signal, maxInFlight: 1_000 })[Symbol.asyncIterator]();
  while (deliveries.length < count) deliveries.push((await iterator.next()).value as Delivery);
  return deliveries;
};

describe("a queue in memory", () => {
  test("has bytes of its own, also of a Buffer, whose slice is no copy", async () => {
    const queue = memoryQueue({ format: foreign({ read: (body) => new TextDecoder().decode(body) }) });
    const body = Buffer.from("a");
    queue.put(body);
    body.fill("b");
    const [delivery] = await deliveriesOf(queue, 1);
    expect(delivery?.parts).toMatchObject([{ text: "a" }]);
  });

  test("refuses more than it may hold, until something is settled", async () => {
    const queue = memoryQueue({ maxMessages: 2 });
    await queue.send([text("a")]);
    await queue.send([text("b")]);
    const [a] = await deliveriesOf(queue, 1);
    await expect(queue.send([text("c")])).rejects.toMatchObject({ code: "unavailable", retryable: true });
    await a?.ack();
    await queue.send([text("c")]);
    expect(queue.counts).toEqual({ waiting: 2, delayed: 0, inFlight: 0 });
  });

  test("counts all that is not settled: new, late, out and given back", async () => {
    const queue = memoryQueue({ maxMessages: 5, clock: fakeClock() });
    const full = async (): Promise<boolean> => queue.send([text("more")]).then(() => false, () => true);
    for (const word of ["back", "out"]) await queue.send([text(word)]);
    const [back] = await deliveriesOf(queue, 2);
    await back?.nack();
    await queue.send([text("late")], { delayMs: 1_000 });
    await queue.send([text("later")], { delayMs: 2_000 });
    expect([queue.counts, await full(), await full()]).toEqual([{ waiting: 1, delayed: 2, inFlight: 1 }, false, true]);
  });

  test("gives the messages of a key that one reader holds to no other", async () => {
    const queue = memoryQueue();
    for (const [key, word] of [["k", "k1"], ["k", "k2"], ["l", "l1"]] as const) await queue.send([text(word)], { key });
    const [first, second] = [0, 1].map(() => queue.open({ signal: new AbortController().signal, maxInFlight: 1 })[Symbol.asyncIterator]());
    const k1 = (await first?.next())?.value as Delivery;
    const l1 = (await second?.next())?.value as Delivery;
    expect([k1.key, l1.key]).toEqual(["k", "l"]);
    await l1.ack();
    const next = second?.next();
    await k1.ack();
    expect((await next)?.value).toMatchObject({ key: "k" });
  });

  test("keeps a body as it was put, whatever becomes of the caller's bytes", async () => {
    const queue = memoryQueue();
    const body = new TextEncoder().encode("x");
    queue.put(body);
    body.fill(0);
    const [delivery] = await deliveriesOf(queue, 1);
    expect(delivery?.parts[0]).toMatchObject({ kind: "bytes", bytes: new TextEncoder().encode("x") });
  });

  test("a delivery that was given back is over, also when the same reader has its message again", async () => {
    const still = fakeClock();
    await using queue = memoryQueue({ clock: still, leaseMs: 1_000 });
    await queue.send([text("a")]);
    const reading = queue.open({ signal: new AbortController().signal, maxInFlight: 5 })[Symbol.asyncIterator]();
    const first = (await reading.next()).value as Delivery;
    await first.nack();
    const second = (await reading.next()).value as Delivery;
    await expect(first.extend?.(500)).rejects.toMatchObject({ code: "closed" });
    await still.advance(900);
    await second.extend?.(1_000);
    await still.advance(900);
    expect(second.signal.aborted).toBe(false);
    await second.ack();
    expect(queue.counts).toMatchObject({ waiting: 0, inFlight: 0 });
  });

  test("holds no timer but those of readers that wait and of leases, and none after it is closed", async () => {
    const still = fakeClock();
    const queue = memoryQueue({ clock: still, leaseMs: 1_000 });
    await queue.send([text("later")], { delayMs: 50_000 });
    expect(still.pending).toBe(0);
    await queue.send([text("a")]);
    const iterator = queue.open({ signal: new AbortController().signal, maxInFlight: 2 })[Symbol.asyncIterator]();
    await iterator.next();
    expect(still.pending).toBe(1);
    const waiting = iterator.next().catch(() => undefined);
    await still.advance(0);
    expect(still.pending).toBe(2);
    await queue.close();
    await waiting;
    expect(still.pending).toBe(0);
  });

  test("refuses bad options", () => {
    expect(() => memoryQueue({ name: "a/b" })).toThrow(/memoryQueue: name must be/);
    expect(() => memoryQueue({ maxMessages: 0 })).toThrow(/maxMessages must be a whole number from 1/);
    expect(() => memoryQueue({ leaseMs: 0.5 })).toThrow(/leaseMs must be a whole number from 1/);
  });

  test("loses no message and invents none, whatever is done to it", async () => {
    const action = fc.oneof(
      fc.record({ do: fc.constant("send" as const), key: fc.constantFrom(undefined, "k", "l"), delayMs: fc.constantFrom(0, 0, 5) }),
      fc.record({ do: fc.constant("read" as const), reader: fc.nat(1) }),
      fc.record({ do: fc.constant("ack" as const), at: fc.nat(9) }),
      fc.record({ do: fc.constant("nack" as const), at: fc.nat(9), delayMs: fc.constantFrom(0, 7), counted: fc.boolean() }),
      fc.record({ do: fc.constant("leave" as const), reader: fc.nat(1) }),
      fc.record({ do: fc.constant("wait" as const), ms: fc.nat(12) }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(action, { maxLength: 40 }), async (actions) => {
        let nowMs = 0;
        const timers = { now: () => nowMs, sleep: () => Promise.reject(new Error("sleeps")), timeout: () => () => {} };
        const queue = memoryQueue({ clock: timers });
        const open = (): { iterator: AsyncIterator<Delivery>; controller: AbortController; waiting: boolean } => {
          const controller = new AbortController();
          return { controller, iterator: queue.open({ signal: controller.signal, maxInFlight: 100 })[Symbol.asyncIterator](), waiting: false };
        };
        const readers = [open(), open()];
        const unsettled = new Map<string, number>(); // id, and its attempts
        const held: { readonly delivery: Delivery; readonly reader: number }[] = [];
        const settled = new Set<string>();
        for (const step of actions) {
          if (step.do === "send") unsettled.set((await queue.send([], step.key === undefined ? { delayMs: step.delayMs } : { key: step.key, delayMs: step.delayMs })).id, 0);
          else if (step.do === "wait") nowMs += step.ms;
          else if (step.do === "read") {
            const reader = readers[step.reader];
            if (reader === undefined || reader.waiting) continue;
            reader.waiting = true;
            const index = step.reader;
            void reader.iterator.next().then(({ value, done }) => {
              reader.waiting = false;
              if (done === true) return;
              held.push({ delivery: value, reader: index });
              expect(held.filter((it) => it.delivery.id === value.id)).toHaveLength(1);
              unsettled.set(value.id, (unsettled.get(value.id) ?? NaN) + 1);
              expect(value.attempt).toBe(unsettled.get(value.id));
            }, () => {});
          } else if (step.do === "leave") {
            readers[step.reader]?.controller.abort(new Error("left"));
            readers[step.reader] = open();
            for (const it of held.filter((it) => it.reader === step.reader)) held.splice(held.indexOf(it), 1);
          } else {
            const [it] = held.splice(step.at % Math.max(1, held.length), 1);
            if (it === undefined) continue;
            const { delivery } = it;
            if (step.do === "ack") {
              unsettled.delete(delivery.id);
              await delivery.ack();
              settled.add(delivery.id);
            } else {
              if (!step.counted) unsettled.set(delivery.id, (unsettled.get(delivery.id) ?? NaN) - 1); // before a waiting reader gets it
              await delivery.nack({ delayMs: step.delayMs, counted: step.counted });
            }
          }
          for (let turn = 0; turn < 12; turn += 1) await Promise.resolve(); // what was handed out has been seen
          const { waiting, delayed, inFlight } = queue.counts;
          expect([waiting + delayed + inFlight, inFlight]).toEqual([unsettled.size, held.length]);
        }
        for (const { controller } of readers) controller.abort(new Error("left"));
        nowMs += 100;
        const rest = await deliveriesOf(queue, unsettled.size);
        expect(rest.map(({ id }) => id).sort()).toEqual([...unsettled.keys()].sort());
        expect(rest.filter(({ id }) => settled.has(id))).toEqual([]);
      }),
      { numRuns: runs },
    );
  });
});
