import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { BreakerState, type BreakerRules, type CallResult, type CircuitState } from "../../src/resilience/admission/breaker-state.ts";

// 20,000 histories of R-brk, and 100,000 for the long run: NIGHTLY=1, or PROPERTY_RUNS for any number.
const histories = Number(process.env.PROPERTY_RUNS ?? (process.env.NIGHTLY === undefined ? 20_000 : 100_000));
const shrinking = Math.min(histories, process.env.NIGHTLY === undefined ? 300 : 3_000);

/**
 * The rules in their plainest form: the whole past is kept, and every question is answered by going through it.
 */
class Model {
  readonly rules: BreakerRules;
  nowMs = 0;
  state: CircuitState = "closed";
  untilMs = 0;
  /** Every result that counted, in the state that began with the last change. */
  private past: { readonly atMs: number; readonly failed: boolean }[] = [];
  private lengthsMs: number[] = []; // of being open since it was last closed
  private readonly probes = new Set<number>();
  private era = 0;
  private readonly eras = new Map<number, number>(); // of each call, when it passed
  private calls = 0;

  constructor(rules: BreakerRules) {
    this.rules = rules;
  }

  ask(): { readonly call: number } | { readonly retryAfterMs: number } {
    if (this.state === "open" && this.nowMs < this.untilMs) return { retryAfterMs: this.untilMs - this.nowMs };
    if (this.state === "open") this.turn("half-open");
    if (this.state === "half-open") {
      if (this.probes.size + this.past.length === this.rules.halfOpenCalls) return { retryAfterMs: Math.min(1_000, this.rules.openMs) };
      this.probes.add(this.calls);
    }
    this.eras.set(this.calls, this.era);
    return { call: this.calls++ };
  }

  settle(call: number, result: CallResult, chance: number): void {
    if (this.eras.get(call) !== this.era) return;
    this.probes.delete(call);
    if (result === "neither") return;
    this.past.push({ atMs: this.nowMs, failed: result === "failure" });
    if (this.state === "half-open") {
      if (result === "failure") this.open(chance);
      else if (this.past.length === this.rules.halfOpenCalls) {
        this.lengthsMs = [];
        this.turn("closed");
      }
    } else if (this.tooMuch()) this.open(chance);
  }

  heed(ms: number): void {
    if (this.state !== "closed" || ms <= 0) return;
    this.untilMs = this.nowMs + Math.min(ms, this.rules.maxOpenMs);
    this.lengthsMs = [this.rules.openMs];
    this.turn("open");
  }

  counts(): { readonly calls: number; readonly failures: number } {
    if (this.state !== "closed") return { calls: 0, failures: 0 };
    const tenth = this.rules.windowMs / 10;
    const recent = this.past.filter(({ atMs }) => Math.floor(atMs / tenth) > Math.floor(this.nowMs / tenth) - 10);
    return { calls: recent.length, failures: recent.filter(({ failed }) => failed).length };
  }

  private tooMuch(): boolean {
    const { failureThreshold, minCalls, failureRate } = this.rules;
    if (failureThreshold !== undefined) return this.past.length >= failureThreshold && this.past.slice(-failureThreshold).every(({ failed }) => failed);
    const { calls, failures } = this.counts();
    return calls >= minCalls && failures / calls >= failureRate;
  }

  private open(chance: number): void {
    const plainMs = this.lengthsMs.length === 0 ? this.rules.openMs : (this.lengthsMs.at(-1) ?? 0) * 2;
    this.lengthsMs.push(plainMs);
    this.untilMs = this.nowMs + Math.min(this.rules.maxOpenMs, plainMs * (0.8 + 0.4 * chance));
    this.turn("open");
  }

  private turn(to: CircuitState): void {
    this.state = to;
    this.era += 1;
    this.past = [];
    this.probes.clear();
  }
}

type Step =
  | { readonly do: "call" }
  | { readonly do: "settle"; readonly which: number; readonly result: CallResult; readonly chance: number }
  | { readonly do: "wait"; readonly ms: number }
  | { readonly do: "heed"; readonly ms: number };

/** Both at once, and what must be so whatever the model says. */
class Pair {
  private readonly model: Model;
  private readonly real: BreakerState;
  private readonly open: { readonly call: number; readonly generation: number; readonly probe: boolean }[] = [];
  private readonly changes: string[] = [];

  constructor(rules: BreakerRules) {
    this.model = new Model(rules);
    this.real = new BreakerState(rules, (from, to) => this.changes.push(`${from}>${to}`));
  }

  take(step: Step): void {
    const { model, real } = this;
    const before = real.state;
    if (step.do === "wait") model.nowMs += step.ms;
    else if (step.do === "heed") {
      model.heed(step.ms);
      real.heed(step.ms, model.nowMs);
    } else if (step.do === "call") this.call();
    else if (this.open.length > 0) {
      const [ticket] = this.open.splice(step.which % this.open.length, 1);
      if (ticket === undefined) return;
      const untilMs = real.untilMs;
      model.settle(ticket.call, step.result, step.chance);
      real.settle(ticket.generation, step.result, model.nowMs, step.chance);
      if (before === "open") expect([real.state, real.untilMs]).toEqual(["open", untilMs]); // a late result changes nothing
    }
    if (real.state !== model.state || real.untilMs !== model.untilMs) expect([real.state, real.untilMs]).toEqual([model.state, model.untilMs]);
    const [counts, expected] = [real.counts(model.nowMs), model.counts()];
    if (counts.calls !== expected.calls || counts.failures !== expected.failures) expect(counts).toEqual(expected);
    const legal = ["closed>open", "open>half-open", "half-open>open", "half-open>closed"];
    if (this.changes.some((change) => !legal.includes(change))) expect(this.changes).toEqual([]);
  }

  private call(): void {
    const { model, real } = this;
    const waits = real.state === "open" && model.nowMs < real.untilMs;
    const asked = model.ask();
    const answer = real.ask(model.nowMs);
    if ("call" in asked) {
      if (!answer.passes || waits) expect(answer).toEqual("a pass");
      if (answer.passes) this.open.push({ call: asked.call, generation: answer.generation, probe: real.state === "half-open" });
    } else if (answer.passes || answer.retryAfterMs !== asked.retryAfterMs) expect(answer).toEqual(asked);
    const probes = this.open.filter(({ probe, generation }) => probe && answer.passes && generation === answer.generation).length;
    if (probes > model.rules.halfOpenCalls) expect(probes).toBe(model.rules.halfOpenCalls);
  }
}

const results: readonly CallResult[] = ["success", "failure", "neither"];

/** A small generator, so that a history costs microseconds; a failing one is told by its seed. */
function dice(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

function rulesBy(roll: () => number): BreakerRules {
  const openMs = 50 + Math.floor(roll() * 200);
  return {
    failureRate: [0.1, 0.5, 0.75, 1][Math.floor(roll() * 4)] ?? 1,
    minCalls: 1 + Math.floor(roll() * 6),
    windowMs: 100 + Math.floor(roll() * 400),
    failureThreshold: roll() < 0.3 ? 1 + Math.floor(roll() * 4) : undefined,
    openMs,
    maxOpenMs: openMs * (1 + Math.floor(roll() * 6)),
    halfOpenCalls: 1 + Math.floor(roll() * 3),
  };
}

function stepBy(roll: () => number, failing: number): Step {
  const kind = roll();
  if (kind < 0.42) return { do: "call" };
  if (kind < 0.82) return { do: "settle", which: Math.floor(roll() * 8), result: roll() < failing ? "failure" : roll() < 0.8 ? "success" : "neither", chance: roll() };
  if (kind < 0.99) return { do: "wait", ms: Math.floor(roll() ** 3 * 400) };
  return { do: "heed", ms: Math.floor(roll() * 400) - 20 };
}

describe("R-brk: the breaker against a model that keeps the whole past", () => {
  test("does what the model does, step by step, in every history", () => {
    const seed = Math.floor(Math.random() * 2 ** 31);
    let steps = 0;
    const reached = new Map<CircuitState, number>();
    for (let history = 0; history < histories; history += 1) {
      const roll = dice(seed + history);
      const pair = new Pair(rulesBy(roll));
      const failing = roll();
      const length = 20 + Math.floor(roll() * 60);
      for (let i = 0; i < length; i += 1) {
        const step = stepBy(roll, failing);
        try {
          pair.take(step);
        } catch (error) {
          throw new Error(`history ${seed + history}, step ${i}: ${JSON.stringify(step)}`, { cause: error });
        }
        reached.set(pair["real"].state, (reached.get(pair["real"].state) ?? 0) + 1);
        steps += 1;
      }
    }
    console.log(`R-brk: ${histories} histories, ${steps} steps (closed ${reached.get("closed")}, open ${reached.get("open")}, half-open ${reached.get("half-open")})`);
    const share = histories < 1_000 ? 0.01 : 0.05; // half-open is 0.076 of all steps; of 60 histories' steps sometimes 0.044
    for (const state of ["closed", "open", "half-open"] as const) expect((reached.get(state) ?? 0) / steps).toBeGreaterThan(share);
  });

  test("does so for commands that can be shrunk to the shortest history that fails", () => {
    class Command implements fc.Command<object, Pair> {
      readonly step: Step;
      constructor(step: Step) {
        this.step = step;
      }
      check(): boolean {
        return true;
      }
      run(_: object, pair: Pair): void {
        pair.take(this.step);
      }
      toString(): string {
        return JSON.stringify(this.step);
      }
    }
    const step: fc.Arbitrary<Step> = fc.oneof(
      { weight: 5, arbitrary: fc.constant({ do: "call" as const }) },
      { weight: 5, arbitrary: fc.record({ do: fc.constant("settle" as const), which: fc.nat(7), result: fc.constantFrom(...results), chance: fc.double({ min: 0, max: 1, noNaN: true }) }) },
      { weight: 2, arbitrary: fc.record({ do: fc.constant("wait" as const), ms: fc.nat(400) }) },
      { weight: 1, arbitrary: fc.record({ do: fc.constant("heed" as const), ms: fc.integer({ min: -20, max: 400 }) }) },
    );
    const rules = fc.integer().map((seed) => rulesBy(dice(seed)));
    fc.assert(
      fc.property(rules, fc.commands([step.map((step) => new Command(step))], { maxCommands: 60, size: "+1" }), (rules, commands) => {
        fc.modelRun(() => ({ model: {}, real: new Pair(rules) }), commands);
      }),
      { numRuns: shrinking },
    );
  });
});
