import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { batch, buffer, each, isReserved, isText, isolate, type Part, parallel, pipe, type Processor, route, run, skip, status, take, text } from "../../src/index.ts";
import { reference, type ReferenceStage, watchedSource } from "../../src/testing/index.ts";
import { opaque } from "./support.ts";

const runs = Number(process.env.PROPERTY_RUNS ?? 250);

/** Kinds of part functions, told by a letter; all look at the text alone, so that both sides do the same. */
const functions: Readonly<Record<string, (name: string) => readonly string[]>> = {
  same: (name) => [name],
  twice: (name) => [name, `${name}'`],
  insert: (name) => ["i", name],
  drop: () => [],
  keepShort: (name) => (name.length < 4 ? [name] : []),
  grow: (name) => [`${name}g`],
  talk: (name) => [`!${name}`, name], // "!" becomes a status part
  fail: (name) => {
    if (name.includes("x")) throw new Error("x");
    return [name];
  },
};
/** How a result is given. */
const manners = ["part", "array", "promise", "generator", "async generator", "late promise"] as const;

interface EachPlan {
  readonly verb: "each";
  readonly fn: string;
  readonly manner: (typeof manners)[number];
  readonly concurrency: number;
  readonly matches: boolean;
}
type Plan =
  | EachPlan
  | { readonly verb: "opaque" }
  | { readonly verb: "buffer"; readonly count: number }
  | { readonly verb: "take" | "skip"; readonly count: number }
  | { readonly verb: "parallel"; readonly branches: readonly (readonly EachPlan[])[] }
  | { readonly verb: "route"; readonly routes: Readonly<Record<"a" | "b", readonly EachPlan[]>> }
  | { readonly verb: "isolate"; readonly stages: readonly EachPlan[] }
  | { readonly verb: "batch"; readonly count: number; readonly stages: readonly EachPlan[] };

const eachPlan: fc.Arbitrary<EachPlan> = fc.record({
  verb: fc.constant("each" as const),
  fn: fc.constantFrom(...Object.keys(functions)),
  manner: fc.constantFrom(...manners),
  concurrency: fc.constantFrom(1, 1, 1, 2, 4),
  matches: fc.boolean(),
});
const chain = fc.array(eachPlan, { maxLength: 3 });
const plan: fc.Arbitrary<Plan> = fc.oneof(
  { weight: 6, arbitrary: eachPlan as fc.Arbitrary<Plan> },
  { weight: 2, arbitrary: fc.constant({ verb: "opaque" as const }) },
  { weight: 1, arbitrary: fc.record({ verb: fc.constant("buffer" as const), count: fc.integer({ min: 0, max: 4 }) }) },
  { weight: 1, arbitrary: fc.record({ verb: fc.constantFrom("take" as const, "skip" as const), count: fc.integer({ min: 0, max: 5 }) }) },
  { weight: 2, arbitrary: fc.record({ verb: fc.constant("parallel" as const), branches: fc.array(chain, { minLength: 1, maxLength: 3 }) }) },
  { weight: 2, arbitrary: fc.record({ verb: fc.constant("route" as const), routes: fc.record({ a: chain, b: chain }) }) },
  { weight: 1, arbitrary: fc.record({ verb: fc.constant("isolate" as const), stages: chain }) },
  { weight: 1, arbitrary: fc.record({ verb: fc.constant("batch" as const), count: fc.integer({ min: 1, max: 3 }), stages: chain }) },
);
const input = fc.array(fc.constantFrom("a", "bb", "ccc", "x", "dddd", "!s"), { maxLength: 8 });

const toPart = (name: string): Part => (name.startsWith("!") ? status(name) : text(name));
const nameOf = (part: Part): string => (isText(part) ? part.text : part.kind);
const matching = (part: Part): boolean => nameOf(part).length % 2 === 1;
const select = (part: Part): "a" | "b" => (nameOf(part).startsWith("a") ? "a" : "b");

function call({ fn, manner }: EachPlan): (part: Part) => never {
  const make = (part: Part): Part[] => (functions[fn]?.(nameOf(part)) ?? []).map((name) => (name === nameOf(part) ? part : toPart(name)));
  const forms: Record<EachPlan["manner"], (part: Part) => unknown> = {
    part: (part) => {
      const made = make(part);
      return made.length > 1 ? made : made[0];
    },
    array: make,
    promise: async (part) => make(part),
    "late promise": async (part) => {
      for (let turn = nameOf(part).length % 3; turn > 0; turn -= 1) await new Promise((resolve) => setImmediate(resolve));
      return make(part);
    },
    generator: function* (part) {
      yield* make(part);
    },
    "async generator": async function* (part) {
      for (const made of make(part)) {
        await Promise.resolve();
        yield made;
      }
    },
  };
  return forms[manner] as (part: Part) => never;
}

function real(plan: Plan): Processor {
  switch (plan.verb) {
    case "each":
      return each(call(plan), { concurrency: plan.concurrency, ...(plan.matches ? { match: matching } : {}) });
    case "opaque":
      return opaque;
    case "buffer":
      return buffer(plan.count);
    case "take":
      return take(plan.count);
    case "skip":
      return skip(plan.count);
    case "parallel":
      return parallel(...plan.branches.map((branch) => pipe(...branch.map(real))));
    case "route":
      return route(select, { routes: { a: pipe(...plan.routes.a.map(real)), b: pipe(...plan.routes.b.map(real)) } });
    case "isolate":
      return isolate(pipe(...plan.stages.map(real)), { onError: "skip" });
    case "batch":
      return batch({ count: plan.count }, pipe(...plan.stages.map(real)));
  }
}

function plain(plan: Plan): readonly ReferenceStage[] {
  const chainOf = (plans: readonly EachPlan[]): ReferenceStage[] => plans.flatMap(plain);
  switch (plan.verb) {
    case "each": {
      const fn = (part: Part): readonly Part[] => (functions[plan.fn]?.(nameOf(part)) ?? []).map(toPart);
      return [{ verb: "each", fn, ...(plan.matches ? { match: matching } : {}) }];
    }
    case "opaque":
    case "buffer":
      return [];
    case "take":
    case "skip":
      return [plan as ReferenceStage];
    case "parallel":
      return [{ verb: "parallel", branches: plan.branches.map(chainOf) }];
    case "route":
      return [{ verb: "route", select, routes: { a: chainOf(plan.routes.a), b: chainOf(plan.routes.b) } }];
    case "isolate":
      return [{ verb: "isolate", stages: chainOf(plan.stages) }];
    case "batch":
      return [{ verb: "batch", count: plan.count, stages: chainOf(plan.stages) }];
  }
}

const main = (parts: readonly Part[]): string[] => parts.filter((part) => !isReserved(part)).map(nameOf);
const aside = (parts: readonly Part[]): string[] => parts.filter(isReserved).map(nameOf).toSorted();

describe("a fused and concurrent pipeline against the plainest one", () => {
  test("gives the same parts in the same order, and the same error after them", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(plan, { maxLength: 5 }), input, fc.boolean(), async (plans, names, asArray) => {
        const parts = names.map(toPart);
        const expected = reference(plans.flatMap(plain), parts);
        const seen: Part[] = [];
        let failure: { error: unknown } | undefined;
        const source = watchedSource(parts);
        try {
          for await (const part of run(pipe(...plans.map(real)), asArray ? parts : source)) seen.push(part);
        } catch (error) {
          failure = { error };
        }
        expect(main(seen)).toEqual(main(expected.parts));
        expect(failure === undefined).toBe(expected.failure === undefined);
        if (failure === undefined) {
          // a stage that runs ahead may have spoken of parts that nobody asked for in the end
          const heard = aside(seen);
          if (!plans.some((each) => each.verb === "take")) expect(heard).toEqual(aside(expected.parts));
        }
        if (!asArray && source.opened > 0) expect(source.closed).toBe(source.ended && source.closed === 0 ? 0 : 1);
      }),
      { numRuns: runs, timeout: 1_000 },
    );
  }, 60_000);

  test("left after any number of parts, or aborted, the source is closed at most once and never pulled again", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(plan, { maxLength: 5 }), fc.integer({ min: 0, max: 6 }), fc.boolean(), async (plans, after, abort) => {
        // a source that never lets go of the event loop could not be left while everything is dropped
        const source = watchedSource(Infinity, { wait: (index) => (index % 8 === 7 ? new Promise((resolve) => setImmediate(resolve)) : undefined) });
        const controller = new AbortController();
        const iterator = run(pipe(...plans.map(real)), source, { signal: controller.signal })[Symbol.asyncIterator]();
        let waiting: Promise<unknown> | undefined;
        for (let i = 0; i < after; i += 1) {
          const next = iterator.next();
          waiting = next.catch(() => {});
          const first = await Promise.race([next.catch(() => ({ done: true })), new Promise((resolve) => setTimeout(resolve, 5))]);
          if (first === undefined || (first as IteratorResult<Part>).done === true) break;
        }
        if (abort) controller.abort("stop");
        else await iterator.return?.();
        await waiting;
        await new Promise((resolve) => setImmediate(resolve));
        const { pulls } = source;
        expect(source.closed).toBeLessThanOrEqual(1);
        if (source.opened > 0) expect(source.closed).toBe(1);
        await new Promise((resolve) => setTimeout(resolve, 1));
        expect(source.pulls).toBe(pulls);
        expect(source.mostInFlight).toBeLessThanOrEqual(1);
      }),
      { numRuns: Math.ceil(runs / 4) },
    );
  }, 60_000);
});
