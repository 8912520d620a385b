/**
 * Random fault plans through any nesting of wrappers, compared with a plain model of what must come out.
 *
 * @module
 */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { each, isMillraceError, MillraceError, type Part, pipe, type Processor, status, text } from "../../src/index.ts";
import { fallback } from "../../src/resilience/fallback.ts";
import { retry } from "../../src/resilience/retry.ts";
import type { RetryBudget } from "../../src/resilience/retry-budget.ts";
import { timeout } from "../../src/resilience/timeout.ts";
import { fakeClock, watchedSource } from "../../src/testing/index.ts";
import { ending, texts } from "./support.ts";

const runs = Number(process.env.PROPERTY_RUNS ?? 10_000);

/** What one attempt does. */
interface Script {
  /** Reads so many parts of its input first; `all` of it; or reads as it hands on. */
  readonly reads: number | "all" | "echo";
  /** Content that it hands on. */
  readonly yields: number;
  /** An empty delta before each of the first so many parts, and a status part. */
  readonly noise: number;
  readonly ends: "done" | "retryable" | "fatal";
  /** Turns of the event loop in between. */
  readonly waits: number;
}
type Plan =
  | { readonly wrap: "leaf"; readonly scripts: readonly Script[] }
  | { readonly wrap: "retry"; readonly attempts: number; readonly buffer: boolean; readonly of: Plan }
  | { readonly wrap: "timeout"; readonly of: Plan }
  | { readonly wrap: "fallback"; readonly of: readonly Plan[] };

const script: fc.Arbitrary<Script> = fc.record({
  reads: fc.oneof(fc.nat(4), fc.constant("all" as const), fc.constant("echo" as const)),
  yields: fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, { weight: 2, arbitrary: fc.nat(4) }),
  noise: fc.nat(2),
  ends: fc.constantFrom("done", "retryable", "retryable", "retryable", "fatal"),
  waits: fc.oneof({ weight: 4, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.nat(2) }),
});
const { plan } = fc.letrec<{ plan: Plan; leaf: Plan }>((tie) => ({
  leaf: fc.record({ wrap: fc.constant("leaf" as const), scripts: fc.array(script, { minLength: 1, maxLength: 5 }) }),
  plan: fc.oneof(
    { maxDepth: 4, depthSize: "medium" },
    { weight: 2, arbitrary: tie("leaf") },
    { weight: 3, arbitrary: fc.record({ wrap: fc.constant("retry" as const), attempts: fc.integer({ min: 1, max: 4 }), buffer: fc.boolean(), of: tie("plan") }) as fc.Arbitrary<Plan> },
    { weight: 1, arbitrary: fc.record({ wrap: fc.constant("timeout" as const), of: tie("plan") }) as fc.Arbitrary<Plan> },
    { weight: 2, arbitrary: fc.record({ wrap: fc.constant("fallback" as const), of: fc.array(tie("plan"), { minLength: 1, maxLength: 3 }) }) as fc.Arbitrary<Plan> },
  ),
}));

/** Numbers the attempts of each leaf, the same way on both sides. */
type Counts = Map<Plan, number>;
const scriptOf = (leaf: Extract<Plan, { wrap: "leaf" }>, counts: Counts): { readonly script: Script; readonly name: string } => {
  const call = counts.get(leaf) ?? 0;
  counts.set(leaf, call + 1);
  return { script: leaf.scripts[Math.min(call, leaf.scripts.length - 1)] as Script, name: String(call) };
};

// --- the real thing ---

const budget: RetryBudget = { take: () => true, success: () => {}, level: Infinity };

function build(made: Plan, counts: Counts, clock = fakeClock()): Processor {
  switch (made.wrap) {
    case "leaf":
      return leaf(made, counts);
    case "retry":
      return retry(build(made.of, counts, clock), { attempts: made.attempts, baseMs: 0, budget, clock, afterCommit: made.buffer ? "buffer" : "fail" });
    case "timeout":
      return timeout(build(made.of, counts, clock), { clock });
    case "fallback": {
      const [primary, ...others] = made.of.map((target) => build(target, counts, clock));
      return fallback(primary as Processor, ...others, { clock });
    }
  }
}

function leaf(made: Extract<Plan, { wrap: "leaf" }>, counts: Counts): Processor {
  return async function* (input): AsyncGenerator<Part> {
    const { script: todo, name } = scriptOf(made, counts);
    const iterator = input[Symbol.asyncIterator]();
    const pause = async (): Promise<void> => {
      for (let turn = 0; turn < todo.waits; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    };
    const read: string[] = [];
    const take = async (): Promise<boolean> => {
      const next = await iterator.next();
      if (next.done !== true) read.push(...texts([next.value]));
      return next.done !== true;
    };
    if (todo.reads !== "echo") for (let i = 0; (todo.reads === "all" || i < todo.reads) && (await take()); i += 1);
    for (let i = 0; i < todo.yields; i += 1) {
      if (todo.reads === "echo" && !(await take())) break;
      await pause();
      if (i < todo.noise) {
        yield status("working");
        yield text("");
      }
      yield text(todo.reads === "echo" ? `${name}:${read.at(-1)}` : `${name}.${i}:${read.join("")}`);
    }
    await pause();
    if (todo.ends !== "done") throw new MillraceError(todo.ends === "fatal" ? "invalid_input" : "unavailable", todo.ends);
  };
}

// --- the model ---

interface Result {
  readonly out: readonly string[];
  readonly ends: Script["ends"];
}

const isEmpty = ({ out }: Result): boolean => out.every((piece) => piece === "");

function predict(made: Plan, input: readonly string[], counts: Counts, retried: boolean): Result {
  switch (made.wrap) {
    case "leaf": {
      const { script: todo, name } = scriptOf(made, counts);
      const read = input.slice(0, todo.reads === "all" ? input.length : todo.reads === "echo" ? 0 : todo.reads).join("");
      const out: string[] = [];
      for (let i = 0; i < todo.yields; i += 1) {
        if (todo.reads === "echo" && i >= input.length) break;
        if (i < todo.noise) out.push("");
        out.push(todo.reads === "echo" ? `${name}:${input[i]}` : `${name}.${i}:${read}`);
      }
      return { out, ends: todo.ends };
    }
    case "timeout":
      return predict(made.of, input, counts, retried);
    case "retry": {
      for (let attempt = 1; ; attempt += 1) {
        const result = predict(made.of, input, counts, true);
        if (result.ends === "done") return result;
        if (!made.buffer && !isEmpty(result)) return result;
        if (retried || attempt === made.attempts || result.ends === "fatal") return { out: [], ends: result.ends };
      }
    }
    case "fallback": {
      for (const [index, target] of made.of.entries()) {
        const result = predict(target, input, counts, retried);
        if (result.ends === "done" || !isEmpty(result)) return result;
        if (result.ends === "fatal" || index + 1 === made.of.length) return { out: [], ends: result.ends };
      }
      throw new Error("unreachable");
    }
  }
}

const rootCode = (error: unknown): unknown => {
  if (error instanceof AggregateError) return rootCode(error.errors.at(-1));
  return isMillraceError(error) ? (error.code === "interrupted" ? rootCode(error.cause) : error.code) : error;
};

describe("R1 to R4: retry, fallback and timeout, nested in any way", () => {
  test("lose no content and hand on none twice, call as often as they must, read the source once, and close it", async () => {
    let interruptions = 0;
    let retries = 0;
    await fc.assert(
      fc.asyncProperty(plan, fc.array(fc.integer({ min: 1, max: 3 }), { maxLength: 4 }), async (made, chunks) => {
        let next = 0;
        const packed = chunks.map((count) => Array.from({ length: count }, () => String(next++)).join(","));
        const input = Array.from({ length: next }, (_, i) => String(i));
        const expectedCounts: Counts = new Map();
        const expected = predict(made, input, expectedCounts, false);
        const counts: Counts = new Map();
        const clock = fakeClock();
        const source = watchedSource(packed);
        const unpack = each((part) => texts([part])[0]?.split(","));
        const seen = await ending(pipe(unpack, build(made, counts, clock)), source);
        const out = seen.parts.filter((part) => part.substream === "");
        expect(texts(out)).toEqual(expected.out);
        expect([...counts.values()]).toEqual([...expectedCounts.values()]);
        expect(rootCode(seen.error)).toBe({ done: undefined, retryable: "unavailable", fatal: "invalid_input" }[expected.ends]);
        if (made.wrap !== "leaf" && made.wrap !== "timeout" && expected.ends !== "done" && !isEmpty(expected)) {
          expect(seen.error).toMatchObject({ code: "interrupted", partial: { parts: expected.out.filter((piece) => piece !== "").length, text: expected.out.join("") } });
          interruptions += 1;
        }
        if ([...counts.values()].some((calls) => calls > 1)) retries += 1;
        expect(source.opened).toBeLessThanOrEqual(1);
        expect(source.pulls).toBeLessThanOrEqual(chunks.length + 1);
        if (source.opened === 1) expect(source.closed).toBe(source.ended && source.closed === 0 ? 0 : 1);
        expect(clock.pending).toBe(0);
      }),
      { numRuns: runs },
    );
    expect(interruptions).toBeGreaterThan(runs / 50);
    expect(retries).toBeGreaterThan(runs / 50);
  });
});
