import { describe, expect, test } from "vitest";
import type { Clock } from "../../src/core/clock.ts";
import { MillraceError, type Part, type Processor, run, text } from "../../src/index.ts";
import { retry } from "../../src/resilience/retry.ts";
import { type RetryBudget, retryBudget } from "../../src/resilience/retry-budget.ts";
import { seeded, simulation } from "./simulation.ts";

/** 200 clients that share a budget, each with a call a second; how many requests their calls became. */
async function load(failing: (atMs: number) => number, seconds: number, budget?: (clock: Clock) => RetryBudget): Promise<{ readonly calls: number; readonly requests: number; readonly byMs: (fromMs: number, toMs: number) => number }> {
  const clients = 200;
  const clock = simulation();
  const random = seeded(7);
  const times: number[] = [];
  const service: Processor = async function* (): AsyncGenerator<Part> {
    times.push(clock.now());
    if (random() < failing(clock.now())) throw new MillraceError("unavailable", "down");
    yield text("x");
  };
  const calling = retry(service, { clock, random, budget: (budget ?? ((its) => retryBudget({ clock: its })))(clock) });
  let calls = 0;
  for (let client = 0; client < clients; client += 1) {
    const call = (): void => {
      if (clock.now() >= seconds * 1_000) return;
      calls += 1;
      void run(calling, "a").collect().catch(() => {});
      clock.timeout(1_000, call);
    };
    clock.timeout(client * 5, call);
  }
  await clock.play(seconds * 1_000 + 60_000);
  const { length } = times;
  return { calls, requests: length, byMs: (fromMs, toMs) => times.filter((atMs) => atMs >= fromMs && atMs < toMs).length };
}

describe("R-amp: 200 clients of one service", () => {
  test.each([0, 1, 5, 20, 50, 100])("R11: at a failure rate of %d percent, requests are at most 1.20 times the calls", async (percent) => {
    const { calls, requests } = await load(() => percent / 100, 20);
    expect(calls).toBe(4_000);
    expect(requests / calls).toBeLessThanOrEqual(1.2);
    if (percent > 0) expect(requests).toBeGreaterThan(calls);
  });

  test("R11: in an outage of 60 s they are at most 1.05 times the calls; without a budget they would be three times", async () => {
    const outage = (atMs: number): number => (atMs >= 10_000 && atMs < 70_000 ? 1 : 0);
    const { byMs } = await load(outage, 80);
    expect(byMs(10_000, 70_000) / (60 * 200)).toBeLessThanOrEqual(1.05);
    const unlimited = await load(outage, 80, () => ({ take: () => true, success: () => {}, level: Infinity }));
    expect(unlimited.byMs(10_000, 70_000) / (60 * 200)).toBeGreaterThan(2.9);
  });
});

test("R-jit: of 10,000 clients that fail together, no 100 ms get more than three times their mean share of the retries", async () => {
  const clock = simulation();
  const random = seeded(11);
  const times: number[] = [];
  const service: Processor = async function* (): AsyncGenerator<Part> {
    times.push(clock.now());
    yield* [];
    throw new MillraceError("unavailable", "down");
  };
  const budget: RetryBudget = { take: () => true, success: () => {}, level: Infinity };
  const calling = retry(service, { clock, random, budget });
  for (let client = 0; client < 10_000; client += 1) void run(calling, "a").collect().catch(() => {});
  await clock.play(2_000);
  const retries = times.filter((atMs) => atMs > 0);
  expect(retries.length).toBe(20_000);
  const buckets = new Map<number, number>();
  for (const atMs of retries) buckets.set(Math.floor(atMs / 100), (buckets.get(Math.floor(atMs / 100)) ?? 0) + 1);
  expect(Math.max(...buckets.values()) / (retries.length / buckets.size)).toBeLessThanOrEqual(3);
});
