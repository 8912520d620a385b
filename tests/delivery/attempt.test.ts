import { describe, expect, test } from "vitest";
import { memoryQueue } from "../../src/adapters/memory/index.ts";
import { each, MillraceError, type Part, pipe, type Processor, tap, text } from "../../src/index.ts";
import { errorPart } from "../../src/core/constructors.ts";
import { reset } from "../../src/core/reset.ts";
import type { DeadLetter } from "../../src/delivery/dead-letter.ts";
import type { Sink, SinkContext } from "../../src/delivery/sinks.ts";
import { consume } from "../../src/delivery/worker.ts";
import type { Journal } from "../../src/kinds/journal.ts";
import type { Delivery } from "../../src/kinds/queue.ts";
import { fakeClock } from "../../src/testing/index.ts";
import { filled, firstWord, gate, heardEvents, likeDeliveries, turns, until, wordOf } from "./support.ts";

describe("an attempt that was given up", () => {
  for (const record of [[], [text("x")]]) {
    test(`writes and flushes nothing when its journal answers at last, with ${record.length} parts`, async () => {
      const clock = fakeClock();
      const queue = await filled(["a"], { clock });
      const answering = gate();
      let asked = 0;
      const slow: Journal = {
        async *once() {
          if ((asked += 1) === 1) await answering.promise;
          yield* record;
        },
      };
      let effects = 0;
      const sink = { guarantee: "confirmed", write: async () => void (effects += 1), flush: async () => void (effects += 1) } as const;
      await using worker = consume(queue, pipe(), sink, { clock, journal: slow, deliveryTimeoutMs: 5_000 });
      await until(() => asked === 1);
      await clock.advance(5_000);
      answering.open();
      await turns();
      expect(effects).toBe(0);
      await until(() => worker.counters.acked === 1, clock);
    });
  }

  test("tells its sink so, also one that asks only then", async () => {
    const clock = fakeClock();
    const queue = await filled(["a"], { clock });
    const contexts: SinkContext[] = [];
    const reasons: unknown[] = [];
    const sink = (_: Part, context: SinkContext): Promise<void> => {
      contexts.push(context);
      if (contexts.length === 1) context.signal.addEventListener("abort", () => reasons.push(context.signal.reason));
      return contexts.length < 3 ? new Promise(() => {}) : Promise.resolve();
    };
    await using worker = consume(queue, pipe(), sink, { clock, deliveryTimeoutMs: 5_000 });
    await until(() => worker.counters.acked === 1, clock);
    expect(reasons).toMatchObject([{ code: "timeout", phase: "total" }]);
    expect(contexts.map(({ signal }) => signal.aborted)).toEqual([true, true, false]);
  });

  test("has its transaction rolled back only when the write that is on its way has ended", async () => {
    const clock = fakeClock();
    const queue = await filled(["a"], { clock });
    const writing = gate();
    const log: string[] = [];
    const sink: Sink = {
      guarantee: "confirmed",
      write: async () => {},
      async atomic(_, write) {
        try {
          await write({ guarantee: "confirmed", write: async () => (log.push("write"), await writing.promise, void log.push("written")) });
          return "applied";
        } catch (error) {
          log.push("rolled back");
          throw error;
        }
      },
    };
    await using worker = consume(queue, pipe(), sink, { clock, deliveryTimeoutMs: 5_000 });
    await until(() => log.length === 1);
    await clock.advance(5_000);
    await turns();
    expect([log, worker.counters.nacked]).toEqual([["write"], 1]);
    writing.open();
    await turns();
    expect(log).toEqual(["write", "written", "rolled back"]);
  });
});

test("D8: what is lost while it waits for its turn is not run", async () => {
  const clock = fakeClock();
  const revoked = new AbortController();
  const queue = likeDeliveries(await filled(["first", "lost"], { clock }), (delivery) => (firstWord(delivery) === "lost" ? { ...delivery, signal: revoked.signal } : delivery));
  const working = gate();
  const begun: string[] = [];
  await using worker = consume(queue, tap((part) => (begun.push(wordOf(part)), working.promise)), undefined, { clock, maxInFlight: 2 });
  await until(() => worker.counters.inFlight === 2);
  revoked.abort(new MillraceError("closed", "revoked"));
  working.open();
  await until(() => worker.counters.lost === 1);
  expect([begun, worker.counters.acked]).toEqual([["first"], 1]);
});

test("D3: a transaction that is begun anew inside of one attempt has its keys from 0", async () => {
  const queue = await filled(["a"]);
  const keys: string[] = [];
  const target: Sink = { guarantee: "confirmed", write: async (_, { key }) => void keys.push(key) };
  const atomic: Sink["atomic"] = async (_, write) => {
    for (let turn = 0; turn < 2; turn += 1) await write(target);
    return "applied";
  };
  await using worker = consume(queue, each(() => ["x", "y"]), { ...target, atomic });
  await until(() => worker.counters.acked === 1);
  expect(keys).toEqual(["q/1@m1:0", "q/1@m1:1", "q/1@m1:0", "q/1@m1:1"]);
});

test("D12: a write that is confirmed is progress", async () => {
  const clock = fakeClock();
  const queue = await filled(["a"], { clock });
  const events = heardEvents();
  const processor: Processor = async function* () {
    yield text("x");
    await clock.sleep(299_000);
  };
  await using worker = consume(queue, processor, () => clock.sleep(299_000), { clock, onEvent: events.onEvent });
  await until(() => worker.counters.acked === 1, clock, 100_000);
  expect(events.kinds()).toEqual(["acked"]);
});

describe("what no sink can take", () => {
  test("a message that cannot be read begins no transaction, and the dead letter says where it failed", async () => {
    const queue = memoryQueue({ name: "q" });
    queue.put(new TextEncoder().encode("no JSON"));
    const letters: DeadLetter[] = [];
    let begun = 0;
    const sink: Sink = { guarantee: "confirmed", write: async () => {}, atomic: async (_, write) => ((begun += 1), await write(sink), "applied") };
    await using worker = consume(queue, pipe(), sink, { deadLetter: async ({ letter }) => void letters.push(letter) });
    await until(() => worker.counters.deadLettered === 1);
    expect([begun, letters[0]?.stage]).toEqual([0, "read"]);
  });

  test("an error part is the message's fault, whatever its code: it is set aside, not tried again", async () => {
    const codes: string[] = [];
    const queue = await filled(["unavailable", "timeout"]);
    const processor = each((part) => errorPart({ code: wordOf(part), message: "m", ordinal: 0 }));
    await using worker = consume(queue, processor, undefined, { deadLetter: async ({ letter }) => void codes.push(letter.code) });
    await until(() => worker.counters.deadLettered === 2);
    expect([codes, worker.counters.nacked]).toEqual([["unavailable", "timeout"], 0]);
  });

  test("a part that takes back what came before stops the worker", async () => {
    const worker = consume(await filled(["a"]), each(() => reset(1)), undefined);
    await expect(worker.finished).rejects.toMatchObject({ code: "missing_config" });
  });
});

test.skipIf(globalThis.gc === undefined)("a worker keeps nothing of what is settled", async () => {
  const refs: WeakRef<Delivery>[] = [];
  const queue = likeDeliveries(await filled(Array.from({ length: 100 }, (_, i) => String(i))), (delivery) => (refs.push(new WeakRef(delivery)), delivery));
  await using worker = consume(queue, pipe(), undefined);
  await until(() => worker.counters.acked === 100);
  await turns();
  globalThis.gc?.();
  await turns();
  globalThis.gc?.();
  expect(refs.filter((ref) => ref.deref() !== undefined).length).toBeLessThan(10); // the last ones may still be at hand
});
