import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Due, type DueNode } from "../../src/delivery/due.ts";
import { fakeClock } from "../../src/testing/index.ts";

describe("one timer for many", () => {
  test("each is called when its own time is over, once", async () => {
    const clock = fakeClock();
    const calls: string[] = [];
    const due = new Due<string>(clock, 100, (item) => calls.push(`${item} ${clock.now()}`));
    due.begin("a");
    await clock.advance(30);
    due.begin("b");
    due.begin("c");
    expect(clock.pending).toBe(1);
    await clock.advance(1_000);
    expect([calls, clock.pending]).toEqual([["a 100", "b 130", "c 130"], 0]);
  });

  test("what begins anew while another is due does not keep those waiting that are between them", async () => {
    const clock = fakeClock();
    const calls: string[] = [];
    const due: Due<string> = new Due(clock, 100, (item) => {
      calls.push(`${item} ${clock.now()}`);
      if (item === "a" && clock.now() < 300) due.begin("a");
    });
    due.begin("a");
    await clock.advance(30);
    due.begin("b");
    await clock.advance(1_000);
    expect(calls).toEqual(["a 100", "b 130", "a 200", "a 300"]);
  });

  test("no timer is left when the last is dropped, nor after it is closed", async () => {
    const clock = fakeClock();
    const calls: string[] = [];
    const due = new Due<string>(clock, 100, (item) => calls.push(item));
    const [a, b] = [due.begin("a"), due.begin("b")];
    due.drop(a);
    expect(clock.pending).toBe(1);
    due.drop(b);
    expect(clock.pending).toBe(0);
    due.begin("c");
    due.close();
    due.again(due.begin("d"));
    expect(clock.pending).toBe(0);
    await clock.advance(1_000);
    expect(calls).toEqual([]);
  });

  test("it calls whom timers of their own would call, at the same times", async () => {
    const doings = fc.array(fc.record({ item: fc.nat(5), doing: fc.constantFrom("begin", "again", "drop"), waitMs: fc.nat(60) }), { maxLength: 30 });
    await fc.assert(
      fc.asyncProperty(doings, async (all) => {
        const clock = fakeClock();
        const calls: string[] = [];
        const expected: string[] = [];
        const own = new Map<number, () => void>();
        const nodes = new Map<number, DueNode<number>>();
        const due = new Due<number>(clock, 100, (item) => calls.push(`${clock.now()} ${item}`));
        for (const { item, doing, waitMs } of all) {
          const node = nodes.get(item);
          const runs = own.has(item);
          own.get(item)?.();
          own.delete(item);
          if (doing === "begin" && node !== undefined) due.drop(node);
          if (doing === "begin") nodes.set(item, due.begin(item));
          else if (node !== undefined) due[doing](node); // of one that is over, nothing
          if (doing === "begin" || (doing === "again" && runs)) {
            own.set(item, clock.timeout(100, () => {
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
