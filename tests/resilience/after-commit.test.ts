/**
 * Random cuts after content was handed on, undone by `restart`, `buffer` and `resume`, compared with a plain model.
 *
 * @module
 */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { isReset } from "../../src/core/reset.ts";
import { resumable } from "../../src/core/resumable.ts";
import { isMillraceError, type Part, type Processor, run, text } from "../../src/index.ts";
import { fallback } from "../../src/resilience/fallback.ts";
import { retry } from "../../src/resilience/retry.ts";
import type { RetryBudget } from "../../src/resilience/retry-budget.ts";
import { watchedSource } from "../../src/testing/index.ts";
import { down, ending, scripted, texts } from "./support.ts";

const runs = Number(process.env.PROPERTY_RUNS ?? 2_000);
const budget: RetryBudget = { take: () => true, success: () => {}, level: Infinity };

/** Content of each attempt, and whether it ends well. */
const attempts = fc.array(fc.record({ parts: fc.nat(3), done: fc.boolean() }), { minLength: 1, maxLength: 5 });
const acts = (plan: readonly { readonly parts: number; readonly done: boolean }[]) =>
  plan.map(({ parts, done }, call) => [...Array.from({ length: parts }, (_, i) => `${call}.${i} `), ...(done ? [] : [{ throws: down(String(call)) }])]);
const outputOf = (call: number, parts: number): string[] => Array.from({ length: parts }, (_, i) => `${call}.${i} `);

describe("R4: after the commit point", () => {
  test("`restart`: what stands is what the last attempt with content made, the whole of it if it ended well", async () => {
    await fc.assert(
      fc.asyncProperty(attempts, fc.integer({ min: 1, max: 5 }), fc.boolean(), async (plan, limit, falls) => {
        const order = falls ? plan : plan.slice(0, limit);
        const make = (): Processor =>
          falls
            ? fallback(...(acts(plan).map((script) => scripted([script])) as unknown as [Processor]), { afterCommit: "restart" })
            : retry(scripted(acts(plan)), { attempts: limit, baseMs: 0, budget, afterCommit: "restart" });
        const tried: number[] = [];
        for (const [call, { done }] of order.entries()) {
          tried.push(call);
          if (done) break;
        }
        // the last script is followed for all further attempts
        if (!falls && order.every(({ done }) => !done)) for (let call = plan.length; call < limit; call += 1) tried.push(plan.length - 1);
        const last = tried.at(-1) ?? 0;
        const ends = plan[last]?.done === true;
        // an attempt that ended well without content stands all the same; one that failed without content takes nothing back
        const standing = ends ? last : tried.findLast((call) => (plan[call]?.parts ?? 0) > 0);
        const expected = standing === undefined ? [] : outputOf(standing, plan[standing]?.parts ?? 0);

        const source = watchedSource(["a", "b"]);
        const { parts, error } = await ending(make(), source);
        const after = parts.slice(parts.findLastIndex(isReset) + 1);
        expect(texts(after)).toEqual(expected);
        expect(parts.filter(isReset).map((part) => (part.kind === "json" ? part.value : undefined))).toEqual(parts.filter(isReset).map((_, i) => ({ epoch: i + 1 })));
        expect(error === undefined).toBe(ends);
        if (!ends && standing !== undefined) expect(error).toMatchObject({ code: "interrupted", partial: { parts: expected.length, text: expected.join("") } });
        expect([source.opened, source.pulls]).toEqual([1, 3]);
        if (ends) expect(await run(make(), "a").text()).toBe(expected.join(""));
      }),
      { numRuns: runs },
    );
  });

  test("`buffer`: a whole answer or none", async () => {
    await fc.assert(
      fc.asyncProperty(attempts, fc.integer({ min: 1, max: 5 }), async (plan, limit) => {
        const { parts, error } = await ending(retry(scripted(acts(plan)), { attempts: limit, baseMs: 0, budget, afterCommit: "buffer" }));
        const call = plan.slice(0, limit).findIndex(({ done }) => done);
        expect(texts(parts)).toEqual(call === -1 ? [] : outputOf(call, plan[call]?.parts ?? 0));
        expect(error === undefined).toBe(call !== -1);
      }),
      { numRuns: runs },
    );
  });

  test("`resume`: each part once, in order, however the answer is cut and however much comes twice; a hole is an error", async () => {
    let holes = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.nat(12),
        fc.array(fc.record({ cut: fc.nat(6), back: fc.integer({ min: -1, max: 4 }) }), { maxLength: 6 }),
        async (length, cuts) => {
          const numbered = (from: number, to: number): Part[] => Array.from({ length: Math.max(0, to - from + 1) }, (_, i) => text(String(from + i), { metadata: { at: from + i } }));
          let next = 0;
          /** Gives parts from one number on, until the next cut; the last one ends the answer. */
          const give = async function* (number: number): AsyncGenerator<Part> {
            const cut = cuts[next];
            next += 1;
            const from = Math.min(number, length + 1);
            const to = cut === undefined ? length + 1 : Math.min(length + 1, from + cut.cut - 1);
            yield* numbered(from, to);
            if (cut !== undefined) throw down();
          };
          const processor = resumable(
            async function* () {
              yield* give(1);
            },
            {
              numberOf: (part) => (typeof part.metadata.at === "number" ? part.metadata.at : undefined),
              resume: (last) => give(Math.max(1, Number(last.metadata.at) + 1 - (cuts[next - 1]?.back ?? 0))),
            },
          );
          const { parts, error } = await ending(retry(processor, { attempts: 20, baseMs: 0, budget, afterCommit: "resume" }));
          const hole = isMillraceError(error, "interrupted") && isMillraceError(error.cause, "bad_response");
          expect(texts(parts)).toEqual(Array.from({ length: parts.length }, (_, i) => String(i + 1)));
          if (hole) holes += 1;
          else expect([error, parts.length]).toEqual([undefined, length + 1]);
          if (cuts.every(({ back }) => back >= 0)) expect(hole).toBe(false);
        },
      ),
      { numRuns: runs },
    );
    expect(holes).toBeGreaterThan(runs / 50);
  });
});
