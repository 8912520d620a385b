import { describe, expect, test } from "vitest";
import { finish, isText, text, type Processor, run } from "../../src/index.ts";
import { memoryKeyValue } from "../../src/adapters/memory/index.ts";
import type { Clock } from "../../src/core/clock.ts";
import type { MarkStore } from "../../src/kinds/key-value.ts";
import { rateLimit, rateLimiter } from "../../src/resilience/rate-limit.ts";

/** A clock whose next timer is found quickly, and which gives promises their turns without the event loop: for many thousand calls. */
class Simulation {
  private nowMs = 0;
  private readonly timers = new Map<number, Set<() => void>>();
  readonly clock: Clock = {
    now: () => this.nowMs,
    sleep: (ms) => new Promise((resolve) => void this.clock.timeout(ms, resolve)),
    timeout: (ms, fire) => {
      const at = this.nowMs + Math.max(0, ms);
      const due = this.timers.get(at) ?? new Set();
      due.add(fire);
      this.timers.set(at, due);
      return () => {
        due.delete(fire);
        if (due.size === 0 && this.timers.get(at) === due) this.timers.delete(at);
      };
    },
  };

  get pending(): number {
    return [...this.timers.values()].reduce((sum, due) => sum + due.size, 0);
  }

  async until(ms: number): Promise<void> {
    for (;;) {
      for (let turn = 0; turn < 150; turn += 1) await Promise.resolve();
      let next = Infinity;
      for (const at of this.timers.keys()) next = Math.min(next, at);
      if (next > ms) break;
      this.nowMs = next;
      const due = this.timers.get(next);
      this.timers.delete(next);
      for (const fire of due ?? []) fire();
    }
    this.nowMs = ms;
  }
}

/** Calls that come one after the other, each some time after the last. */
function arrivals(clock: Clock, count: number, gapMs: () => number, call: () => void): void {
  if (count <= 0) return;
  clock.timeout(gapMs(), () => {
    call();
    arrivals(clock, count - 1, gapMs, call);
  });
}

/** The most that any window of this length holds. */
function mostIn(windowMs: number, taken: readonly { readonly atMs: number; readonly amount: number }[]): number {
  let most = 0;
  let sum = 0;
  let first = 0;
  for (const { atMs, amount } of taken) {
    sum += amount;
    for (let oldest = taken[first]; oldest !== undefined && oldest.atMs < atMs - windowMs; oldest = taken[first]) {
      sum -= oldest.amount;
      first += 1;
    }
    most = Math.max(most, sum);
  }
  return most;
}

const sum = (taken: readonly { readonly amount: number }[]): number => taken.reduce((total, { amount }) => total + amount, 0);

/** A small generator, the same numbers at each run. */
function dice(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 4_294_967_296;
  };
}

describe("R-lim: eight limiters on one store, 20 s at three times the load", () => {
  /** Runs the load, and writes down when calls were let in. */
  async function load(troubled: (nowMs: number) => boolean): Promise<{ readonly started: { readonly atMs: number; readonly amount: number }[]; readonly byProcess: number[]; readonly pending: number }> {
    const simulation = new Simulation();
    const { clock } = simulation;
    const memory = memoryKeyValue({ clock });
    const random = dice(7);
    let near = true; // at first: the hash of the key is made outside of this clock's time
    const store: MarkStore = { ...memory, advance: async (key, steps) => {
      if (near) return memory.advance(key, steps);
      await clock.sleep(1 + 2 * random()); // there and back again
      if (troubled(clock.now())) throw new Error("redis: gone");
      const result = await memory.advance(key, steps);
      await clock.sleep(1 + 2 * random());
      return result;
    } };
    const started: { readonly atMs: number; readonly amount: number }[] = [];
    const byProcess = Array.from({ length: 8 }, () => 0);
    const seconds = 20;
    const calls: Promise<unknown>[] = [];
    const stages = byProcess.map((_, process) => {
      const limiter = rateLimiter({ requests: 100, perMs: 1_000, burst: 20, store, key: "model", clock, random, waitMs: 5_000 });
      return rateLimit(async function* () {
        started.push({ atMs: clock.now(), amount: 1 });
        byProcess[process] = (byProcess[process] ?? 0) + 1;
        yield text("a");
      }, { limiter });
    });
    for (const stage of stages) await run(stage, "a").text();
    near = false;
    // 37.5 calls a second come to each of eight, 100 in all go through
    for (const stage of stages) arrivals(clock, 37.5 * seconds, () => (random() * 2_000) / 37.5, () => calls.push(run(stage, "a").text().catch(() => {})));
    await simulation.until(seconds * 1_000);
    const result = { started: [...started], byProcess: [...byProcess], pending: 0 };
    await simulation.until(60_000);
    await Promise.all(calls);
    return { ...result, pending: simulation.pending };
  }

  test("no window holds more than limit and burst, 95 % of the limit is used, nobody goes short, and nothing is left", async () => {
    const { started, byProcess, pending } = await load(() => false);
    for (const windowMs of [100, 500, 1_000, 5_000]) expect(mostIn(windowMs, started)).toBeLessThanOrEqual(windowMs / 10 + 20 + 1);
    expect(sum(started)).toBeGreaterThanOrEqual(0.95 * 100 * 20);
    expect(Math.min(...byProcess)).toBeGreaterThan(0.5 * (sum(started) / 8));
    expect(pending).toBe(0);
  });

  test("with the store dead from the 8th to the 13th second all together stay below 1.25 of the limit, and go on", async () => {
    const { started } = await load((nowMs) => nowMs > 8_000 && nowMs < 13_000);
    const dead = started.filter(({ atMs }) => atMs > 8_000 && atMs < 14_000);
    expect(mostIn(1_000, dead)).toBeLessThanOrEqual(1.25 * 100);
    expect(sum(dead)).toBeLessThanOrEqual(1.25 * 100 * 6);
    expect(sum(dead)).toBeGreaterThanOrEqual(0.75 * 100 * 6);
    expect(mostIn(1_000, started)).toBeLessThanOrEqual(1.25 * 100);
  });
});

describe("R-tok: estimates that are wrong by -50 to +300 %", () => {
  test("what is really used stays within 2 % of the limit and burst, and most of the limit is used", async () => {
    for (const error of [-0.5, 0, 1, 3, "any"] as const) {
      const simulation = new Simulation();
      const { clock } = simulation;
      const random = dice(11);
      const limit = 100_000; // a minute
      const used: { readonly atMs: number; readonly amount: number }[] = [];
      const model: Processor = async function* (input) {
        let real = 0;
        for await (const part of input) real += isText(part) ? Number(part.text.split(" ")[0]) : 0;
        await clock.sleep(200 + 1_800 * random());
        used.push({ atMs: clock.now(), amount: real });
        yield text("answer");
        yield finish({ reason: "stop", usage: { inputTokens: real } });
      };
      const limiter = rateLimiter({
        inputTokens: limit, perMs: 60_000, burst: 10_000, clock, queue: 5_000, waitMs: 600_000,
        estimate: { inputTokens: (part) => (isText(part) ? Number(part.text.split(" ")[1]) : 0) },
      });
      const stage = rateLimit(model, { limiter });
      const minutes = 5;
      const calls: Promise<unknown>[] = [];
      arrivals(clock, 1_500, () => random() * 360, () => {
        const real = 200 + Math.floor(800 * random());
        const wrong = error === "any" ? -0.5 + 3.5 * random() : error;
        calls.push(run(stage, `${real} ${Math.round(real * (1 + wrong))}`).collect().catch(() => {}));
      });
      await simulation.until(minutes * 60_000);
      const share = sum(used) / (limit * minutes + 10_000);
      expect(share).toBeLessThanOrEqual(1.02);
      expect(mostIn(60_000, used)).toBeLessThanOrEqual(1.02 * (limit + 10_000));
      expect(share).toBeGreaterThan(0.9);
      await simulation.until(40 * 60_000);
      await Promise.all(calls);
      expect(simulation.pending).toBe(0);
    }
  });
});
