import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Deadline, Deadlines } from "../../src/core/deadlines.ts";
import { fakeClock } from "../../src/testing/index.ts";

describe("one timer for many", () => {
  test("each is called when its own time is over, once", async () => {
    const clock = fakeClock();
    const calls: string[] = [];
    const due = new Deadlines<string>(clock, (item) => calls.push(`${item} ${clock.now()}`));
    due.begin("a", 100);
    await clock.advance(30);
    due.begin("b", 100);
    due.begin("c", 100);
    expect(clock.pending).toBe(1);
    await clock.advance(1_000);
    expect([calls, clock.pending]).toEqual([["a 100", "b 130", "c 130"], 0]);
  });

  test("what begins anew while another is due does not keep those waiting that are between them", async () => {
    const clock = fakeClock();
    const calls: string[] = [];
    const due: Deadlines<string> = new Deadlines(clock, (item) => {
      calls.push(`${item} ${clock.now()}`);
      if (item === "a" && clock.now() < 300) due.begin("a", 100);
    });
    due.begin("a", 100);
    await clock.advance(30);
    due.begin("b", 100);
    await clock.advance(1_000);
    expect(calls).toEqual(["a 100", "b 130", "a 200", "a 300"]);
  });

  test("one that ends before all others is called before them", async () => {
    const clock = fakeClock();
    const calls: string[] = [];
    const due = new Deadlines<string>(clock, (item) => calls.push(`${item} ${clock.now()}`));
    due.begin("a", 100);
    due.begin("b", 20);
    due.again(due.begin("c", 500), 50);
    expect(clock.pending).toBe(1);
    await clock.advance(1_000);
    expect(calls).toEqual(["b 20", "c 50", "a 100"]);
  });

  test("no timer is left when the last is dropped, nor after it is closed", async () => {
    const clock = fakeClock();
    const calls: string[] = [];
    const due = new Deadlines<string>(clock, (item) => calls.push(item));
    const [a, b] = [due.begin("a", 100), due.begin("b", 100)];
    due.drop(a);
    expect(clock.pending).toBe(1);
    due.drop(b);
    expect(clock.pending).toBe(0);
    due.begin("c", 100);
    due.close();
    due.again(due.begin("d", 100), 100);
    expect(clock.pending).toBe(0);
    await clock.advance(1_000);
    expect(calls).toEqual([]);
  });

  test("it calls whom timers of their own would call, at the same times", async () => {
    const doings = fc.array(fc.record({ item: fc.nat(5), doing: fc.constantFrom("begin", "again", "drop"), ms: fc.constantFrom(100, 100, 100, 30, 170), waitMs: fc.nat(60) }), { maxLength: 30 });
    await fc.assert(
      fc.asyncProperty(doings, async (all) => {
        const clock = fakeClock();
        const calls: string[] = [];
        const expected: string[] = [];
        const own = new Map<number, () => void>();
        const nodes = new Map<number, Deadline<number>>();
        const due = new Deadlines<number>(clock, (item) => calls.push(`${clock.now()} ${item}`));
        for (const { item, doing, ms, waitMs } of all) {
          const node = nodes.get(item);
          const runs = own.has(item);
          own.get(item)?.();
          own.delete(item);
          if (doing === "begin" && node !== undefined) due.drop(node);
          if (doing === "begin") nodes.set(item, due.begin(item, ms));
          else if (node !== undefined) due[doing](node, ms); // of one that is over, nothing
          if (doing === "begin" || (doing === "again" && runs)) {
            own.set(item, clock.timeout(ms, () => {
              own.delete(item);
              expected.push(`${clock.now()} ${item}`);
            }));
          }
          await clock.advance(waitMs);
        }
        await clock.advance(200);
        expect(calls.toSorted()).toEqual(expected.toSorted());
      }),
      { numRuns: Math.min(40, Number(process.env.PROPERTY_RUNS ?? 200)) },
    );
  });
});
