import fc from "fast-check";
import { describe, expect, it, test } from "vitest";
import { memoryKeyValue } from "../../src/adapters/memory/index.ts";
import { advanceMarks } from "../../src/kinds/marks.ts";
import { fakeClock } from "../../src/testing/clock.ts";
import { keyValueContract } from "../../src/testing/contracts/key-value.ts";

const runs = Number(process.env.PROPERTY_RUNS ?? 200);
let clock = fakeClock();
keyValueContract(
  { describe, it },
  {
    name: "memory",
    open: () => {
      clock = fakeClock();
      return memoryKeyValue({ clock });
    },
    passTime: (ms) => clock.advance(ms),
  },
);

const bytes = (size: number): Uint8Array => new Uint8Array(size);

describe("memoryKeyValue", () => {
  test("gives up what was not used for longest, and counts keys and values", async () => {
    await using store = memoryKeyValue({ maxBytes: 30 });
    for (const key of ["a", "b", "c"]) await store.set(key, bytes(9));
    await store.get("a");
    await store.set("d", bytes(9));
    const left = await Promise.all(["a", "b", "c", "d"].map(async (key) => (await store.get(key)) !== undefined));
    expect(left).toEqual([true, false, true, true]);
    await store.set("e", bytes(29));
    expect(await store.get("a")).toBeUndefined();
    expect((await store.get("e"))?.byteLength).toBe(29);
  });

  test("values that are past make room before those that live", async () => {
    const clock = fakeClock();
    await using store = memoryKeyValue({ maxBytes: 30, clock });
    await store.set("old but alive", bytes(2));
    await store.set("past", bytes(6), { ttlMs: 10 });
    await clock.advance(10);
    await store.set("new", bytes(7));
    expect((await store.get("old but alive"))?.byteLength).toBe(2);
  });

  test("keeps and gives bytes of its own, also of and as a Buffer, whose slice is no copy", async () => {
    await using store = memoryKeyValue();
    const value = Buffer.from([1]);
    await store.set("a", value);
    value[0] = 2;
    const got = await store.get("a");
    expect(got).toEqual(Uint8Array.of(1));
    got?.fill(3);
    expect(await store.get("a")).toEqual(Uint8Array.of(1));
  });

  test("counts a value that is set again once", async () => {
    await using store = memoryKeyValue({ maxBytes: 30 });
    await store.set("stays", bytes(5));
    for (let i = 0; i < 10; i += 1) await store.set("again", bytes(9));
    expect((await store.get("stays"))?.byteLength).toBe(5);
  });

  test("refuses a value that it could not hold, and keeps what is there", async () => {
    await using store = memoryKeyValue({ maxBytes: 10 });
    await store.set("a", bytes(2));
    await expect(store.set("b", bytes(10))).rejects.toMatchObject({ code: "too_large" });
    expect((await store.get("a"))?.byteLength).toBe(2);
    expect(() => memoryKeyValue({ maxBytes: 0 })).toThrow(/maxBytes must be a whole number from 1, got number 0/);
  });

  test("holds what a plain map with times holds, whatever is done to it, and no timer", async () => {
    const key = fc.constantFrom("a", "b", "c");
    const step = fc.oneof(
      fc.record({ do: fc.constant("set" as const), key, size: fc.nat(4), ttlMs: fc.option(fc.integer({ min: 1, max: 30 }), { nil: undefined }), ifAbsent: fc.boolean() }),
      fc.record({ do: fc.constant("get" as const), key }),
      fc.record({ do: fc.constant("delete" as const), key }),
      fc.record({ do: fc.constant("wait" as const), ms: fc.integer({ min: 1, max: 20 }) }),
    );
    let nowMs = 0;
    const still = { now: () => nowMs, sleep: () => Promise.reject(new Error("sleeps")), timeout: () => { throw new Error("sets a timer"); } };
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
        const store = memoryKeyValue({ clock: still });
        const model = new Map<string, { readonly size: number; readonly untilMs: number }>();
        const alive = (name: string): number | undefined => {
          const entry = model.get(name);
          return entry === undefined || entry.untilMs <= nowMs ? undefined : entry.size;
        };
        for (const step of steps) {
          if (step.do === "wait") nowMs += step.ms;
          else if (step.do === "get") expect((await store.get(step.key))?.byteLength).toBe(alive(step.key));
          else if (step.do === "delete") {
            model.delete(step.key);
            await store.delete(step.key);
          } else {
            const { size, ttlMs, ifAbsent } = step;
            const sets = !ifAbsent || alive(step.key) === undefined;
            expect(await store.set(step.key, bytes(size), { ifAbsent, ...(ttlMs === undefined ? {} : { ttlMs }) })).toBe(sets);
            if (sets) model.set(step.key, { size, untilMs: nowMs + (ttlMs ?? Infinity) });
          }
        }
      }),
      { numRuns: runs },
    );
  });
});

describe("marks", () => {
  test("in every window no more passes than the rate and the burst allow, and what is refused passes after the wait it was told", () => {
    const plan = fc.record({
      costs: fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 20, maxLength: 60 }),
      gaps: fc.array(fc.integer({ min: 0, max: 40 }), { minLength: 20, maxLength: 60 }),
      withinMs: fc.integer({ min: 30, max: 200 }),
    });
    fc.assert(
      fc.property(plan, ({ costs, gaps, withinMs }) => {
        const marks = new Map<string, number>();
        const passed: { readonly atMs: number; readonly cost: number }[] = [];
        let nowMs = 0;
        for (const [i, cost] of costs.entries()) {
          nowMs += gaps[i] ?? 0;
          const steps = { cells: { byMs: cost, withinMs } };
          let result = advanceMarks(marks, steps, nowMs);
          if (!result.taken) {
            expect(advanceMarks(marks, steps, nowMs + result.waitMs - 0.01).taken).toBe(false);
            nowMs += result.waitMs;
            result = advanceMarks(marks, steps, nowMs);
          }
          expect(result.taken).toBe(true);
          passed.push({ atMs: nowMs, cost });
        }
        let most = -Infinity; // above what a window allows
        for (const [i, from] of passed.entries()) {
          let sum = 0;
          for (const { atMs, cost } of passed.slice(i)) {
            sum += cost;
            most = Math.max(most, sum - (atMs - from.atMs + withinMs));
          }
        }
        expect(most).toBeLessThanOrEqual(0.1);
      }),
      { numRuns: runs },
    );
  });

  test("what is refused leaves every mark where it was", () => {
    const marks = new Map([["a", 50]]);
    const { taken } = advanceMarks(marks, { a: { byMs: -90 }, b: { byMs: 10, withinMs: 5 } }, 0);
    expect([taken, marks.get("a"), marks.has("b")]).toEqual([false, 50, false]);
  });
});
