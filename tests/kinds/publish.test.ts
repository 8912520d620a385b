import { describe, expect, test } from "vitest";
import { memoryQueue } from "../../src/adapters/memory/index.ts";
import { batch, bytes, finish, isText, json, MillraceError, type Part, pipe, run, tap, text } from "../../src/index.ts";
import { errorPart } from "../../src/core/constructors.ts";
import { publish } from "../../src/kinds/publish.ts";
import type { Delivery, Queue } from "../../src/kinds/queue.ts";

const all = async (queue: Queue, count: number): Promise<Delivery[]> => {
  const deliveries: Delivery[] = [];
  if (count === 0) return deliveries;
  for await (const delivery of queue.open({ signal: new AbortController().signal, maxInFlight: 100 })) {
    deliveries.push(delivery);
    if (deliveries.length === count) break;
  }
  return deliveries;
};
const shared = new Uint8Array(1_048_576);
const words = (deliveries: readonly Delivery[]): unknown[] => deliveries.flatMap(({ parts }) => parts.map((part) => (isText(part) ? part.text : part.kind)));

describe("publish", () => {
  test("sends each part as a message, and the part goes on with its receipt", async () => {
    const queue = memoryQueue({ name: "jobs" });
    const parts = await run(publish(queue), [text("a", { metadata: { page: 1 } }), json(2)], { correlationId: "c-1" }).collect();
    const deliveries = await all(queue, 2);
    expect(words(deliveries)).toEqual(["a", "json"]);
    expect(deliveries.map(({ correlationId }) => correlationId)).toEqual(["c-1", "c-1"]);
    expect(parts.map(({ kind, metadata }) => [kind, metadata])).toEqual([
      ["text", { page: 1, queue: { messageId: deliveries[0]?.messageId, name: "jobs", status: "queued", id: "jobs/1" } }],
      ["json", { queue: { messageId: deliveries[1]?.messageId, name: "jobs", status: "queued", id: "jobs/2" } }],
    ]);
  });

  test('with emit: "receipt" only receipts go on, where no later stage takes them for content', async () => {
    const queue = memoryQueue({ name: "jobs" });
    const seen: Part[] = [];
    const parts = await run(pipe(publish(queue, { emit: "receipt" }), tap((part) => void seen.push(part))), "a").collect();
    expect(parts).toMatchObject([{ kind: "json", substream: "status", value: { name: "jobs", status: "queued", id: "jobs/1" } }]);
    expect(seen).toEqual([]);
  });

  test("a part goes on only when the queue has confirmed it", async () => {
    const inner = memoryQueue();
    let confirm = (): void => {};
    const confirmed = new Promise<void>((resolve) => (confirm = resolve));
    const slow: Queue = { ...inner, send: (...given) => inner.send(...given).then(async (sent) => (await confirmed, sent)) };
    let given = 0;
    const running = run(publish(slow), "x").forEach(() => void (given += 1));
    for (let turn = 0; turn < 50; turn += 1) await Promise.resolve();
    expect(given).toBe(0);
    confirm();
    await running;
    expect(given).toBe(1);
  });

  test("what is not confirmed fails the run with the queue's own error, and is not sent again", async () => {
    let sends = 0;
    const down = new MillraceError("unavailable", "down");
    const queue: Queue = { ...memoryQueue(), send: async () => ((sends += 1), Promise.reject(down)) };
    await expect(run(publish(queue), ["a", "b"]).collect()).rejects.toBe(down);
    expect(sends).toBe(1);
  });

  test("key, id, delay and headers go with the message", async () => {
    const queue = memoryQueue();
    const stage = publish(queue, { key: (part) => (isText(part) ? part.text : undefined), id: () => "m-1", headers: { v: 2 } });
    await run(stage, ["k", json(1)]).collect();
    expect((await all(queue, 2)).map(({ key, messageId, headers }) => [key, messageId, headers])).toEqual([["k", "m-1", { v: 2 }], [undefined, "m-1", { v: 2 }]]);
    const later = memoryQueue();
    await run(publish(later, { delayMs: 60_000 }), "x").collect();
    expect(later.counts).toEqual({ waiting: 0, delayed: 1, inFlight: 0 });
  });

  test("finish and error parts, and what match refuses, pass by as the same objects", async () => {
    const queue = memoryQueue();
    const others = [finish({ reason: "stop" }), errorPart({ code: "unknown", message: "m", ordinal: 0 })];
    const passed = await run(publish(queue), others).collect();
    expect(passed[0]).toBe(others[0]);
    expect(passed[1]).toBe(others[1]);
    await run(publish(queue, { match: (part) => part.kind === "json" }), "x").collect();
    expect(queue.counts.waiting).toBe(0);
  });

  test("keeps the order of the parts, with several sends in progress", async () => {
    const inner = memoryQueue();
    let busy = 0;
    let most = 0;
    const queue: Queue = {
      ...inner,
      async send(...given) {
        most = Math.max(most, (busy += 1));
        for (let turn = 0; turn < 5; turn += 1) await Promise.resolve();
        busy -= 1;
        return inner.send(...given);
      },
    };
    const letters = [..."abcdefgh"];
    expect(await run(publish(queue, { concurrency: 3 }), letters).text()).toBe("abcdefgh");
    expect(most).toBe(3);
  });

  test('with message: "all" what it reads is one message, in a batch a group; the parts go on once it is confirmed', async () => {
    const queue = memoryQueue({ name: "jobs" });
    const parts = await run(batch({ count: 2 }, publish(queue, { message: "all", key: (part) => (isText(part) ? part.text : undefined) })), ["a", "b", json(3)], { correlationId: "c-1" }).collect();
    const deliveries = await all(queue, 2);
    expect(deliveries.map((it) => [words([it]), it.key, it.correlationId])).toEqual([[["a", "b"], "a", "c-1"], [["json"], undefined, "c-1"]]);
    expect(parts.map(({ metadata }) => (metadata["queue"] as { id: string }).id)).toEqual(["jobs/1", "jobs/1", "jobs/2"]);
    const receipts = await run(publish(queue, { message: "all", emit: "receipt" }), ["a", finish({ reason: "stop" }), "b"]).collect();
    expect(receipts.map(({ kind, substream }) => `${kind} ${substream}`)).toEqual(["json status", "finish "]);
  });

  test('with message: "all" nothing is sent of nothing, nor of an input that failed', async () => {
    const queue = memoryQueue();
    const stage = publish(queue, { message: "all" });
    expect(await run(stage, []).collect()).toEqual([]);
    expect(await run(stage, [finish({ reason: "stop" })]).collect()).toHaveLength(1);
    await expect(run(stage, (async function* () { yield "a"; throw new Error("cut"); })()).collect()).rejects.toThrow("cut");
    await expect(run(stage, Array.from({ length: 65 }, () => bytes(shared, "x/y"))).collect()).rejects.toMatchObject({ code: "too_large" });
    expect(queue.counts.waiting).toBe(0);
  });

  test("refuses, when it is built, bad options and what the queue lacks", () => {
    const queue = memoryQueue();
    const plain: Queue = { ...queue, lacks: { keys: "a list", delay: "no timers" } };
    expect(() => publish({} as Queue)).toThrow(/publish: queue must be a queue/);
    expect(() => publish(queue, { emit: "uri" as "part" })).toThrow(/publish: emit must be/);
    expect(() => publish(queue, { message: "run" as "all" })).toThrow(/publish: message must be/);
    expect(() => publish(queue, { concurrency: 0 })).toThrow(/publish: concurrency/);
    expect(() => publish(queue, { delayMs: -1 })).toThrow(/publish: delayMs/);
    expect(() => publish(queue, { key: "k" as unknown as () => string })).toThrow(/publish: key must be a function/);
    expect(() => publish(plain, { key: () => "k" })).toThrow(/one with keys, got "memory: a list"/);
    expect(() => publish(plain, { delayMs: 1 })).toThrow(/can delay/);
  });
});
