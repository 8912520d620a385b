import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { each, MillraceError, tap } from "../../src/index.ts";
import { Lanes } from "../../src/delivery/lanes.ts";
import { consume } from "../../src/delivery/worker.ts";
import { fakeClock } from "../../src/testing/index.ts";
import { filled, gate, like, turns, until, wordOf, written } from "./support.ts";

const runs = Number(process.env.PROPERTY_RUNS ?? 200);
const keyOf = (word: string): string => word.slice(0, 1);

describe("D6: the order in which messages are worked on", () => {
  test('with "key" those of one key come one after the other, while others run', async () => {
    const queue = await filled(["k1", "k2", "l1", "l2"], { key: keyOf });
    const holding = gate();
    const begun: string[] = [];
    const processor = each(async (part) => {
      begun.push(wordOf(part));
      if (wordOf(part) === "k1") await holding.promise;
    });
    await using worker = consume(queue, processor, undefined, { ordering: "key", concurrency: 4 });
    await until(() => worker.counters.acked === 2);
    await turns();
    expect(begun).toEqual(["k1", "l1", "l2"]);
    holding.open();
    await until(() => worker.counters.acked === 4);
    expect(begun).toEqual(["k1", "l1", "l2", "k2"]);
  });

  test('with "key" a retry holds up its own key alone, and takes no place from the others', async () => {
    const clock = fakeClock();
    const queue = await filled(["k1", "k2", "l1", "l2", "l3"], { clock, key: keyOf });
    const done: string[] = [];
    let failing = 2;
    const processor = tap((part) => {
      if (wordOf(part) === "k1" && failing-- > 0) throw new TypeError("again");
      done.push(wordOf(part));
    });
    await using worker = consume(queue, processor, undefined, { ordering: "key", concurrency: 1, maxInFlight: 5, clock, random: () => 0.5 });
    await until(() => worker.counters.acked === 3);
    expect(done).toEqual(["l1", "l2", "l3"]);
    await until(() => worker.counters.acked === 5, clock);
    expect(done).toEqual(["l1", "l2", "l3", "k1", "k2"]);
    expect(worker.counters.received).toBe(5); // it was not given back: what is behind it would have overtaken it
  });

  test('with "strict" all come one after the other, whatever the concurrency, also over retries and pauses', async () => {
    const clock = fakeClock();
    const queue = await filled(["a", "b", "c", "d"], { clock });
    const done: string[] = [];
    const troubles: unknown[] = [new TypeError("again"), new MillraceError("unavailable", "down"), new TypeError("again")];
    const processor = tap((part) => {
      if (wordOf(part) !== "a" && troubles.length > 0) throw troubles.shift();
      done.push(wordOf(part));
    });
    await using worker = consume(queue, processor, undefined, { ordering: "strict", concurrency: 4, clock });
    await until(() => worker.counters.acked === 4, clock);
    expect(done).toEqual(["a", "b", "c", "d"]);
  });

  test('with "none" what failed comes again after later ones', async () => {
    const clock = fakeClock();
    const queue = await filled(["a", "b"], { clock });
    const sink = written();
    let failing = 1;
    const processor = tap(() => {
      if (failing-- > 0) throw new TypeError("again");
    });
    await using worker = consume(queue, processor, sink, { clock });
    await until(() => worker.counters.acked === 2, clock);
    expect(sink.words).toEqual(["b", "a"]);
  });

  test("a log is not given back to: attempts are made in place", async () => {
    const clock = fakeClock();
    const inner = await filled(["a", "b"], { clock });
    const queue = like(inner, { redelivery: "seek" });
    const sink = written();
    const troubles: unknown[] = [new TypeError("again"), new MillraceError("unavailable", "down")];
    const processor = tap((part) => {
      if (wordOf(part) === "a" && troubles.length > 0) throw troubles.shift();
    });
    await using worker = consume(queue, processor, sink, { clock });
    await until(() => worker.counters.acked === 2, clock);
    expect([worker.counters.received, worker.counters.nacked]).toEqual([2, 0]);
  });
});

describe("lanes", () => {
  test("keep the order within each lane, never two at once in one, and forget lanes that nobody is in", async () => {
    const key = fc.constantFrom("k", "l", "m", undefined);
    await fc.assert(
      fc.asyncProperty(fc.array(fc.array(key, { minLength: 1, maxLength: 3 }), { maxLength: 12 }), fc.infiniteStream(fc.nat(3)), async (groups, delays) => {
        const lanes = new Lanes("key");
        const busy = new Set<string>();
        const order = new Map<string, number[]>();
        await Promise.all(
          groups.map(async (keys, index) => {
            const place = lanes.enter(keys);
            await place.turn;
            const own = new Set(keys.filter((it) => it !== undefined));
            for (const lane of own) {
              expect(busy.has(lane)).toBe(false);
              busy.add(lane);
              order.set(lane, [...(order.get(lane) ?? []), index]);
            }
            for (let turn = 0; turn < (delays.next().value ?? 0); turn += 1) await Promise.resolve();
            for (const lane of own) busy.delete(lane);
            place.leave();
          }),
        );
        for (const indices of order.values()) expect(indices).toEqual(indices.toSorted((a, b) => a - b));
        expect(lanes.size).toBe(0);
      }),
      { numRuns: runs },
    );
  });
});
