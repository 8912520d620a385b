import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Lru } from "../../src/resilience/caching/lru.ts";
import { fakeClock } from "../../src/testing/index.ts";

/** What an entry costs besides its value: two bytes a character of the key, and the entry itself. */
const overhead = (key: string): number => 2 * key.length + 128;

describe("Lru", () => {
  test("keeps what just fits, and not what is a byte larger than all there is", () => {
    const lru = new Lru<string>(1_000, fakeClock());
    lru.set("a", "x", { bytes: 1_000 - overhead("a") + 1, ttlMs: 1 });
    expect([lru.get("a"), lru.size, lru.bytes]).toEqual([undefined, 0, 0]);
    lru.set("a", "y", { bytes: 1_000 - overhead("a"), ttlMs: 1 });
    expect([lru.get("a"), lru.size, lru.bytes]).toEqual(["y", 1, 1_000]);
    lru.set("a", "z", { bytes: 5_000, ttlMs: 1 }); // the old value is not the value any more
    expect([lru.get("a"), lru.bytes]).toEqual([undefined, 0]);
  });

  test("P5: against a list that is searched: any sets, gets and times", () => {
    const clock = fakeClock();
    const command = fc.oneof(
      fc.record({ do: fc.constant("set" as const), key: fc.constantFrom("a", "b", "c", "d"), bytes: fc.nat(500), ttlMs: fc.nat(50) }),
      fc.record({ do: fc.constant("get" as const), key: fc.constantFrom("a", "b", "c", "d") }),
      fc.record({ do: fc.constant("wait" as const), ms: fc.nat(20) }),
    );
    fc.assert(
      fc.property(fc.array(command, { maxLength: 30 }), (commands) => {
        let nowMs = 0;
        const lru = new Lru<number>(1_000, { ...clock, now: () => nowMs });
        let model: { key: string; value: number; cost: number; untilMs: number }[] = []; // the oldest use first
        for (const [value, step] of commands.entries()) {
          if (step.do === "wait") nowMs += step.ms;
          else if (step.do === "set") {
            model = model.filter(({ key }) => key !== step.key);
            const cost = step.bytes + overhead(step.key);
            lru.set(step.key, value, step);
            if (cost <= 1_000) model.push({ key: step.key, value, cost, untilMs: nowMs + step.ttlMs });
            while (model.reduce((sum, entry) => sum + entry.cost, 0) > 1_000) model.shift();
          } else {
            const found = model.find(({ key }) => key === step.key);
            model = model.filter((entry) => entry !== found);
            const alive = found !== undefined && found.untilMs > nowMs;
            if (alive) model.push(found);
            expect(lru.get(step.key)).toBe(alive ? found.value : undefined);
          }
          expect([lru.size, lru.bytes]).toEqual([model.length, model.reduce((sum, entry) => sum + entry.cost, 0)]);
        }
      }),
      { numRuns: Number(process.env.PROPERTY_RUNS ?? 200) },
    );
  });
});
