import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { each, type Processor, run, text } from "../../src/index.ts";
import { type BulkheadLimit, bulkhead, bulkheadLimit } from "../../src/resilience/bulkhead.ts";
import { type FakeClock, fakeClock } from "../../src/testing/clock.ts";
import { stalledSource, watchedSource } from "../../src/testing/watched-source.ts";
import { gate, type Gate, opaque, soon, turns } from "../streams/support.ts";
import { admissionCases } from "./admission-cases.ts";

const runs = Number(process.env.PROPERTY_RUNS ?? 200);

admissionCases("bulkhead", () => {
  const clock = fakeClock();
  const limit = bulkheadLimit({ concurrency: 2, clock });
  return { wrap: (processor) => bulkhead(processor, { limit }), held: () => limit.active + limit.waiting + clock.pending };
});

/** A processor whose calls end when the test says so, and what it saw. */
function gated(): { readonly processor: Processor; readonly started: string[]; readonly gates: Gate[]; most(): number } {
  const started: string[] = [];
  const gates: Gate[] = [];
  let now = 0;
  let most = 0;
  const processor: Processor = async function* (input) {
    const mine = gate();
    gates.push(mine);
    now += 1;
    most = Math.max(most, now);
    try {
      for await (const part of input) {
        started.push(part.kind === "text" ? part.text : part.kind);
        await mine.promise;
        yield part;
      }
    } finally {
      now -= 1;
    }
  };
  return { processor, started, gates, most: () => most };
}

const limited = (limits: { concurrency: number; queue: number; waitMs?: number }): { clock: FakeClock; limit: BulkheadLimit } => {
  const clock = fakeClock();
  return { clock, limit: bulkheadLimit({ ...limits, clock }) };
};

describe("P3: bulkhead", () => {
  test("runs so many streams at once, the others in the order of coming", async () => {
    const { clock, limit } = limited({ concurrency: 2, queue: 10 });
    const { processor, started, gates, most } = gated();
    const stage = bulkhead(processor, { limit });
    const all = Promise.all(["a", "b", "c", "d", "e"].map((name) => run(stage, name).text()));
    await turns(2);
    expect([started, limit.active, limit.waiting]).toEqual([["a", "b"], 2, 3]);
    gates[1]?.open();
    await turns(2);
    expect([started, limit.active, limit.waiting]).toEqual([["a", "b", "c"], 2, 2]);
    gates[0]?.open();
    for (let i = 2; i < 5; i += 1) {
      await turns(2);
      gates[i]?.open();
    }
    expect(await soon(all)).toEqual(["a", "b", "c", "d", "e"]);
    expect([started, most(), limit.active, limit.waiting, clock.pending]).toEqual([["a", "b", "c", "d", "e"], 2, 0, 0, 0]);
  });

  test("holds its place for the life of the stream, not for one part", async () => {
    const { limit } = limited({ concurrency: 1, queue: 1 });
    const stage = bulkhead(opaque, { limit });
    const first = run(stage, ["a", "b"])[Symbol.asyncIterator]();
    await first.next();
    const second = run(stage, ["c"]).text();
    await turns(2);
    expect([limit.active, limit.waiting]).toEqual([1, 1]);
    await first.next();
    await turns(2);
    expect(limit.waiting).toBe(1);
    await first.return?.();
    expect(await soon(second)).toBe("c");
  });

  test("a full queue refuses at once, names the option, and neither the processor nor the input is touched", async () => {
    const { limit } = limited({ concurrency: 1, queue: 1 });
    const { processor, started, gates } = gated();
    const stage = bulkhead(processor, { limit });
    const running = Promise.all([run(stage, "a").text(), run(stage, "b").text()]);
    await turns(1);
    const source = watchedSource(1);
    await expect(run(stage, source).text()).rejects.toMatchObject({
      code: "unavailable",
      scope: "dependency",
      message: "bulkhead: 1 calls under way (concurrency 1) and 1 waiting (queue 1): full",
    });
    expect([source.opened, started]).toEqual([0, ["a"]]);
    gates[0]?.open();
    await turns(2);
    gates[1]?.open();
    expect(await soon(running)).toEqual(["a", "b"]);
  });

  test("without a queue one call after the other is never refused, whichever way they end", async () => {
    const { limit } = limited({ concurrency: 1, queue: 0 });
    const [good, bad] = [bulkhead(opaque, { limit }), bulkhead(each(() => { throw "E"; }), { limit })];
    for (let i = 0; i < 50; i += 1) {
      expect(await run(good, "a").text()).toBe("a");
      await expect(run(bad, "a").text()).rejects.toBe("E");
      for await (const _ of run(good, ["a", "b"])) break;
    }
    expect(limit.active).toBe(0);
  });

  test("a wait that is too long is refused, names the option, and gives up the place", async () => {
    const { clock, limit } = limited({ concurrency: 1, queue: 2, waitMs: 50_000 });
    const iterator = run(bulkhead(opaque, { limit }), stalledSource(["a"]))[Symbol.asyncIterator]();
    await iterator.next();
    const source = watchedSource(1);
    const waiting = run(bulkhead(opaque, { limit }), source).text();
    waiting.catch(() => {});
    await clock.advance(49_999);
    expect(limit.waiting).toBe(1);
    await clock.advance(1);
    await expect(soon(waiting)).rejects.toMatchObject({ code: "unavailable", message: "bulkhead: waited 50000 ms (waitMs) for one of 1 calls to end" });
    expect([limit.waiting, clock.pending, source.opened]).toEqual([0, 0, 0]);
    await iterator.return?.();
    expect(limit.active).toBe(0);
  });

  test("an abort or a return while waiting leaves the queue at once; those behind move up", async () => {
    const { clock, limit } = limited({ concurrency: 1, queue: 3 });
    const stage = bulkhead(opaque, { limit });
    const holder = run(stage, ["a", "b"])[Symbol.asyncIterator]();
    await holder.next();
    const controller = new AbortController();
    const source = watchedSource(1);
    const aborted = run(stage, source, { signal: controller.signal }).text();
    const iterator = run(stage, "left")[Symbol.asyncIterator]();
    const pending = iterator.next();
    const last = run(stage, "last").text();
    await turns(1);
    expect(limit.waiting).toBe(3);
    const reason = new Error("enough");
    controller.abort(reason);
    await expect(soon(aborted)).rejects.toBe(reason);
    await soon(Promise.resolve(iterator.return?.()));
    expect((await soon(pending)).done).toBe(true);
    expect([limit.waiting, source.opened]).toEqual([1, 0]);
    await holder.return?.();
    expect(await soon(last)).toBe("last");
    expect([limit.active, limit.waiting, clock.pending]).toEqual([0, 0, 0]);
  });

  test("a call that is left in the very turn in which it is let in gives its place back", async () => {
    const { limit } = limited({ concurrency: 1, queue: 3 });
    const stage = bulkhead(opaque, { limit });
    for (let microtasks = 0; microtasks < 12; microtasks += 1) {
      const iterator = run(stage, "a")[Symbol.asyncIterator]();
      const pending = iterator.next();
      for (let i = 0; i < microtasks; i += 1) await Promise.resolve();
      await iterator.return?.();
      await soon(pending);
      await turns(1);
      expect([microtasks, limit.active]).toEqual([microtasks, 0]);
    }
  });

  test("two processors share a limit, and each without one has its own", async () => {
    const limit = bulkheadLimit({ concurrency: 1, queue: 0 });
    const held = run(bulkhead(opaque, { limit }), ["a", "b"])[Symbol.asyncIterator]();
    await held.next();
    await expect(run(bulkhead(opaque, { limit }), "b").text()).rejects.toMatchObject({ code: "unavailable" });
    expect(await run(bulkhead(opaque, { concurrency: 1, queue: 0 }), "c").text()).toBe("c");
    await held.return?.();
  });

  test("the queue does not grow with calls that gave up", async () => {
    const { clock, limit } = limited({ concurrency: 1, queue: 1 });
    const stage = bulkhead(opaque, { limit });
    const holder = run(stage, ["a", "b"])[Symbol.asyncIterator]();
    await holder.next();
    for (let i = 0; i < 2_000; i += 1) {
      const iterator = run(stage, "x")[Symbol.asyncIterator]();
      void iterator.next();
      await iterator.return?.();
    }
    expect([limit.waiting, clock.pending]).toEqual([0, 0]);
    await holder.return?.();
  });

  test("bad options are refused when it is built", () => {
    for (const [options, option] of [[{ concurrency: 0 }, "concurrency"], [{ concurrency: 1.5 }, "concurrency"], [{ queue: -1 }, "queue"], [{ waitMs: 0 }, "waitMs"], [{ waitMs: NaN }, "waitMs"]] as const) {
      expect(() => bulkhead(opaque, options)).toThrow(expect.objectContaining({ code: "invalid_input", message: expect.stringContaining(option) }));
    }
    expect(() => bulkhead(opaque, { limit: {} as BulkheadLimit })).toThrow(/limit must be a limit that bulkheadLimit made/);
    expect(() => bulkhead(opaque, { limit: bulkheadLimit(), queue: 3 })).toThrow(/queue beside limit/);
    expect(() => bulkhead(undefined as unknown as Processor)).toThrow(/argument 1/);
  });

  test("whatever the calls do, never more run than the limit says, none is lost, and nothing is held at the end", async () => {
    const plan = fc.record({
      concurrency: fc.integer({ min: 1, max: 3 }),
      queue: fc.integer({ min: 0, max: 4 }),
      calls: fc.array(fc.record({ does: fc.constantFrom("end", "fail", "break", "abort"), turns: fc.nat(6), starts: fc.nat(6) }), { maxLength: 12 }),
    });
    await fc.assert(
      fc.asyncProperty(plan, async ({ concurrency, queue, calls }) => {
        const { clock, limit } = limited({ concurrency, queue });
        let now = 0;
        let most = 0;
        const spin = async (count: number): Promise<void> => {
          for (let i = 0; i < count * 5; i += 1) await Promise.resolve();
        };
        const outcomes = await Promise.all(
          calls.map(async ({ does, turns, starts }) => {
            await spin(starts);
            const controller = new AbortController();
            const inner: Processor = async function* () {
              now += 1;
              most = Math.max(most, now);
              try {
                yield text("a");
                await spin(turns);
                if (does === "fail") throw "E";
                yield text("b");
              } finally {
                now -= 1;
              }
            };
            if (does === "abort") void spin(turns).then(() => controller.abort("aborted"));
            let seen = "";
            try {
              for await (const part of run(bulkhead(inner, { limit }), "x", { signal: controller.signal })) {
                seen += part.kind === "text" ? part.text : "";
                if (does === "break") return "break";
              }
              return seen;
            } catch (error) {
              return typeof error === "string" ? error : (error as { code: string }).code;
            }
          }),
        );
        await turns(1);
        const expected = { end: "ab", fail: "E", break: "break" };
        for (const [i, { does }] of calls.entries()) {
          if (does === "abort") expect(["aborted", "ab", "unavailable"]).toContain(outcomes[i]);
          else expect([expected[does as keyof typeof expected], "unavailable"]).toContain(outcomes[i]);
        }
        if (calls.length <= queue) expect(outcomes).not.toContain("unavailable");
        expect(most).toBeLessThanOrEqual(concurrency);
        expect([limit.active, limit.waiting, clock.pending, now]).toEqual([0, 0, 0, 0]);
      }),
      { numRuns: runs },
    );
  });
});
