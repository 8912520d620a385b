import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { bytes, each, isMillraceError, pipe, run, status, text } from "../../src/index.ts";
import { fakeClock, stalledSource, watchedSource } from "../../src/testing/index.ts";
import { fault, type Fault, type FaultPlan } from "../../src/testing/fault.ts";
import { opaque, soon, texts, turns } from "../streams/support.ts";

const abc = ["a", "b", "c"];

/** What came, and how it ended. */
async function outcome(plan: FaultPlan, input: Parameters<typeof run>[1] = abc): Promise<string> {
  const seen: string[] = [];
  try {
    for await (const part of run(fault(opaque, plan), input)) seen.push(texts([part])[0] ?? "");
  } catch (error) {
    seen.push(isMillraceError(error) ? `${error.code}!` : String(error));
  }
  return seen.join(" ");
}

describe("faults", () => {
  test.each<[string, readonly Fault[], string]>([
    ["none", [], "a b c"],
    ["an error before a part", [{ kind: "error", at: 1 }], "a unavailable!"],
    ["an error before the first", [{ kind: "error", at: 0, code: "rate_limited" }], "rate_limited!"],
    ["an error after a part", [{ kind: "error", at: 1, when: "after", code: "bad_response" }], "a b bad_response!"],
    ["an error instead of the end", [{ kind: "error", at: 3, code: "timeout" }], "a b c timeout!"],
    ["an error after the last part", [{ kind: "error", at: 2, when: "after" }], "a b c unavailable!"],
    ["an error that is never reached", [{ kind: "error", at: 4 }], "a b c"],
    ["a cut", [{ kind: "truncate", at: 2 }], "a b truncated!"],
    ["a silent cut", [{ kind: "truncate", at: 2, silent: true }], "a b"],
    ["a part twice", [{ kind: "duplicate", at: 1 }], "a b b c"],
    ["a part lost", [{ kind: "drop", at: 1 }], "a c"],
    ["two parts swapped", [{ kind: "swap", at: 0 }], "b a c"],
    ["the last part swapped with nothing", [{ kind: "swap", at: 2 }], "a b c"],
    ["every part twice", [{ kind: "duplicate" }], "a a b b c c"],
    ["several", [{ kind: "duplicate", at: 0 }, { kind: "drop", at: 1 }, { kind: "error", at: 2, when: "after" }], "a a c unavailable!"],
    ["one that never strikes", [{ kind: "drop", chance: 0 }], "a b c"],
    ["one that always strikes", [{ kind: "drop", chance: 1 }], ""],
  ])("%s", async (_, faults, expected) => {
    expect(await outcome({ faults })).toBe(expected);
  });

  test("the error carries what the plan says", async () => {
    const plan: FaultPlan = { faults: [{ kind: "error", code: "rate_limited", message: "later", retryAfterMs: 70 }] };
    await expect(run(fault(opaque, plan), "x").collect()).rejects.toMatchObject({ code: "rate_limited", message: "later", retryAfterMs: 70 });
  });

  test("bytes come in pieces, and in another order, the same for the same seed; nothing is lost", async () => {
    const all = bytes(Uint8Array.from({ length: 100 }, (_, i) => i), "application/x", { metadata: { n: 1 } });
    const pieces = async (plan: Fault): Promise<number[][]> =>
      (await run(fault(opaque, { faults: [plan] }), [text("t"), all]).collect()).map((part) => (part.kind === "bytes" && part.metadata.n === 1 ? [...part.bytes] : []));
    expect(await pieces({ kind: "cut", split: 30 })).toEqual([[], ...[[0, 30], [30, 60], [60, 90], [90, 100]].map(([from = 0, to = 0]) => Array.from(all.bytes.subarray(from, to)))]);
    const shuffled = await pieces({ kind: "cut", split: 7, shuffle: 3 });
    expect(shuffled).toEqual(await pieces({ kind: "cut", split: 7, shuffle: 3 }));
    expect(shuffled.flat()).not.toEqual([...all.bytes]);
    expect(shuffled.flat().toSorted((a, b) => a - b)).toEqual([...all.bytes]);
  });

  test("calls after the faulty ones go well", async () => {
    const flaky = fault(opaque, { calls: 2, faults: [{ kind: "error", at: 1 }] });
    const results = await Promise.allSettled([1, 2, 3].map(() => run(flaky, abc).text()));
    expect(results.map(({ status: how }) => how)).toEqual(["rejected", "rejected", "fulfilled"]);
  });

  test("a chance strikes as often as it says, the same way for the same seed", async () => {
    const count = async (seed: number): Promise<number> => (await run(fault(opaque, { seed, faults: [{ kind: "drop", chance: 0.3 }] }), Array.from({ length: 2_000 }, () => "x")).collect()).length;
    const kept = await count(1);
    expect(kept).toBeGreaterThan(1_300);
    expect(kept).toBeLessThan(1_500);
    expect(await count(1)).toBe(kept);
    expect(await count(2)).not.toBe(kept);
  });

  test("status parts pass and are not counted", async () => {
    const talks = each((part) => [status("s"), part]);
    const parts = await run(fault(talks, { faults: [{ kind: "drop", at: 1 }] }), abc).collect();
    expect(texts(parts).toSorted()).toEqual(["a", "c", "s", "s", "s"]);
    async function* bare(): AsyncGenerator<ReturnType<typeof text>> {
      yield status("s");
      yield text("a");
      yield text("b");
    }
    expect(texts(await run(fault(bare, { faults: [{ kind: "drop", at: 1 }] }), "x").collect())).toEqual(["s", "a"]);
  });

  test("slowness is by the clock", async () => {
    const clock = fakeClock();
    const at: number[] = [];
    const running = run(fault(opaque, { faults: [{ kind: "slow", ms: 500 }] }, { clock }), abc).forEach(() => at.push(clock.now()));
    await clock.advance(5_000);
    await running;
    expect([at, clock.pending]).toEqual([[500, 1_000, 1_500], 0]);
  });

  test("a stall and a slow part hear an abort and leaving, and the source is closed once", async () => {
    const clock = fakeClock();
    for (const kind of [{ kind: "stall", at: 1 }, { kind: "slow", ms: 1_000, at: 1 }] as const) {
      for (const how of ["abort", "leave"] as const) {
        const source = watchedSource(Infinity);
        const controller = new AbortController();
        const reason = new Error("enough");
        const iterator = run(fault(opaque, { faults: [kind] }, { clock }), source, { signal: controller.signal })[Symbol.asyncIterator]();
        await iterator.next();
        const pending = iterator.next();
        await turns();
        if (how === "abort") {
          controller.abort(reason);
          await expect(soon(pending)).rejects.toBe(reason);
        } else {
          await soon(Promise.resolve(iterator.return?.()));
          expect(await soon(pending)).toEqual({ value: undefined, done: true });
        }
        await turns();
        expect([source.closed, clock.pending]).toEqual([1, 0]);
      }
    }
  });

  test("an error and a cut close the source once; an end does not", async () => {
    for (const [faults, closed] of [[[{ kind: "error", at: 1 }], 1], [[{ kind: "truncate", at: 1 }], 1], [[{ kind: "truncate", at: 1, silent: true }], 1], [[], 0]] as const) {
      const source = watchedSource(3);
      await run(fault(opaque, { faults }), source).collect().catch(() => {});
      expect(source.closed).toBe(closed);
    }
    const parked = stalledSource();
    const iterator = run(fault(pipe(), { faults: [] }), parked)[Symbol.asyncIterator]();
    const pending = iterator.next();
    await turns();
    await soon(Promise.resolve(iterator.return?.()));
    expect([await pending, parked.closed]).toEqual([{ value: undefined, done: true }, 1]);
  });

  test("any plan of data is followed to some end", async () => {
    const place = { at: fc.option(fc.nat(6), { nil: undefined }), chance: fc.option(fc.constantFrom(0, 0.5, 1), { nil: undefined }) };
    const one: fc.Arbitrary<Fault> = fc.oneof(
      fc.record({ kind: fc.constant("error" as const), when: fc.constantFrom("before" as const, "after" as const) }),
      fc.record({ kind: fc.constant("truncate" as const), silent: fc.boolean() }),
      fc.record({ kind: fc.constantFrom("duplicate" as const, "drop" as const, "swap" as const) }),
    ).chain((kind) => fc.record(place, { noNullPrototype: true }).map(({ at, chance }) => ({ ...kind, ...(at === undefined ? {} : { at }), ...(chance === undefined ? {} : { chance }) })));
    await fc.assert(
      fc.asyncProperty(fc.array(one, { maxLength: 4 }), fc.nat(5), fc.nat(100), async (faults, length, seed) => {
        const plan = JSON.parse(JSON.stringify({ faults, seed })) as FaultPlan;
        const input = Array.from({ length }, (_, i) => String(i));
        const first = await outcome(plan, input);
        expect(await outcome(plan, input)).toBe(first);
        const changing = faults.some(({ kind, chance }) => ["duplicate", "drop", "swap"].includes(kind) && chance !== 0);
        if (!changing) expect(input.join(" ").startsWith(first.replace(/ ?\w+!$/, ""))).toBe(true);
      }),
      { numRuns: Number(process.env.PROPERTY_RUNS ?? 200) },
    );
  });

  test("a plan that is none is refused at construction", () => {
    const bad: readonly unknown[] = [undefined, {}, { faults: [{ kind: "explode" }] }, { faults: [{ kind: "drop", at: -1 }] }, { faults: [{ kind: "drop", chance: 2 }] }, { faults: [{ kind: "slow" }] }, { faults: [], calls: -1 }];
    for (const plan of bad) expect(() => fault(opaque, plan as FaultPlan)).toThrow(/^fault: plan/);
  });
});
