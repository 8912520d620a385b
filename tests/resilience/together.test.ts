import { expect, test } from "vitest";
import { memoryKeyValue } from "../../src/adapters/memory/index.ts";
import { each, MillraceError, pipe, type Processor, run } from "../../src/index.ts";
import { bulkhead } from "../../src/resilience/bulkhead.ts";
import { cache } from "../../src/resilience/cache.ts";
import { circuitBreaker } from "../../src/resilience/circuit-breaker.ts";
import { compensate } from "../../src/resilience/compensate.ts";
import { fallback } from "../../src/resilience/fallback.ts";
import { retry } from "../../src/resilience/retry.ts";
import { timeout } from "../../src/resilience/timeout.ts";
import { type FakeClock, fakeClock } from "../../src/testing/index.ts";
import { mockModel } from "../../src/testing/mock-model.ts";

/** Moves time on until a run has settled: hashes come from other threads, so nobody knows when a timer is set. */
async function settled<T>(clock: FakeClock, outcome: Promise<T>): Promise<T> {
  let over = false;
  const note = (): void => void (over = true);
  outcome.then(note, note);
  for (let turn = 0; turn < 1_000 && !over; turn += 1) await clock.advance(1_000);
  return outcome;
}

const down = (): MillraceError => new MillraceError("unavailable", "down");

test("P0: all wrappers in their order, the cache on a key-value store: one failure is retried, the answer is kept, nothing is left", async () => {
  const clock = fakeClock();
  const store = memoryKeyValue({ clock });
  const model = mockModel(({ turn }) => (turn === 1 ? [{ error: down() }] : `answer ${turn}`));
  const endpoint = bulkhead(circuitBreaker(timeout(model, { clock }), { clock }), { clock });
  const answers = cache(fallback(retry(endpoint, { clock, random: () => 0 }), model), { scope: "public", store, secret: "0123456789abcdef", name: "m", version: "1", clock });
  expect(await settled(clock, run(answers, "q").text())).toBe("answer 2");
  expect(await run(answers, "q").text()).toBe("answer 2");
  expect([model.calls.length, clock.pending]).toEqual([2, 0]);
});

test("P6: a saga in an attempt that fails is undone before the next attempt begins, whichever stage fails", async () => {
  const clock = fakeClock();
  const log: string[] = [];
  const saga = compensate([
    {
      run: each((part) => {
        log.push("do");
        return part;
      }),
      undo: async () => {
        await clock.sleep(5_000); // longer than any wait before the next attempt
        log.push("undo");
      },
    },
  ]);
  const opaque: Processor = async function* (input) {
    yield* pipe(each(() => undefined))(input);
    throw down();
  };
  for (const last of [opaque, each(() => Promise.reject(down())), each(() => Promise.reject(down()), { concurrency: 2 })]) {
    for (const attempted of [pipe(saga, last), timeout(pipe(saga, last), { clock })]) {
      log.length = 0;
      const outcome = settled(clock, run(retry(attempted, { clock, random: () => 0, attempts: 2 }), "x").collect());
      await expect(outcome).rejects.toMatchObject({ code: "unavailable", attempts: 2 });
      expect(log).toEqual(["do", "undo", "do", "undo"]);
    }
  }
});

test("R12: a retry inside a cache inside a retry makes one attempt", async () => {
  const clock = fakeClock();
  const model = mockModel(() => [{ error: down() }]);
  const nested = retry(cache(retry(model, { clock, random: () => 0 }), { scope: "public", clock }), { clock, random: () => 0 });
  await expect(settled(clock, run(nested, "q").collect())).rejects.toMatchObject({ code: "unavailable" });
  expect(model.calls).toHaveLength(3);
});
