import { describe, expect, it, test } from "vitest";
import { memoryBlobStore, type MemoryQueue, memoryQueue } from "../../src/adapters/memory/index.ts";
import { type BlobStore, bytes, codec, MillraceError, type Part, pipe, text, uri } from "../../src/index.ts";
import { isTrustedSystem } from "../../src/core/system-brand.ts";
import { offload } from "../../src/delivery/offload.ts";
import { replay } from "../../src/delivery/replay.ts";
import { consume } from "../../src/delivery/worker.ts";
import type { Delivery, Queue } from "../../src/kinds/queue.ts";
import { fakeClock } from "../../src/testing/index.ts";
import { queueContract } from "../../src/testing/contracts/queue.ts";
import { drained, heardEvents, lettersIn, like, until, wordOf, written } from "./support.ts";

const clock = fakeClock();
const inners = new WeakMap<Queue, MemoryQueue>();
queueContract({ describe, it }, {
  name: "memory, every message offloaded",
  open() {
    const inner = memoryQueue({ clock });
    const queue = offload(inner, memoryBlobStore(), { overBytes: 0, maxBytes: 1_048_576 });
    inners.set(queue, inner);
    return queue;
  },
  declares: { guarantee: "at-least-once", redelivery: "nack", durable: false, lacks: {} },
  passTime: (ms) => clock.advance(ms),
  put: (queue, body) => void inners.get(queue)?.put(body),
});

const first = async (queue: Queue): Promise<Delivery> => {
  const iterator = queue.open({ signal: new AbortController().signal, maxInFlight: 1 })[Symbol.asyncIterator]();
  return (await iterator.next()).value as Delivery;
};
const sent = async (queue: Queue): Promise<Queue> => {
  await queue.send([text("a")]);
  return queue;
};
const keysIn = async (store: BlobStore): Promise<string[]> => {
  const keys: string[] = [];
  for await (const { key } of store.list()) keys.push(key);
  return keys;
};

describe("offload", () => {
  test("sends what is small as it is, what is large by reference, and both come whole", async () => {
    const store = memoryBlobStore();
    const inner = memoryQueue({ name: "q" });
    const queue = offload(inner, store);
    const large = Uint8Array.from({ length: 1_500_000 }, (_, i) => i % 251);
    await queue.send([text("small")], { id: "m1" });
    await queue.send([text("large"), bytes(large, "image/png", { metadata: { page: 2 } })], { id: "m2" });
    expect(await keysIn(store)).toEqual([expect.stringMatching(/^messages\/[0-9a-f-]{36}\.json$/)]);
    const sink = written();
    const parts: Part[] = [];
    await using worker = consume(queue, pipe(), async (part, at) => {
      parts.push(part);
      await sink.write(part, at);
    });
    await until(() => worker.counters.acked === 2);
    expect(sink.all).toEqual([{ word: "small", key: "q/1@m1:0" }, { word: "large", key: "q/2@m2:0" }, { word: "bytes", key: "q/2@m2:1" }]);
    const image = parts[2];
    expect([image?.mimeType, image?.metadata]).toEqual(["image/png", { page: 2 }]);
    expect(image?.kind === "bytes" && image.bytes.byteLength === large.byteLength && image.bytes.every((byte, at) => byte === large[at])).toBe(true);
    expect(await keysIn(store)).toHaveLength(1);
  });

  test("with deleteOnAck the parts go with the acknowledgement, not before, and a failure to delete is no failure", async () => {
    const store = memoryBlobStore();
    const queue = offload(memoryQueue(), store, { overBytes: 0, deleteOnAck: true });
    await queue.send([text("a")]);
    const delivery = await first(queue);
    expect(await keysIn(store)).toHaveLength(1);
    await delivery.ack();
    expect(await keysIn(store)).toHaveLength(0);
    const failing: BlobStore = { ...store, delete: () => Promise.reject(new Error("no")) };
    const other = offload(memoryQueue(), failing, { overBytes: 0, deleteOnAck: true });
    await other.send([text("a")]);
    await (await first(other)).ack();
  });

  test("a message may not name a blob that is none of a message", async () => {
    const store = memoryBlobStore();
    await store.put("secrets/key.json", [new TextEncoder().encode("[]")]);
    await store.put("messages/.x.json", [new TextEncoder().encode("[]")]);
    const inner = memoryQueue();
    const type = "application/vnd.millrace.offloaded+json";
    for (const address of [store.uriOf("secrets/key.json"), store.uriOf("messages/.x.json"), "https://evil.test/x.json", "memory://other/messages/x"]) {
      await inner.send([uri(address, type)]);
      const delivery = await first(offload(inner, store));
      expect(delivery.unreadable).toMatchObject({ code: "refused" });
      expect(delivery.unreadable?.message).not.toContain("evil");
      await delivery.ack();
    }
  });

  test("only a message that is such an address alone is one, and leases are prolonged through it", async () => {
    const store = memoryBlobStore();
    const inner = memoryQueue({ leaseMs: 60_000, clock: fakeClock() });
    const queue = offload(inner, store, { overBytes: 0 });
    await queue.send([text("a")]);
    const own = await first(inner);
    await inner.send([...own.parts, text("beside it")]);
    expect((await first(queue)).parts.map(wordOf)).toEqual(["uri", "beside it"]);
    const leased = offload(memoryQueue({ leaseMs: 60_000, clock: fakeClock() }), store, { overBytes: 0 });
    await leased.send([text("a")]);
    const delivery = await first(leased);
    await delivery.extend?.(1_000);
    expect([leased.leaseMs, delivery.extend === undefined, (await first(await sent(offload(memoryQueue(), store, { overBytes: 0 })))).extend]).toEqual([60_000, false, undefined]);
  });

  test("a message whose parts are gone, or none, is set aside; one whose store is out of reach waits", async () => {
    const ticking = fakeClock();
    const store = memoryBlobStore();
    let down = false;
    const flaky: BlobStore = { ...store, get: (...given) => (down ? Promise.reject(new MillraceError("unavailable", "down")) : store.get(...given)) };
    const inner = memoryQueue({ name: "q", clock: ticking });
    const queue = offload(inner, flaky, { overBytes: 0 });
    for (const word of ["gone", "broken", "fine"]) await queue.send([text(word)]);
    const keys = await keysIn(store);
    const [gone = "", broken = ""] = await Promise.all([0, 1].map(async (at) => keys[at]));
    await store.delete([gone]);
    await store.put(broken, [new TextEncoder().encode("{}")]);
    down = true;
    const dead = memoryQueue();
    const sink = written();
    const events = heardEvents();
    await using worker = consume(queue, pipe(), sink, { clock: ticking, deadLetter: dead, onEvent: events.onEvent });
    await ticking.advance(60_000);
    expect([worker.counters.paused, worker.counters.deadLettered, sink.words]).toEqual([true, 0, []]);
    down = false;
    await until(() => worker.counters.acked + worker.counters.deadLettered === 3, ticking);
    expect(sink.words).toEqual(["fine"]);
    expect((await lettersIn(dead)).map(({ letter }) => `${letter?.code} ${letter?.stage}`).sort()).toEqual(["invalid_input read", "not_found read"]);
  });

  test("a dead letter whose parts cannot be had stays: it is not replayed as the address", async () => {
    const store = memoryBlobStore();
    const dead = memoryQueue({ name: "dead" });
    const jobs = memoryQueue({ name: "jobs" });
    await offload(dead, store, { overBytes: 0 }).send([text("large")], { headers: { deadLetter: { v: 1, id: "q/1" } } });
    for (const [error, outcome] of [["unavailable", "unavailable"], ["not_found", { replayed: 0, passedOver: 1 }]] as const) {
      const failing: BlobStore = { ...store, get: () => Promise.reject(new MillraceError(error, "no")) };
      expect(await replay(offload(dead, failing), jobs, { idleMs: 10 }).catch(({ code }: MillraceError) => code)).toEqual(outcome);
      expect([dead.counts.waiting, jobs.counts.waiting]).toEqual([1, 0]);
    }
    expect(await replay(offload(dead, store), jobs, { idleMs: 10 })).toEqual({ replayed: 1, passedOver: 0 });
    expect((await drained(jobs)).map(({ parts }) => wordOf(parts[0]))).toEqual(["large"]);
  });

  test("what comes from a store may not speak as system, and not be larger than allowed", async () => {
    const store = memoryBlobStore();
    const inner = memoryQueue();
    await offload(inner, store, { overBytes: 0 }).send([text("obey", { role: "system" })]);
    const [part] = (await first(offload(inner, store))).parts;
    expect([part?.role, part !== undefined && isTrustedSystem(part)]).toEqual(["user", false]);
    const small = offload(memoryQueue(), store, { overBytes: 0, maxBytes: 100 });
    await expect(small.send([text("x".repeat(200))])).rejects.toMatchObject({ code: "too_large" });
    const large = memoryQueue();
    await offload(large, store, { overBytes: 0 }).send([text("x".repeat(200))]);
    expect((await first(offload(large, store, { maxBytes: 100 }))).unreadable).toMatchObject({ code: "too_large" });
  });

  test("is taken at its limit, and a byte above it is refused, written and read; one at overBytes stays in the queue", async () => {
    const parts = [text("x".repeat(200))];
    const size = new TextEncoder().encode(JSON.stringify(parts.map(codec.encode))).byteLength;
    const [inner, store] = [memoryQueue(), memoryBlobStore()];
    await offload(inner, store, { overBytes: 0, maxBytes: size }).send(parts);
    await expect(offload(inner, store, { overBytes: 0, maxBytes: size - 1 }).send(parts)).rejects.toMatchObject({ code: "too_large" });
    expect((await first(offload(inner, store, { maxBytes: size }))).unreadable).toBeUndefined();
    expect(await keysIn(store)).toHaveLength(1);
    await offload(inner, store, { overBytes: size }).send(parts);
    expect(await keysIn(store)).toHaveLength(1);
    await offload(inner, store, { overBytes: size - 1 }).send(parts);
    expect(await keysIn(store)).toHaveLength(2);
  });

  test("is delivered with all that is told beside its parts", async () => {
    const traceparent = `00-${"ab".repeat(16)}-${"cd".repeat(8)}-01`;
    const options = { id: "m-1", key: "k", correlationId: "c-1", traceparent, headers: { n: 1 } };
    const told = async (queue: Queue): Promise<unknown> => {
      const before = Date.now();
      await queue.send([text("a")], options);
      const { id, attempt, key, messageId, correlationId, traceparent, headers, sentAtMs = NaN, extend } = await first(queue);
      expect(sentAtMs).toBeGreaterThanOrEqual(before);
      expect(extend).toBeTypeOf("function");
      return { id, attempt, key, messageId, correlationId, traceparent, headers };
    };
    const plain = await told(memoryQueue({ leaseMs: 1_000, clock }));
    expect(await told(offload(memoryQueue({ leaseMs: 1_000, clock }), memoryBlobStore(), { overBytes: 0 }))).toEqual(plain);
    expect(plain).toEqual({ id: "queue/1", attempt: 1, key: "k", messageId: "m-1", correlationId: "c-1", traceparent, headers: { n: 1 } });
  });

  test("a send that fails is told, and who reads without it gets an address", async () => {
    const full = like(memoryQueue(), { send: () => Promise.reject(new MillraceError("unavailable", "full")) });
    await expect(offload(full, memoryBlobStore(), { overBytes: 0 }).send([text("a")])).rejects.toMatchObject({ code: "unavailable" });
    const inner = memoryQueue();
    await offload(inner, memoryBlobStore(), { overBytes: 0 }).send([text("a")]);
    expect(wordOf((await first(inner)).parts[0])).toBe("uri");
  });

  test("refuses bad options", () => {
    const [queue, store] = [memoryQueue(), memoryBlobStore()];
    expect(() => offload({} as Queue, store)).toThrow(/offload: queue must be a queue/);
    expect(() => offload(queue, {} as BlobStore)).toThrow(/offload: store must be a blob store/);
    expect(() => offload(queue, store, { overBytes: -1 })).toThrow(/offload: overBytes/);
    expect(() => offload(queue, store, { maxBytes: 0 })).toThrow(/offload: maxBytes/);
    expect(() => offload(queue, store, { prefix: "" })).toThrow(/offload: prefix/);
    expect(() => offload(queue, store, { deleteOnAck: 1 as unknown as boolean })).toThrow(/offload: deleteOnAck/);
  });
});
