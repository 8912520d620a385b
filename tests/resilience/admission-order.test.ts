import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { MillraceError, type Processor, run, text } from "../../src/index.ts";
import { memoryKeyValue } from "../../src/adapters/memory/index.ts";
import { bulkhead, bulkheadLimit } from "../../src/resilience/bulkhead.ts";
import { circuit, circuitBreaker } from "../../src/resilience/circuit-breaker.ts";
import { rateLimit, rateLimiter } from "../../src/resilience/rate-limit.ts";
import { fakeClock } from "../../src/testing/clock.ts";
import { turns } from "../streams/support.ts";

const runs = Number(process.env.PROPERTY_RUNS ?? 200);

describe("P0: bulkhead, rateLimit and circuitBreaker in any order", () => {
  test("give what the processor gives, refuse by their codes alone, pay for the calls that were made, and hold nothing at the end", async () => {
    const call = fc.record({ does: fc.constantFrom("end", "end", "fail", "break", "abort", "never"), starts: fc.nat(8), works: fc.nat(8) });
    const plan = fc.record({
      order: fc.shuffledSubarray(["bulkhead", "rate", "tokens", "breaker"] as const, { minLength: 1 }),
      store: fc.boolean(),
      calls: fc.array(call, { maxLength: 10 }),
    });
    await fc.assert(
      fc.asyncProperty(plan, async ({ order, store, calls }) => {
        const clock = fakeClock();
        const limit = bulkheadLimit({ concurrency: 2, queue: 3, clock });
        const shared = store ? { store: memoryKeyValue({ clock }), key: "k" } : {};
        const limiter = rateLimiter({ requests: 30, perMs: 1_000_000, clock, ...shared });
        const tokens = rateLimiter({ inputTokens: 100_000, outputTokens: 100_000, perMs: 1_000, clock, ...(store ? { ...shared, key: "tokens" } : {}) });
        const shut = circuit({ failureThreshold: 2, clock, ...(store ? { store: shared.store, name: "c" } : {}) } as Parameters<typeof circuit>[0]);
        let made = 0;
        const wrap = (inner: Processor): Processor =>
          order.reduce((stage, name) => {
            if (name === "bulkhead") return bulkhead(stage, { limit });
            if (name === "breaker") return circuitBreaker(stage, { circuit: shut });
            return rateLimit(stage, { limiter: name === "rate" ? limiter : tokens });
          }, inner);
        const spin = async (count: number): Promise<void> => {
          for (let i = 0; i < count * 4; i += 1) await Promise.resolve();
        };
        const outcomes = await Promise.all(
          calls.map(async ({ does, starts, works }) => {
            await spin(starts);
            const controller = new AbortController();
            const stage = wrap(async function* (input) {
              made += 1;
              for await (const part of input) yield part;
              await spin(works);
              if (does === "fail") throw new MillraceError("unavailable", "down");
              yield text("!");
            });
            const stream = run(stage, ["a", "b"], { signal: controller.signal });
            if (does === "never") return "never";
            if (does === "abort") void spin(works).then(() => controller.abort("aborted"));
            let seen = "";
            try {
              for await (const part of stream) {
                seen += part.kind === "text" ? part.text : "";
                if (does === "break") return "broke";
              }
              return seen;
            } catch (error) {
              return error instanceof MillraceError ? (error.message === "down" ? "failed" : error.code) : String(error);
            }
          }),
        );
        await turns(1);
        const refusals = [...(order.includes("bulkhead") ? ["unavailable"] : []), ...(order.includes("breaker") ? ["circuit_open"] : [])];
        const expected = { end: ["ab!"], fail: ["failed"], break: ["broke"], abort: ["aborted", "ab!"], never: ["never"] };
        for (const [i, { does }] of calls.entries()) expect([...expected[does as keyof typeof expected], ...refusals]).toContain(outcomes[i]);
        expect([limit.active, limit.waiting, limiter.waiting, tokens.waiting, clock.pending]).toEqual([0, 0, 0, 0, 0]);
        if (order[0] !== "rate") return;
        // It is the innermost: each call that was made has paid, and no other. What is left of the burst tells.
        let room = 0;
        for (; room < 31; room += 1) {
          const iterator = run(rateLimit(async function* () { yield text("x"); }, { limiter }), "a")[Symbol.asyncIterator]();
          const pulled = iterator.next();
          if (room < 30 - made) await pulled;
          else {
            await turns(1);
            void iterator.return?.();
            break;
          }
          await iterator.return?.();
        }
        expect([room, limiter.waiting]).toEqual([30 - made, 0]);
      }),
      { numRuns: runs },
    );
  });
});
